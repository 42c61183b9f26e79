"""Rows → training, validation and test rows, so that near-duplicates and groups never straddle."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix, csr_array
from scipy.sparse.csgraph import connected_components

from anlage.errors import AnlageError
from anlage.splits import given, times
from anlage.splits.balance import iterative
from anlage.splits.settings import SplitSettings

Strata: TypeAlias = np.ndarray | csr_array
"""[rows] the stratum of each row, or [rows, labels] 0/1, where rows have several labels."""


@dataclass
class Folds:
    """The part of every row: "train", "valid", "test" or "none" (not used)."""

    part: np.ndarray
    ids: np.ndarray
    how: str
    notes: list[str] = field(default_factory=list)
    valid_drawn: bool = False
    """Are the validation rows training rows that were set apart here, not a part that the table names?"""

    def rows(self, part: str) -> np.ndarray:
        """Row numbers of one part."""
        return np.flatnonzero(self.part == part)

    @property
    def hash(self) -> str:
        """sha256 over (id, part) of all rows, whatever their order: equal hashes mean equal splits."""
        lines = sorted(f"{i}\t{p}" for i, p in zip(self.ids, self.part, strict=True))
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    @property
    def counts(self) -> dict[str, int]:
        """Rows of each part that has any."""
        return {p: int((self.part == p).sum()) for p in ("train", "valid", "test", "none") if (self.part == p).any()}


def join_groups(labels: Sequence[np.ndarray]) -> np.ndarray:
    """[rows] one group number for each row: rows that share a number in any of ``labels`` (-1 = none) come together,
    and so do chains of such rows (union-find by connected components)."""
    n = len(labels[0])
    rows, nodes, offset = [], [], n
    for label in labels:
        known = label >= 0
        rows.append(np.flatnonzero(known))
        nodes.append(label[known] + offset)
        offset += int(label.max(initial=-1)) + 1
    left, right = np.concatenate(rows), np.concatenate(nodes)
    graph = coo_matrix((np.ones(len(left), dtype=bool), (left, right)), shape=(offset, offset))
    return connected_components(graph, directed=False)[1][:n]


def strata(truth: np.ndarray, discrete: bool, bins: int = 5) -> np.ndarray:
    """[rows] the stratum of each row by its first known target: its label, or its quantile."""
    first = pd.DataFrame(truth).bfill(axis=1).iloc[:, 0]
    if discrete:
        return pd.factorize(first)[0] + 1
    return pd.qcut(first, bins, labels=False, duplicates="drop").fillna(-1).to_numpy().astype(int) + 1


def draw(
    rows: np.ndarray, groups: np.ndarray, strata: Strata, fractions: dict[str, float], seed: int
) -> dict[str, np.ndarray]:
    """Draw ``rows`` into parts of about these fractions, whole groups at a time, each stratum or label alike.

    Groups in random order, large ones first, each to the part that its stratum still lacks most; where rows have
    several labels, by iterative stratification."""
    random = np.random.default_rng([seed, 7])
    several = strata.ndim == 2
    own = np.zeros(len(rows), dtype=np.int64) if several else strata[rows]
    frame = pd.DataFrame({"group": groups[rows], "stratum": own})
    table = (
        _by_group(frame)
        if len(np.unique(frame.group)) < len(frame)
        else frame.set_index("group").assign(size=1)[["size", "stratum"]]
    )
    table = table.iloc[random.permutation(len(table))].sort_values("size", ascending=False, kind="stable")
    names = list(fractions)
    wanted = np.array([fractions[name] for name in names])
    sizes = table["size"].to_numpy()
    if several:
        place = (table.index.get_indexer(frame.group), np.arange(len(rows)))
        member = csr_array((np.ones(len(rows), dtype=np.int64), place), shape=(len(table), len(rows)))
        chosen = iterative(csr_array(member @ strata[rows]), sizes, wanted, random)
    else:
        chosen = _alike(table, sizes, wanted, random)
    for number in range(len(names)):  # fewer groups than it takes: a part that stays empty gets the smallest group
        if not (chosen == number).any() and len(table) >= len(names):
            crowded = np.flatnonzero(chosen == np.bincount(chosen).argmax())
            chosen[crowded[-1]] = number
    part = pd.Series(chosen, index=table.index).reindex(frame.group).to_numpy()
    return {name: rows[part == number] for number, name in enumerate(names)}


def _by_group(frame: pd.DataFrame) -> pd.DataFrame:
    """The size of each group and its most frequent stratum (among equals the first)."""
    pairs = frame.groupby(["group", "stratum"]).size().rename("rows").reset_index()
    pairs = pairs.sort_values(["group", "rows", "stratum"], ascending=[True, False, True])
    most = pairs.drop_duplicates("group").set_index("group")["stratum"]
    return pd.DataFrame({"size": pairs.groupby("group")["rows"].sum(), "stratum": most})


def _alike(table: pd.DataFrame, sizes: np.ndarray, wanted: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """[groups] the number of the part of each group, in the order of ``table``: the one that its stratum lacks most."""
    strata, totals = table["stratum"], table.groupby("stratum")["size"].sum()
    few = totals[totals * wanted.min() < 1].index  # strata too small to reach every part are drawn as one
    strata = strata.where(~strata.isin(few), -1)
    totals = table["size"].groupby(strata).sum()
    lacking = {s: wanted * total + random.uniform(0, 0.5, len(wanted)) for s, total in totals.items()}
    chosen = np.empty(len(table), dtype=np.int64)
    for position, (size, stratum) in enumerate(zip(sizes, strata, strict=True)):
        best = int(np.argmax(lacking[stratum]))
        lacking[stratum][best] -= size
        chosen[position] = best
    return chosen


def assign(
    frame: pd.DataFrame, settings: SplitSettings, groups: np.ndarray, stratum: Strata, seed: int, by: str = "duplicates"
) -> Folds:
    """Divide the rows of ``frame`` (index = ids): by time where that is asked for, as its split column says where there
    is one, else at random by groups; ``by``: what rows of one group are, in words.

    Where the table names no validation rows they are drawn from the training rows."""
    ids = frame.index.to_numpy(dtype=object)
    column = given.column(frame, settings)
    if settings.time is not None:
        part, how, notes = times.parts(frame, settings)
        folds = Folds(part, ids, how, notes)
    elif column is not None:
        part, notes = given.parts(frame, column, settings.map)
        folds = Folds(part, ids, f"as column '{column}' says", notes)
    else:
        keep, test = 1 - settings.test_fraction, settings.test_fraction
        drawn = draw(np.arange(len(frame)), groups, stratum, {"train": keep, "test": test}, seed)
        part = np.full(len(frame), "train", dtype=object)
        part[drawn["test"]] = "test"
        folds = Folds(part, ids, f"random by groups of {by}, stratified, seed {seed}")
    return with_validation(folds, settings, groups, stratum, seed)


def with_validation(folds: Folds, settings: SplitSettings, groups: np.ndarray, stratum: Strata, seed: int) -> Folds:
    """The same folds; where they have no validation rows, these are drawn from the training rows."""
    if not len(folds.rows("valid")):
        rows, fraction = folds.rows("train"), settings.valid_fraction
        drawn = draw(rows, groups, stratum, {"train": 1 - fraction, "valid": fraction}, seed + 1)
        part = folds.part.copy()
        part[drawn["valid"]] = "valid"
        how = f"{folds.how}; {len(drawn['valid'])} validation rows drawn from the training rows"
        folds = replace(folds, part=part, how=how, valid_drawn=True)
    for name in ("train", "valid"):
        if not len(folds.rows(name)):
            count = len(np.unique(groups[folds.part != "none"]))
            raise AnlageError(f"no {name} rows are left: {count} groups of rows are too few for this split")
    return replace(folds, notes=folds.notes + straddling(folds, groups))


def cross_validation(
    ids: np.ndarray, settings: SplitSettings, groups: np.ndarray, stratum: Strata, seed: int, by: str = "duplicates"
) -> list[Folds]:
    """``settings.folds`` folds: each row is a test row once; groups stay together. ``by``: as for :func:`assign`."""
    k = settings.folds or 0
    names = {f"fold {i + 1}": 1 / k for i in range(k)}
    result = []
    for number, rows in enumerate(draw(np.arange(len(ids)), groups, stratum, names, seed).values()):
        part = np.full(len(ids), "train", dtype=object)
        part[rows] = "test"
        folds = Folds(part, ids, f"fold {number + 1} of {k}, by groups of {by}, stratified, seed {seed}")
        result.append(with_validation(folds, settings, groups, stratum, seed))
    return result


def straddling(folds: Folds, groups: np.ndarray) -> list[str]:
    """Notes on test and validation rows whose duplicates or group-mates stand among the training rows."""
    train = set(groups[folds.part == "train"])
    notes = []
    for part in ("valid", "test"):
        count = sum(group in train for group in groups[folds.part == part])
        if count:
            share = count / len(folds.rows(part))
            notes.append(f"LEAK: {count} {part} rows ({share:.1%}) have a duplicate or group-mate in training")
    return notes
