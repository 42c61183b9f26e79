"""Which rows of a plan are the same sample, nearly the same, or of one group: across any two sets of rows."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from anlage.modalities.inputs import Input
from anlage.modalities.protocol import Nearest
from anlage.planning import Plan, group_codes
from anlage.splits import owners
from anlage.splits.assign import Folds

_QUERIES, _REFERENCES = 200, 30


def silent(line: str) -> None:
    """Says nothing."""


@dataclass
class Kin:
    """The kinship of the rows of a plan. Row numbers are those of the table."""

    plan: Plan
    say: Callable[[str], None]

    @property
    def inputs(self) -> list[Input]:
        """The inputs by which samples are compared."""
        return self.plan.preparation.inputs

    @cached_property
    def equal(self) -> dict[str, np.ndarray]:
        """For each input [rows]: equal numbers are equal values after normalisation, -1 = missing."""
        return {i.name: i.modality.groups(self.plan.checked.frames[i.name]) for i in self.inputs}

    @cached_property
    def samples(self) -> np.ndarray:
        """[rows] equal numbers are equal in every input, -1 = nothing is there."""
        return together(list(self.equal.values()))

    @cached_property
    def similar(self) -> dict[str, np.ndarray]:
        """For each input [rows]: the number of its similarity group, -1 = missing."""
        found = {}
        for item in self.inputs:
            codes = self.equal[item.name]
            _, first, place = np.unique(codes, return_index=True, return_inverse=True)
            place = place.reshape(-1)
            distinct = self.plan.checked.frames[item.name].iloc[first]
            if not self.compares(item) or self.library(item):
                found[item.name] = codes
            else:
                found[item.name] = item.modality.similarity_groups(distinct, self.least(item), self.say)[place]
        return found

    @staticmethod
    def compares(item: Input) -> bool:
        """Can more be told of two values than whether they are equal?"""
        return bool(item.modality.similarity)

    def least(self, item: Input) -> float:
        """From which similarity on two values are too near: as the split has it, else as the field does."""
        return self.plan.least.get(item.name, item.modality.usual_similarity)

    def library(self, item: Input) -> bool:
        """Are most values variants of one another (a deep mutational scan)? Then near rows are the point of the table,
        no leak. Judged on some random training rows."""
        if item.name not in self._libraries:
            rows = self.plan.folds[0].rows("train")
            rows = rows[np.unique(self.equal[item.name][rows], return_index=True)[1]]
            drawn = np.random.default_rng(0).permutation(rows)[: _QUERIES + _REFERENCES]
            frame = self.plan.checked.frames[item.name]
            few, many = drawn[:_REFERENCES], drawn[_REFERENCES:]
            near = len(many) >= 20 and self.compares(item)
            hits = item.modality.nearest(frame.iloc[many], frame.iloc[few], self.least(item), silent) if near else None
            self._libraries[item.name] = hits is not None and bool((hits.rows >= 0).mean() > 0.5)
        return self._libraries[item.name]

    @cached_property
    def _libraries(self) -> dict[str, bool]:
        return {}

    def same(self, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        """[len(rows)] for each of ``rows`` one of ``others`` that is the same sample; -1 where there is none."""
        return partners(self.samples, rows, others)

    def near(self, rows: np.ndarray, others: np.ndarray) -> Nearest:
        """For each of ``rows`` the most similar of ``others`` (row numbers of the table; equal ones count as well).

        Several inputs: rows that fall into one similarity group in every input; how near they are is not known then."""
        if len(self.inputs) > 1:
            found = partners(together(list(self.similar.values())), rows, others)
            return Nearest(found, np.full(len(rows), np.nan))
        (item,) = self.inputs
        result = Nearest(self.same(rows, others), np.ones(len(rows)))
        result.similarity[result.rows < 0] = np.nan
        if not self.compares(item) or self.library(item):
            return result
        open_rows = np.flatnonzero((result.rows < 0) & (self.samples[rows] >= 0))
        if not len(open_rows) or not len(others):
            return result
        codes, frame = self.samples, self.plan.checked.frames[item.name]
        _, first, place = np.unique(codes[rows[open_rows]], return_index=True, return_inverse=True)
        kept = others[codes[others] >= 0]
        kept = kept[np.sort(np.unique(codes[kept], return_index=True)[1])]
        queries = frame.iloc[rows[open_rows[first]]]
        hits = item.modality.nearest(queries, frame.iloc[kept], self.least(item), self.say)
        found = np.where(hits.rows >= 0, kept[hits.rows], -1)[place.reshape(-1)]
        result.rows[open_rows], result.similarity[open_rows] = found, hits.similarity[place.reshape(-1)]
        return result

    @cached_property
    def groups(self) -> dict[str, np.ndarray]:
        """For each column that says what rows have in common, [rows] a number for each value, -1 = missing: the group
        column that was named, and repeating ids that were not."""
        named = self.plan.settings.split.group
        return {c: group_codes(self.plan.samples, c) for c in dict.fromkeys([*([named] if named else []), *unnamed(
            self.plan)])}  # fmt: skip


def unnamed(plan: Plan) -> list[str]:
    """Columns of repeating ids (patient, donor, slide, document) that are no input, target, split or named group."""
    taken = {column for item in plan.preparation.inputs for column in item.columns}
    taken |= {column for task in plan.preparation.tasks for column in task.columns}
    taken |= {str(plan.settings.split.group), str(plan.settings.split.split), str(plan.settings.split.time)}
    frame = plan.samples.frame
    return list(owners.repeating({str(c): frame[c] for c in frame if c not in taken}))


def together(codes: list[np.ndarray]) -> np.ndarray:
    """[rows] one number for each combination of numbers; -1 where all are -1."""
    if len(codes) == 1:
        return np.asarray(codes[0], dtype=np.int64)
    table = np.stack(codes, axis=1)
    joined = np.unique(table, axis=0, return_inverse=True)[1].reshape(-1)
    return np.where((table < 0).all(axis=1), -1, joined)


def partners(codes: np.ndarray, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """[len(rows)] for each of ``rows`` the first of ``others`` with the same number in ``codes`` [table rows]; -1 where
    there is none, and where it has no number."""
    order = others[np.argsort(codes[others], kind="stable")]
    place = np.searchsorted(codes[order], codes[rows])
    reached = np.append(order, 0)[place]
    hit = (codes[rows] >= 0) & (place < len(order)) & (codes[reached] == codes[rows])
    return np.where(hit, reached, -1).astype(np.int64)


def comparisons(plan: Plan) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """What is compared with what: (part, its rows, training rows), for the test part of every fold, and for the
    validation part where there is one split only (in a cross-validation it ends training, and judges nothing).
    Validation rows that were drawn from the training rows of the table count as such beside the test rows."""
    folds = tested(plan) or plan.folds[:1]
    found = []
    for one in tested(plan):
        learned = np.isin(one.part, ["train", "valid"] if one.valid_drawn else ["train"])
        found.append(("test", one.rows("test"), np.flatnonzero(learned)))
    if len(folds) == 1:
        found.append(("valid", folds[0].rows("valid"), folds[0].rows("train")))
    return found


def tested(plan: Plan) -> list[Folds]:
    """The splits of the plan that have test rows."""
    return [one for one in plan.folds if len(one.rows("test"))]


def part_rows(plan: Plan, part: str) -> np.ndarray:
    """The rows of the table that are of this part in any fold that is compared ("train": of the first)."""
    if part == "train":
        return plan.folds[0].rows("train")
    of = [rows for name, rows, _ in comparisons(plan) if name == part]
    return np.unique(np.concatenate(of)) if of else np.arange(0)
