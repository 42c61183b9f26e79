"""Split conformal prediction: sets of labels, or intervals of numbers, that hold the truth as often as was asked.

Classification: a label belongs to the set where 1 − its probability is at most a limit (LAC: Sadinle, Lei and Wasserman
2019; the smallest sets on average); one limit for each label (Mondrian: Vovk 2012) where every label has enough rows.
Regression: the prediction ± a limit of the absolute residual (Lei et al. 2018).

The limit is a quantile of scores on calibration rows. Where rows come in groups (patients, families) they are not
exchangeable, groups are: each of K groups weighs 1/(K + 1), shared by its rows (hierarchical conformal prediction: Lee,
Barber and Willett 2024; Dunn, Wasserman and Ramdas 2023). Promised is then: a random row of a NEW group is held with at
least the asked probability. Groups of one row are the usual split conformal prediction.

Scores are those of the model's own probabilities, before calibration: had calibration seen these rows first, they
would no longer be exchangeable with new ones. (Own code and not crepes, which does not weigh groups; the rest is
one quantile. Limits for rows without groups were checked against crepes 0.9.1.)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anlage.errors import AnlageError
from anlage.evaluation.intervals import group_numbers
from anlage.evaluation.proportions import proportion
from anlage.evaluation.reliability import point_json

FEWEST = 20
"""Calibration rows (groups) that a limit needs: with fewer, the coverage is kept only on average over limits that
differ wildly. Under one limit for all labels a rare one may never be held, so each has its own where each has this many
rows."""
MOST_LIMITS = 100_000


def limit(scores: np.ndarray, groups: np.ndarray | None, coverage: float) -> float:
    """The smallest score such that scores up to it have at least ``coverage`` of the weight, each of K groups weighing
    1/(K + 1) and the one to come the rest; infinite where there are too few groups. ``scores`` [rows]."""
    numbers = group_numbers(groups, len(scores))
    units, own = np.unique(numbers, return_inverse=True)
    if not len(units):
        return math.inf
    order = np.argsort(scores, kind="stable")
    weight = (1 / np.bincount(own))[own][order] / (len(units) + 1)
    place = int(np.searchsorted(np.cumsum(weight), coverage - 1e-9))
    return float(scores[order][place]) if place < len(scores) else math.inf


@dataclass(frozen=True)
class Conformal:
    """``limits``: of 1 − probability for each label (classification); of the residual for each output (regression)."""

    task: str
    coverage: float
    limits: tuple[float, ...]
    by_label: bool
    rows: int
    groups: int

    @property
    def method(self) -> str:
        """In words, with what is promised."""
        of = f"{self.rows:,} rows" if self.groups == self.rows else f"{self.rows:,} rows in {self.groups:,} groups"
        what = "prediction ± a limit" if self.task == "regression" else "sets of labels, with the predicted one"
        limits = "" if self.task == "regression" else ", one limit for each label" if self.by_label else ", one limit"
        who = (
            "for each label"
            if self.by_label
            else "over all rows"
            if self.task == "regression"
            else "over all rows, a rare label far less often"
        )
        new = "" if self.groups == self.rows else ", for a random row of a new group"
        return f"split conformal prediction on {of}: {what}{limits}; at least {self.coverage:.0%} {who}{new}"

    def conforming(self, values: np.ndarray) -> np.ndarray:
        """[rows, labels] bool: the labels within their limits. A row may have none."""
        return 1 - values <= np.array(self.limits)

    def sets(self, values: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        """[rows, labels] bool: :meth:`conforming`, and always the ``predicted`` label [rows]. An empty set, or one
        that contradicts the prediction, would help nobody, and the truth is held no less often."""
        return self.conforming(values) | (np.arange(values.shape[1]) == predicted[:, None])

    def bounds(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Regression: lower and upper ends, [rows, outputs] each."""
        return values - np.array(self.limits), values + np.array(self.limits)

    def measure(
        self,
        labels: Sequence[str],
        truth: np.ndarray,
        values: np.ndarray,
        predicted: np.ndarray,
        weights: np.ndarray,
        groups: np.ndarray | None,
    ) -> dict[str, Any]:
        """How often the truth is held, with its interval, how large sets are (mean number of labels; median width), and
        both for each label or output, on rows that were not used to calibrate. ``labels`` names labels or outputs."""
        if self.task == "regression":
            low, high = self.bounds(values)
            inside, known = (low <= truth) & (truth <= high), ~np.isnan(truth)
            each = {n: _held(inside[:, i], known[:, i], weights, groups) for i, n in enumerate(labels)}
            size = float(np.median(high - low)) if len(values) else math.nan
            held = _held(inside.sum(1), known.sum(1), weights, groups)
            by_label = each if len(labels) > 1 else {}
        else:
            of = ~np.isnan(truth[:, 0])
            classes = np.where(of, truth[:, 0], 0).astype(np.int64)
            sets = self.sets(values, predicted)
            hits = sets[np.arange(len(sets)), classes]
            size = float(sets[of].sum(1).mean()) if of.any() else math.nan
            held = _held(hits, of, weights, groups)
            by_label = {label: _held(hits, of & (classes == c), weights, groups) for c, label in enumerate(labels)}
        return {"held": held, **point_json({"size": size}), "by_label": by_label}

    def to_json(self) -> dict[str, Any]:
        fields = {"coverage": self.coverage, "limits": list(self.limits), "by_label": self.by_label}
        return fields | {"rows": self.rows, "groups": self.groups}

    @staticmethod
    def from_json(state: Any, task: str, outputs: int) -> "Conformal":
        """From :meth:`to_json`; AnlageError where that is not what it is."""
        try:
            limits = tuple(float(x) for x in state["limits"][:MOST_LIMITS])
            right = len(limits) == outputs and all(math.isfinite(x) for x in limits)
            if not right or not 0 < float(state["coverage"]) < 1 or not isinstance(state["by_label"], bool):
                raise ValueError
            counts = int(state["rows"]), int(state["groups"])
            return Conformal(task, float(state["coverage"]), limits, state["by_label"], *counts)
        except (KeyError, OverflowError, TypeError, ValueError):
            raise AnlageError("bundle: the stored conformal limits are damaged; train the model again") from None


def _held(hits: np.ndarray, of: np.ndarray, weights: np.ndarray, groups: np.ndarray | None) -> dict[str, Any]:
    found = proportion(hits, of, weights, groups)
    return point_json({"value": found.value, "low": found.low, "high": found.high, "n": found.n})


def fit_conformal(
    task: str, truth: np.ndarray, values: np.ndarray, groups: np.ndarray | None, coverage: float
) -> Conformal | str:
    """Limits from the calibration rows of a classification or regression target, or why there are none.

    ``truth`` [rows, outputs], ``values`` [rows, k] of the model before calibration, ``groups`` [rows] or None.
    """
    known = ~np.isnan(truth)
    rows = known.any(1)
    units = group_numbers(groups, len(truth))
    outputs = [(known[:, i], np.abs(truth[:, i] - values[:, i])) for i in range(truth.shape[1])]
    if task == "classification":
        classes = np.where(rows, truth[:, 0], 0).astype(np.int64)
        outputs = [(rows, 1 - values[np.arange(len(values)), classes])]
    fewest = min(len(np.unique(units[of])) for of, _ in outputs)
    needed = max(FEWEST, math.ceil(1 / (1 - coverage) - 1e-9))
    if fewest < needed:
        what = "rows" if groups is None else "groups of rows"
        return f"no sets or intervals: {fewest:,} {what} to calibrate on, at least {needed} are needed"
    by_label = False
    if task == "classification":
        of_class = [rows & (classes == c) for c in range(values.shape[1])]
        by_label = min(len(np.unique(units[of])) for of in of_class) >= needed
        scores = outputs[0][1]
        outputs = [(of, scores) for of in (of_class if by_label else [rows] * values.shape[1])]
    limits = tuple(limit(scores[of], units[of], coverage) for of, scores in outputs)
    return Conformal(task, coverage, limits, by_label, int(rows.sum()), len(np.unique(units[rows])))
