"""What makes the vectors: a bundle, or an encoder that was trained before, with the inputs that it reads."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from anlage import __version__
from anlage.bundle.contents import INDEX
from anlage.bundle.read import is_bundle
from anlage.bundle.read import read as read_bundle
from anlage.bundle.seal import file_hash
from anlage.encoders import lookup as encoders
from anlage.errors import AnlageError
from anlage.foundation import OPTIONS, find, is_pretrained, put_into, reads
from anlage.modalities import lookup as modalities
from anlage.modalities.inputs import Input
from anlage.modalities.recognise import recognise
from anlage.model import Model
from anlage.run import Run
from anlage.training.preparation import Preparation

WHOLE = 1_000_000
"""Letters of a sequence that a published encoder is given at most: it knows itself how to read long ones."""
SCALED_BY = 256
"""Images by whose pixels all are scaled, where a published encoder does not say how."""

Say = Callable[[str], None]


@dataclass
class Source:
    """A model, its prepared inputs, and all that its vectors depend on but the rows (JSON-able)."""

    preparation: Preparation
    model: Model
    identity: dict[str, Any]


def fitted(source: str | Run) -> Run | None:
    """The bundle of ``anlage fit`` that is or was named; None where it is an encoder that was trained before.
    AnlageError where it is neither."""
    if isinstance(source, str):
        path = source.partition(OPTIONS)[0]
        if not is_bundle(path):
            if not is_pretrained(source):
                raise AnlageError(f"{source}: no bundle, no folder of a checkpoint, and no hf:ORG/NAME")
            return None
        source = Run(path)
    return None if source.contents.pretrained else source


def from_run(run: Run, column: str | None) -> Source:
    """All inputs of a bundle of ``anlage fit``, fused. The run's own model stays as it is."""
    if column is not None:
        own = ", ".join(name for item in run.preparation.inputs for name in item.columns[:5])
        raise AnlageError(f"--column {column}: a bundle of `anlage fit` reads its own columns ({own}): leave it out")
    identity = {"anlage": __version__, "sha256": file_hash(run.path / INDEX)}
    return Source(Preparation(run.preparation.inputs, []), deepcopy(run.model), identity)


def from_pretrained(text: str, column: str | None, first: pd.DataFrame, say: Say) -> Source:
    """One input through a pretrained encoder. ``column``: "NAME" or "NAME=MODALITY:..." of the user's; ``first``: the
    first rows of the table, by which its columns are recognised. The vector of a sequence is what the encoder's pooling
    gives: the mean over its residues in published models and after objectives on tokens."""
    item = _input(text, column, first)
    foundation = find(text, item.modality)
    notes = list(foundation.notes)
    if foundation.modality is not None:
        item.modality = foundation.modality
    elif hasattr(item.modality, "max_length"):
        if "max_length=" not in (column or ""):
            item.modality = replace(item.modality, max_length=WHOLE)  # type: ignore[call-arg]
    else:
        frame = item.modality.check(first[item.columns].iloc[:SCALED_BY]).frame
        item.modality.fit(frame[frame.notna().any(axis=1)])
        notes.append(f"{item.name}: scaled by the mean and deviation of the first {len(frame):,} rows")
    model = Model({item.name: encoders.build(foundation.settings, item.modality.shape)}, [])
    put_into(model.encoder(item.name), foundation)
    for note in [*notes, f"embedding {', '.join(item.columns[:5])}: {item.modality.name}"]:
        say(note)
    identity = {
        "anlage": __version__,
        "sha256": foundation.digest,
        "columns": item.columns,
        "modality": item.modality.to_json(),
        "encoder": encoders.to_json(foundation.settings),
    }
    return Source(Preparation([item], []), model, identity)


def _input(text: str, column: str | None, first: pd.DataFrame) -> Input:
    """The input to embed: the column that the user names, else the one that a bundle was trained on, else the only one
    that the source can read."""
    source = text.partition(OPTIONS)[0]
    if column is None and is_bundle(source):
        known = [item for item in read_bundle(source).inputs if set(item["columns"]) <= set(first.columns)]
        if len(known) == 1:
            (item,) = known
            return Input(item["name"], modalities.from_json(item["modality"]), list(item["columns"]))
    if column is None:
        found = recognise(first)
    elif column in first:
        found = recognise(first[[column]])
    else:
        found = {name: one for name, one in recognise(first, [column]).items() if column.startswith(f"{name}=")}
    able = {name: one.modality for name, one in found.items() if one.modality and reads(text, one.modality)}
    if len(able) == 1:
        ((name, modality),) = able.items()
        return Input(name, modality, [name])
    if able:
        raise AnlageError(f"{text} can read the columns {', '.join(able)}: name one with --column")
    seen = ", ".join(f"{name} ({one.modality.name if one.modality else 'unknown'})" for name, one in found.items())
    raise AnlageError(f"{text} reads none of the columns {seen[:400]}: say what one is with --column NAME=MODALITY")
