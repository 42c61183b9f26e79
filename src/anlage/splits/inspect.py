"""A look at a table before anything is learned from it: columns, kinds, lengths, gaps, labels, duplicates, bad rows."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from anlage.errors import AnlageError, Problem
from anlage.modalities.inputs import Roles, choose_inputs
from anlage.modalities.recognise import Recognised
from anlage.samples.samples import Samples

if TYPE_CHECKING:
    from rich.console import Group

_MANY_LABELS = 50
_EXAMPLES = 5


@dataclass
class ColumnView:
    """One column: its modality (None: read by none) and the evidence, missing and distinct values, and
    (min, median, max) of its lengths where it holds sequences, of its values where it holds numbers."""

    name: str
    modality: str | None
    evidence: str
    missing: int
    distinct: int | None
    lengths: tuple[float, float, float] | None = None
    numbers: tuple[float, float, float] | None = None
    bad: int = 0


@dataclass
class Duplicates:
    """Rows whose inputs are the same after normalisation, and those among them with different labels."""

    inputs: list[str]
    groups: int = 0
    rows: int = 0
    conflicts: dict[str, int] = field(default_factory=dict)
    """Target column → number of groups whose rows disagree."""
    examples: dict[str, list[list[str]]] = field(default_factory=dict)
    """Target column → ids of rows that disagree, a few groups."""


@dataclass
class Inspection:
    """What was found; ``render`` shows it, ``to_json`` keeps it."""

    sources: list[str]
    rows: int
    columns: list[ColumnView]
    labels: dict[str, dict[str, int]]
    """Target column → label → number of rows."""
    left_out: list[tuple[str, str]]
    duplicates: Duplicates | None
    problems: list[Problem]
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON-able values."""
        return asdict(self)

    def render(self, width: int = 20) -> "Group":
        """Tables and lines for a terminal; at most ``width`` rows of each."""
        from anlage.splits.inspect_view import render

        return render(self, width)


def inspect(samples: Samples, recognised: Mapping[str, Recognised], targets: Sequence[str] | None = None) -> Inspection:
    """Look at a table.

    Args:
        samples: the table.
        recognised: the modality of each column.
        targets: target columns; then labels are counted and conflicts are looked for.

    Raises:
        AnlageError: a target is no column of the table.
    """
    targets = list(targets or ())
    frame = samples.frame
    if absent := [t for t in targets if t not in frame]:
        listed = ", ".join(map(str, frame.columns[:12]))
        raise AnlageError(f"--target {absent[0]}: no such column in {samples.sources[0]}; there are {listed}")
    try:
        roles = choose_inputs(samples, recognised, targets)
    except AnlageError:
        # Nothing to learn from is for ``fit`` to refuse; here the columns are still worth a look.
        roles = Roles([], [])
    views = [_view(str(c), frame[c], recognised[c]) for c in frame.columns]
    problems, notes = list(samples.problems), list(samples.notes)
    groups: dict[str, np.ndarray] = {}
    for each in roles.inputs:
        checked = each.modality.check(frame[each.columns])
        problems += checked.problems
        notes += checked.notes
        groups[each.name] = each.modality.groups(checked.frame)
        for view in views:
            if view.name in each.columns:
                view.bad = sum(p.column == view.name for p in checked.problems)
    return Inspection(
        sources=samples.sources,
        rows=len(samples),
        columns=views,
        labels={t: _labels(frame[t]) for t in targets},
        left_out=roles.left_out,
        duplicates=_duplicates(frame, groups, targets) if groups else None,
        problems=problems,
        notes=notes,
    )


def _view(name: str, values: pd.Series, recognised: Recognised) -> ColumnView:
    present = values.dropna()
    view = ColumnView(
        name=name,
        modality=recognised.modality.name if recognised.modality else None,
        evidence=recognised.evidence,
        missing=len(values) - len(present),
        distinct=None if _cells(present) else int(present.nunique()),
    )
    if not len(present):
        return view
    if values.dtype != object and values.dtype != bool:
        view.numbers = _three(present.to_numpy(dtype=np.float64))
    elif recognised.modality is not None and recognised.modality.layout == "Tokens":
        view.lengths = _three(present.astype(str).str.len().to_numpy(dtype=np.float64))
    elif _cells(present):
        view.lengths = _three(np.array([np.size(v) for v in present], dtype=np.float64))
    return view


def _cells(values: pd.Series) -> bool:
    """Does the column hold arrays or lists?"""
    return values.dtype == object and any(isinstance(v, (list, np.ndarray)) for v in values.iloc[:100])


def _three(numbers: np.ndarray) -> tuple[float, float, float]:
    return float(numbers.min()), float(np.median(numbers)), float(numbers.max())


def _labels(values: pd.Series) -> dict[str, int]:
    """How often each label stands there; for numbers with many values only how many there are."""
    counts = values.astype(str).where(values.notna(), "(missing)").value_counts()
    if len(counts) > _MANY_LABELS and values.dtype != object:
        return {"(numbers)": int(values.notna().sum()), "(missing)": int(values.isna().sum())}
    return {str(k): int(n) for k, n in counts.items()}


def _duplicates(frame: pd.DataFrame, groups: dict[str, np.ndarray], targets: list[str]) -> Duplicates:
    """Rows count as the same where all inputs are; rows that miss any input are like no other row."""
    table = np.stack(list(groups.values()), axis=1)
    found = Duplicates(list(groups))
    whole = np.flatnonzero((table >= 0).all(axis=1))
    _, number, size = np.unique(table[whole], axis=0, return_inverse=True, return_counts=True)
    number = number.reshape(-1)
    found.groups, found.rows = int((size > 1).sum()), int(size[size > 1].sum())
    repeated = whole[size[number] > 1]
    key = number[size[number] > 1]
    for target in targets:
        labels = frame[target].iloc[repeated]
        known = labels.notna().to_numpy()
        by_group = labels[known].astype(str).groupby(key[known])
        conflicts = by_group.nunique()
        bad = conflicts.index[conflicts > 1]
        found.conflicts[target] = len(bad)
        found.examples[target] = [[str(i) for i in by_group.get_group(g).index[:4]] for g in bad[:_EXAMPLES]]
    return found
