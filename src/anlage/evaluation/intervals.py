"""Bootstrap intervals: of a metric, and of the difference between two predictions of the same rows.

Efron and Tibshirani, An Introduction to the Bootstrap (1993): percentile intervals; where samples come in groups
(patients, families), whole groups are drawn (the cluster bootstrap).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from anlage.metrics.metric import Metric

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A number, its interval (NaN where fewer than half of the resamples define it), and what it was measured on."""

    value: float
    low: float
    high: float
    n: int
    n_groups: int


@dataclass(frozen=True)
class Resampled:
    """A metric's value on all rows and on each resample."""

    value: float
    draws: Float[np.ndarray, " resamples"]


def group_numbers(groups: np.ndarray | None, n: int) -> Int[np.ndarray, " rows"]:
    """Groups renumbered from 0; without groups, and where a row has none (-1 or missing), each row is its own."""
    if groups is None:
        return np.arange(n)
    values = np.asarray(groups)
    codes, names = pd.factorize(np.where(values == -1, np.nan, values) if values.dtype.kind in "iu" else values)
    alone = codes == -1
    return np.where(alone, len(names) + np.cumsum(alone) - 1, codes)


def weights(groups: np.ndarray | None, n: int, resamples: int, seed: int) -> Int[np.ndarray, "resamples rows"]:
    """How often each of ``n`` rows stands in each resample: as many groups as there are (rows, without groups), drawn
    with replacement. Small unsigned integers: 2,000 resamples of 27,000 rows are 54 MB."""
    numbers = group_numbers(groups, n)
    g = int(numbers.max(initial=-1)) + 1
    rng = np.random.default_rng(seed)
    counts = np.empty((resamples, g), dtype=np.uint16)
    for row in counts:
        row[:] = np.bincount(rng.integers(0, g, g), minlength=g)
    if counts.max(initial=0) < 256:
        counts = counts.astype(np.uint8)
    return counts if g == n and (numbers == np.arange(n)).all() else counts[:, numbers]


def resample(metric: Metric, truth: np.ndarray, values: np.ndarray, weights: np.ndarray) -> Resampled:
    """The metric on all rows and on each resample: what intervals and differences are made of."""
    return Resampled(metric(truth, values), metric.function(truth, values, weights))


def _bounds(draws: np.ndarray) -> tuple[float, float]:
    defined = draws[~np.isnan(draws)]
    if len(defined) * 2 < max(1, len(draws)):
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def estimate(resampled: Resampled, truth: np.ndarray, groups: np.ndarray | None = None) -> Estimate:
    """The percentile interval, and the numbers of rows with a known truth and of their groups."""
    known = ~np.isnan(truth).all(axis=1)
    numbers = group_numbers(groups, len(truth))[known]
    return Estimate(resampled.value, *_bounds(resampled.draws), n=int(known.sum()), n_groups=len(np.unique(numbers)))


def difference(
    metric: Metric, a: Resampled, b: Resampled, truth: np.ndarray, groups: np.ndarray | None = None
) -> Estimate:
    """How much better a is than b, POSITIVE = a IS BETTER whichever way the metric points (an RMSE 0.1 lower is a
    difference of +0.1), with the paired interval: both are measured on the same resamples."""
    sign = 1.0 if metric.greater_is_better else -1.0
    return estimate(Resampled(sign * (a.value - b.value), sign * (a.draws - b.draws)), truth, groups)


def interval(
    metric: Metric, truth: np.ndarray, values: np.ndarray, weights: np.ndarray, groups: np.ndarray | None = None
) -> Estimate:
    """The metric with its percentile interval. ``truth`` [rows, outputs], ``values`` [rows, k], ``weights``
    [resamples, rows] of :func:`weights`; ``groups`` only counts groups."""
    return estimate(resample(metric, truth, values, weights), truth, groups)


def paired(
    metric: Metric,
    truth: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    weights: np.ndarray,
    groups: np.ndarray | None = None,
) -> Estimate:
    """:func:`difference` of two predictions [rows, k] of the same rows; positive = a is better."""
    first, second = (resample(metric, truth, values, weights) for values in (a, b))
    return difference(metric, first, second, truth, groups)
