"""A published checkpoint → the settings of one of our encoders, and its weights."""

import importlib
import inspect
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from anlage.encoders.checkpoints.config import Config
from anlage.encoders.checkpoints.family import Family
from anlage.encoders.checkpoints.source import folder_of
from anlage.encoders.checkpoints.tensors import Tensors
from anlage.encoders.checkpoints.vocabulary import ids_of
from anlage.encoders.checkpoints.wrapped import wrap
from anlage.encoders.settings import EncoderSettings
from anlage.errors import AnlageError


@dataclass
class Checkpoint:
    """A pretrained encoder before it is built."""

    settings: EncoderSettings
    weights: dict[str, Tensor] = field(repr=False)
    """The encoder's tensors by name, but for those of its pooling, which no checkpoint holds."""
    notes: list[str]
    """What was dropped or replaced, in words for the user."""
    digest: str
    """SHA-256 of the weight files."""


def families() -> dict[str, Family]:
    """``model_type`` of config.json → the family that is converted to our transformer: one file of this folder each."""
    package = __name__.rpartition(".")[0]
    found: dict[str, Family] = {}
    for name in sorted(module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)])):
        module = importlib.import_module(f"{package}.{name}")
        for _, cls in inspect.getmembers(module, inspect.isclass):
            if issubclass(cls, Family) and cls.__module__ == module.__name__ and not inspect.isabstract(cls):
                found[name] = cls()
    return found


def load(source: str | Path, tokens: Sequence[str]) -> Checkpoint:
    """Read a checkpoint in Hugging Face's format.

    Args:
        source: a folder with config.json and safetensors, or ``hf:ORG/NAME``, which is fetched once and then cached.
        tokens: the text of each token id that the modality sends ("<pad>", "<mask>", …, then letters); none for images.

    A family of this folder becomes our transformer; any other model that transformers knows is wrapped unchanged
    (family ``hub``). Raises AnlageError, in one line, for whatever does not fit; runs no code of the checkpoint, and
    opens no pickle.
    """
    folder = folder_of(source)
    config = Config.read(folder)
    tensors = Tensors(folder)
    family = families().get(config.word("model_type"))
    settings: EncoderSettings
    if family is None:
        settings, weights, notes = wrap(config, tensors, tokens)
    else:
        if not tokens:
            raise AnlageError(f"{folder}: {config.word('model_type')} models read sequences, which this input is not")
        ids, notes = ids_of(folder, tokens, config.whole("vocab_size", 2**24), exact=True)
        settings, weights, said = family.convert(config, tensors, ids)
        notes += said
    return Checkpoint(settings, weights, notes, tensors.digest())
