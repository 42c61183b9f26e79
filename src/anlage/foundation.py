"""Encoders that were trained before: a bundle of ``anlage pretrain`` or ``anlage fit``, or a published checkpoint.

``--encoder runs/protein`` names a bundle, ``--encoder path/to/checkpoint`` a folder in Hugging Face's format,
``--encoder hf:ORG/NAME`` a model of the hub; options follow as for fresh encoders (``hf:ORG/NAME::dropout=0.1``).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anlage.bundle.read import is_bundle
from anlage.bundle.read import read as read_bundle
from anlage.encoders import lookup as encoders
from anlage.encoders.settings import EncoderSettings
from anlage.errors import AnlageError
from anlage.modalities import lookup as modalities
from anlage.modalities.protocol import Modality

if TYPE_CHECKING:
    from torch import Tensor, nn


HUB = "hf:"
OPTIONS = "::"
POOLING = "pooling."
"""What a checkpoint need not hold: an objective on tokens teaches no pooling."""

POSITIONS = "embedding.positions"
"""Vectors of the positions of a variant library: zero where the encoder was trained on other sequences."""


@dataclass
class Foundation:
    """A pretrained encoder, in memory, before it is built."""

    source: str
    """What the user named."""
    settings: EncoderSettings
    weights: dict[str, Tensor] = field(repr=False)
    """The encoder's parameters and buffers by name."""
    digest: str
    """SHA-256 of the weights."""
    modality: Modality | None
    """The fitted modality that it was trained with; None for published checkpoints."""
    notes: list[str] = field(default_factory=list)


def is_pretrained(text: str) -> bool:
    """Do these words name something that was trained before (and not a family of fresh encoders)?"""
    source = text.partition(OPTIONS)[0]
    return source.startswith(HUB) or Path(source).is_dir()


def reads(text: str, modality: Modality) -> bool:
    """Can what ``text`` names be the encoder of an input of this modality?"""
    source = text.partition(OPTIONS)[0]
    if is_bundle(source):
        return any(item["modality"]["modality"] == modality.name for item in read_bundle(source).inputs)
    return modality.layout in ("Tokens", "Grid")


def find(text: str, modality: Modality) -> Foundation:
    """Load what ``text`` names for an input of this modality. AnlageError where it is no sound checkpoint, or was
    trained on another kind of input."""
    source, _, options = text.partition(OPTIONS)
    found = _from_bundle(source, modality) if is_bundle(source) else _from_checkpoint(source, modality)
    return replace(found, settings=encoders.with_options(found.settings, options))


def _from_bundle(source: str, modality: Modality) -> Foundation:
    contents = read_bundle(source)
    fitting = [item for item in contents.inputs if item["modality"]["modality"] == modality.name]
    if not fitting:
        kinds = ", ".join(sorted({item["modality"]["modality"] for item in contents.inputs}))
        raise AnlageError(f"--encoder {source}: this bundle reads {kinds}, not {modality.name}")
    if len(fitting) > 1:
        raise AnlageError(f"--encoder {source}: this bundle has {len(fitting)} inputs of {modality.name}, not one")
    (item,) = fitting
    number = contents.inputs.index(item)
    begins = [name for name in contents.weights if name.startswith(f"encoders.{number}_")]
    prefix = ".".join(begins[0].split(".")[:2]) + "." if begins else ""
    weights = {name.removeprefix(prefix): contents.weights[name] for name in begins}
    return Foundation(source, encoders.from_json(item["encoder"]), weights, _digest(weights),
                      modalities.from_json(item["modality"]))  # fmt: skip


def _from_checkpoint(source: str, modality: Modality) -> Foundation:
    from anlage.encoders.checkpoints.load import load

    if modality.layout not in ("Tokens", "Grid"):
        raise AnlageError(f"--encoder {source}: published checkpoints read sequences or images, not {modality.name}")
    found = load(source, modality.tokens())
    return Foundation(source, found.settings, found.weights, found.digest, None, found.notes)


def fresh(encoder: nn.Module, foundation: Foundation) -> set[str]:
    """Names of the encoder's tensors that the foundation does not bring: its whole pooling, where the foundation lacks
    some of it or was trained with another."""
    own, brought = encoder.state_dict(), foundation.weights
    pooling = {name for name in own if name.startswith(POOLING)}
    same = all(name in brought and brought[name].shape == own[name].shape for name in pooling)
    return set() if same else pooling


def put_into(encoder: nn.Module, foundation: Foundation) -> None:
    """Give ``encoder``, built from the foundation's settings, its weights. Pooling that the foundation lacks starts as
    a plain mean. AnlageError where the tensors do not fit the encoder."""
    own, new = encoder.state_dict(), fresh(encoder, foundation)
    given = {name: tensor for name, tensor in foundation.weights.items()
             if name not in new and (name in own or not name.startswith(POOLING))}  # fmt: skip
    if POSITIONS in own and POSITIONS not in given:  # of a variant library: nothing was known of it
        given[POSITIONS] = own[POSITIONS].new_zeros(own[POSITIONS].shape)
    lacking = sorted(own.keys() - given.keys() - new)
    extra = sorted(given.keys() - own.keys())
    other = sorted(name for name in given.keys() & own.keys() if own[name].shape != given[name].shape)
    for names, what in ((lacking, "lacks"), (extra, "has no place for"), (other, "has another shape of")):
        if names:
            raise AnlageError(f"--encoder {foundation.source}: {what} {names[0]} ({len(names)} such tensors)")
    encoder.load_state_dict(given, strict=False)
    if new:
        encoder.pooling.start_as_mean()  # type: ignore[operator, union-attr]


def _digest(weights: dict[str, Any]) -> str:
    import hashlib

    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].contiguous().view(-1).numpy().tobytes())
    return digest.hexdigest()
