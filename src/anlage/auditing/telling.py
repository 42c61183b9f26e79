"""How well a single column says the target, on training rows alone: its levels or quantiles, cross-validated.

A column becomes a few discrete codes (levels of a category; up to 32 quantiles of a number; missing is a level of its
own). The prediction for a code is the smoothed mean of the target (or frequency of each class) among the other folds'
rows of that code: target statistics, as in Micci-Barreca 2001.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from anlage.evaluation.intervals import Estimate, Resampled, estimate, weights
from anlage.metrics.classification import binary_auroc
from anlage.metrics.weighted import weighted_mean
from anlage.samples.values import PARTS
from anlage.tasks.protocol import Task

FOLDS = 5
_BINS, _ROWS_A_BIN = 32, 10
_PRIOR = 2.0
"""A code's statistics count this many rows of the overall mean more."""
_LABELS = 30
"""Labels of a multi-label target that are tried, the most frequent ones."""
_RESAMPLES = 200
_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|\d{1,2}:\d{2}")


@dataclass
class Answer:
    """How well something says the target by itself."""

    measure: str
    """AUROC, or the share of the accuracy above the most frequent label's, or R2."""
    value: float
    resample: Callable[[np.ndarray], np.ndarray]
    """[resamples, rows] → the measure on each."""

    def interval(self, groups: np.ndarray) -> Estimate:
        """By the bootstrap over groups."""
        n = len(groups)
        draws = self.resample(weights(groups, n, _RESAMPLES, 0))
        return estimate(Resampled(self.value, draws), np.zeros((n, 1)), groups)

    @property
    def strength(self) -> float:
        """0 = chance, 1 = perfect."""
        return self._scaled(self.value)

    def surely(self, groups: np.ndarray) -> float:
        """The strength at the lower end of the interval."""
        return self._scaled(self.interval(groups).low)

    def _scaled(self, value: float) -> float:
        return 2 * value - 1 if self.measure == "AUROC" else value


class Target:
    """A target of the training rows, to be told by single columns."""

    def __init__(self, task: Task, frame: pd.DataFrame, groups: np.ndarray):
        """``task`` is fitted on these rows here. AnlageError where it cannot be."""
        self.task = type(task)(task.target, task.columns).fit(frame)
        truth = self.task.encode(frame).astype(float)
        self.rows = np.flatnonzero(~np.isnan(truth).all(axis=1))
        self.truth = truth[self.rows]
        groups = groups[self.rows]
        alone = np.bincount(groups[groups >= 0], minlength=1).max() > 0.5 * len(groups)
        self.groups = np.arange(len(groups)) if alone or (groups < 0).any() else groups
        numbers = np.unique(self.groups, return_inverse=True)[1].reshape(-1)
        drawn = np.random.default_rng(0).permutation(numbers.max(initial=0) + 1)
        self.fold = drawn[numbers] % FOLDS

    def told_by(self, codes: np.ndarray) -> Answer | None:
        """How well ``codes`` [training rows] say it; None where that cannot be measured (too few rows or groups)."""
        codes = np.unique(codes[self.rows], return_inverse=True)[1].reshape(-1)
        if len(codes) < 2 * _ROWS_A_BIN or codes.max(initial=0) == 0 or len(np.unique(self.fold)) < FOLDS:
            return None
        if self.task.name == "regression":
            answers = [self._number(codes, column) for column in self.truth.T]
        elif self.task.name == "multilabel":
            frequent = np.argsort(-np.nansum(self.truth, axis=0), kind="stable")[:_LABELS]
            answers = [self._yes_or_no(codes, self.truth[:, label]) for label in frequent]
        elif self.truth.max() == 1:
            answers = [self._yes_or_no(codes, self.truth[:, 0])]
        else:
            answers = [self._classes(codes, self.truth[:, 0].astype(np.int64))]
        return max((a for a in answers if a is not None and np.isfinite(a.value)), key=lambda a: a.value, default=None)

    def _means(self, codes: np.ndarray, values: np.ndarray) -> np.ndarray:
        """[rows] the smoothed mean of ``values`` (NaN = unknown) among rows of the same code in the other folds."""
        known = ~np.isnan(values)
        k, filled = codes.max() + 1, np.nan_to_num(values)
        cells = codes * FOLDS + self.fold
        counts = np.bincount(cells, known, k * FOLDS).reshape(k, FOLDS)
        sums = np.bincount(cells, filled * known, k * FOLDS).reshape(k, FOLDS)
        counts, sums = (table.sum(1, keepdims=True) - table for table in (counts, sums))
        overall = sums.sum(0) / np.maximum(1, counts.sum(0))
        return ((sums + _PRIOR * overall) / (counts + _PRIOR))[codes, self.fold]

    def _yes_or_no(self, codes: np.ndarray, truth: np.ndarray) -> Answer | None:
        known, positive = ~np.isnan(truth), truth == 1
        if min(positive.sum(), (known & ~positive).sum()) < _ROWS_A_BIN:
            return None
        scores = self._means(codes, truth)

        def auroc(counts: np.ndarray) -> np.ndarray:
            return binary_auroc(positive[known], scores[known], counts[:, known])

        return Answer("AUROC", float(auroc(np.ones((1, len(truth))))[0]), auroc)

    def _classes(self, codes: np.ndarray, truth: np.ndarray) -> Answer:
        classes, k = int(truth.max()) + 1, codes.max() + 1
        right = np.zeros(len(truth))
        plain = np.zeros(len(truth))
        for fold in range(FOLDS):
            here = self.fold == fold
            cells = np.bincount(codes[~here] * classes + truth[~here], minlength=k * classes).reshape(k, classes)
            prior = cells.sum(0) / max(1, cells.sum())
            right[here] = (cells + _PRIOR * prior).argmax(1)[codes[here]] == truth[here]
            plain[here] = prior.argmax() == truth[here]

        def gain(counts: np.ndarray) -> np.ndarray:
            most = weighted_mean(plain, counts)
            return (weighted_mean(right, counts) - most) / np.maximum(1 - most, 1e-9)

        return Answer("gain in accuracy", float(gain(np.ones((1, len(truth))))[0]), gain)

    def _number(self, codes: np.ndarray, truth: np.ndarray) -> Answer | None:
        known = ~np.isnan(truth)
        if known.sum() < 2 * _ROWS_A_BIN or np.nanstd(truth) == 0:
            return None
        y, guess = truth[known], self._means(codes, truth)[known]

        def r2(counts: np.ndarray) -> np.ndarray:
            w = counts[:, known]
            mean, square = weighted_mean(y, w), weighted_mean(y**2, w)
            return 1 - weighted_mean((y - guess) ** 2, w) / np.maximum(square - mean**2, 1e-300)

        return Answer("R2", float(r2(np.ones((1, len(truth))))[0]), r2)


def readings(values: pd.Series) -> dict[str, np.ndarray]:
    """What can be read from a column of training rows: what (in words) → codes [rows]; "" = the values as they are.

    Text also gives its number, its prefix and its length; dates are read as numbers. Nothing for arrays and lists."""
    known = values.dropna()
    if not len(known) or not isinstance(known.iloc[0], str | int | float | bool | np.generic):
        return {}
    numbers = pd.to_numeric(values, errors="coerce") if not _is_text(known) else pd.Series(np.nan, values.index)
    if numbers.notna().sum() == len(known):
        return {"": quantiles(numbers.to_numpy(dtype=float))}
    text = values.where(values.notna(), "").astype(str)
    found: dict[str, np.ndarray] = {}
    if known.astype(str).nunique() <= max(20, 0.2 * len(known)):
        found[""] = pd.factorize(text)[0]
    if known.astype(str).iloc[:50].str.fullmatch(rf"\s*({_DATE.pattern})([T ].*)?\s*").mean() > 0.9:
        dates = pd.to_datetime(values, errors="coerce", format="mixed", utc=True)
        days = dates.astype("int64").where(dates.notna()).to_numpy(dtype=float)
        return found | {"its date": quantiles(days)}
    names = text.str.replace(r"^.*[/\\]", "", regex=True)  # a file's name: its folders often name the label
    stems = names.str.replace(r"\.[A-Za-z]{2,5}$", "", regex=True)
    found["its number"] = quantiles(
        pd.to_numeric(stems.str.extract(r"(\d{1,15})\D*$")[0], errors="coerce").to_numpy(float)
    )
    found["its prefix"] = _levels(stems.str.extract(r"^([A-Za-z]*)")[0])
    found["its length"] = quantiles(names.str.len().to_numpy(dtype=float))
    found["its ending"] = _levels(names.str.extract(r"(\.[A-Za-z]{2,5})$")[0].fillna(""))
    return {what: codes for what, codes in found.items() if len(np.unique(codes)) > 1}


def _is_text(known: pd.Series) -> bool:
    """Text that is no number throughout."""
    if known.dtype != object:
        return False
    return bool(pd.to_numeric(known, errors="coerce").isna().any()) or known.map(lambda v: isinstance(v, bool)).any()


def _levels(text: pd.Series) -> np.ndarray:
    """Codes of the most frequent texts; the others share one."""
    codes, names = pd.factorize(text.str.lower().map(lambda t: t if t not in PARTS else ""))
    if len(names) <= _BINS:
        return codes
    frequent = np.argsort(-np.bincount(codes), kind="stable")[: _BINS - 1]
    return np.where(np.isin(codes, frequent), codes, len(names))


def quantiles(numbers: np.ndarray) -> np.ndarray:
    """[rows] which of about 32 quantiles (fewer where rows are few); missing = a code of its own."""
    known = np.isfinite(numbers)
    distinct = np.unique(numbers[known])
    bins = int(np.clip(known.sum() // _ROWS_A_BIN, 2, _BINS))
    codes = np.full(len(numbers), -1)
    if len(distinct) <= bins:
        codes[known] = np.searchsorted(distinct, numbers[known])
    else:
        edges = np.unique(np.quantile(numbers[known], np.linspace(0, 1, bins + 1)[1:-1]))
        codes[known] = np.searchsorted(edges, numbers[known], side="right")
    return codes + 1
