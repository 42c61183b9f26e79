"""Which columns a model may learn from. Decided openly: each column that is left out has a printed reason."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from anlage.errors import AnlageError
from anlage.modalities.giveaways import Suspicion, suspicion
from anlage.modalities.protocol import Modality
from anlage.modalities.recognise import Recognised
from anlage.samples.samples import Samples


@dataclass
class Input:
    """One input of a model: its name, its modality and the columns that it reads."""

    name: str
    modality: Modality
    columns: list[str]


@dataclass
class Roles:
    """The inputs, and for each other column why it is none."""

    inputs: list[Input]
    left_out: list[tuple[str, str]]


def choose_inputs(
    samples: Samples,
    recognised: Mapping[str, Recognised],
    targets: Sequence[str],
    input: Sequence[str] = (),
    drop: Sequence[str] = (),
    reserved: Sequence[str] = (),
) -> Roles:
    """Choose the input columns.

    Args:
        samples: the table.
        recognised: the modality of each column.
        targets: the columns that hold targets.
        input: the columns that the user names; they win over every rule but that a target is no input.
        drop: columns that the user does not want.
        reserved: columns that name the split or the group.

    Raises:
        AnlageError: a named column does not exist, is a target, or is of no modality; nothing is left.
    """
    frame = samples.frame
    for option, columns in (("input", input), ("drop", drop), ("target", targets)):
        for column in columns:
            if column not in frame:
                listed = ", ".join(map(str, frame.columns[:12]))
                raise AnlageError(f"--{option} {column}: no such column in {samples.sources[0]}; there are {listed}")
    if input:
        return _named(frame, recognised, targets, input, drop)
    left_out: list[tuple[str, str]] = []
    chosen: list[str] = []
    context = Suspicion(frame, recognised, targets)
    for column in frame.columns:
        if column in targets:
            reason: str | None = "is a target"
        elif column in drop:
            reason = "dropped as you said"
        elif column in reserved:
            reason = "names the split or the group"
        else:
            reason = suspicion(column, context)
        if reason is None:
            chosen.append(column)
        else:
            left_out.append((column, reason))
    own = [c for c in chosen if not _modality(recognised, c).joins_columns]
    if own:
        beside = ", ".join(own)
        reason = f"metadata beside {beside}: name it with --input to learn from it too"
        left_out += [(c, reason) for c in chosen if c not in own]
        chosen = own
    if not chosen:
        reasons = "; ".join(f"{c}: {r}" for c, r in left_out if c not in targets)[:400]
        raise AnlageError(f"{samples.sources[0]}: no column left to learn from ({reasons}): name some with --input")
    order = {c: i for i, c in enumerate(frame.columns)}
    return Roles(_inputs(chosen, recognised), sorted(left_out, key=lambda pair: order[pair[0]]))


def _named(
    frame: pd.DataFrame,
    recognised: Mapping[str, Recognised],
    targets: Sequence[str],
    input: Sequence[str],
    drop: Sequence[str],
) -> Roles:
    for column in input:
        if column in targets:
            raise AnlageError(f"--input {column}: it is the target, so no model may see it")
        if column in drop:
            raise AnlageError(f"--input {column}: it stands under --drop as well")
        if recognised[column].modality is None:
            raise AnlageError(
                f"--input {column}: {recognised[column].evidence}; say what it is with --column {column}=MODALITY"
            )
    chosen = list(dict.fromkeys(input))
    others = [(c, "is a target" if c in targets else "not among --input") for c in frame.columns if c not in chosen]
    return Roles(_inputs(chosen, recognised), others)


def _inputs(chosen: list[str], recognised: Mapping[str, Recognised]) -> list[Input]:
    inputs: list[Input] = []
    joined: dict[str, Input] = {}
    for column in chosen:
        modality = _modality(recognised, column)
        if not modality.joins_columns:
            inputs.append(Input(column, modality, [column]))
        elif modality.name in joined:
            together = joined[modality.name]
            together.columns.append(column)
            if recognised[column].evidence == "as you said":
                together.modality = modality
        else:
            name = modality.name if modality.name not in chosen else f"{modality.name} columns"
            joined[modality.name] = Input(name, modality, [column])
            inputs.append(joined[modality.name])
    return inputs


def _modality(recognised: Mapping[str, Recognised], column: str) -> Modality:
    modality = recognised[column].modality
    assert modality is not None
    return modality
