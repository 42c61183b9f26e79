"""Bootstrap intervals: of a metric, and of the difference between two predictions of the same rows.

Resamples say how much a number varies (Efron and Tibshirani 1993); where samples come in groups (patients, families),
whole groups are drawn (the cluster bootstrap). From that spread and the metric's bounds the interval is made:

- A share, an area under a curve, a correlation (two bounds): Wilson's score interval with the number of rows that would
  vary as much (as for shares of clustered samples: Kott and Carr 1997; Korn and Graubard 1998). It never ends beyond
  a bound, and does not shrink to nothing where a small test set holds no error.
- An error (one bound): Student's t on the logarithm. A difference (no bound): Student's t.

Percentiles and BCa (Efron 1987) were left for these because of what benchmarks/coverage.py shows: with few groups or
few positives percentiles hold the true value too seldom (Hesterberg 2015), BCa does for differences.

What a spread rests on is counted as well: where few rows (the rare positives) decide it, t has few degrees of freedom,
by the kurtosis of the jackknife's influences (Satterthwaite 1946), and never more than groups − 1.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.special import stdtr, stdtrit

from anlage.metrics.metric import Metric

LEVEL = 0.95
BLOCKS = 200
"""The jackknife leaves out each group in turn; more groups than this are left out in as many random blocks."""
FREE = (-math.inf, math.inf)
Measure = Callable[[np.ndarray], np.ndarray]


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
    """A number on all rows and on each resample."""

    value: float
    draws: Float[np.ndarray, " resamples"]
    measure: Measure | None = field(default=None, repr=False)
    """Weights [resamples, rows] → the number for each. Without it the degrees of freedom are those of the groups."""
    bounds: tuple[float, float] = FREE
    """The values that the number can have."""


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

    def measure(w: np.ndarray) -> np.ndarray:
        return metric.function(truth, values, w)

    return Resampled(metric(truth, values), measure(weights), measure, metric.bounds)


def estimate(resampled: Resampled, truth: np.ndarray, groups: np.ndarray | None = None) -> Estimate:
    """The number with its 95 % interval, and the numbers of rows with a known truth and of their groups. ``groups`` as
    for :func:`weights`."""
    known = ~np.isnan(truth).all(axis=1)
    numbers = group_numbers(groups, len(truth))
    units = np.unique(numbers[known])
    low, high = _ends(resampled, numbers, units)
    return Estimate(resampled.value, low, high, n=int(known.sum()), n_groups=len(units))


def difference(
    metric: Metric, a: Resampled, b: Resampled, truth: np.ndarray, groups: np.ndarray | None = None
) -> Estimate:
    """How much better a is than b, POSITIVE = a IS BETTER whichever way the metric points (an RMSE 0.1 lower is a
    difference of +0.1), with the paired interval: both are measured on the same resamples."""
    return estimate(subtract(metric, a, b), truth, groups)


def subtract(metric: Metric, a: Resampled, b: Resampled) -> Resampled:
    """How much better a is than b, on all rows and on each resample that both share."""
    sign = 1.0 if metric.greater_is_better else -1.0
    one, two = a.measure, b.measure
    both = None if one is None or two is None else lambda w: sign * (one(w) - two(w))
    return Resampled(sign * (a.value - b.value), sign * (a.draws - b.draws), both)


def p_value(resampled: Resampled, truth: np.ndarray, groups: np.ndarray | None = None) -> float:
    """Two-sided, that a difference (:func:`subtract`) is zero: under 0.05 where its 95 % interval is on one side of
    zero. NaN where there is no interval; 1 where no resample differs."""
    known = ~np.isnan(truth).all(axis=1)
    numbers = group_numbers(groups, len(truth))
    error, freedom = _error(resampled, numbers, np.unique(numbers[known]))
    if math.isnan(error) or error == 0:
        return math.nan if math.isnan(error) else 1.0
    return float(2 * stdtr(freedom, -abs(resampled.value) / error))


def interval(
    metric: Metric, truth: np.ndarray, values: np.ndarray, weights: np.ndarray, groups: np.ndarray | None = None
) -> Estimate:
    """The metric with its interval. ``truth`` [rows, outputs], ``values`` [rows, k], ``weights`` [resamples, rows] of
    :func:`weights` with the same ``groups``."""
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


def _ends(resampled: Resampled, numbers: np.ndarray, units: np.ndarray) -> tuple[float, float]:
    """``numbers`` [rows]: the group of each row; ``units``: the groups that count."""
    value, (least, most) = resampled.value, resampled.bounds
    error, freedom = _error(resampled, numbers, units)
    if math.isnan(error):
        return math.nan, math.nan
    reach = float(stdtrit(freedom, (1 + LEVEL) / 2))
    if math.isfinite(least) and math.isfinite(most):
        scale = most - least
        low, high = _wilson((value - least) / scale, error / scale, len(units), reach)
        return least + scale * low, least + scale * high
    if math.isfinite(least) and value > least:
        factor = math.exp(min(reach * error / (value - least), 700.0))
        return least + (value - least) / factor, least + (value - least) * factor
    if math.isfinite(most) and value < most:
        factor = math.exp(min(reach * error / (most - value), 700.0))
        return most - (most - value) * factor, most - (most - value) / factor
    return value - reach * error, value + reach * error


def _error(resampled: Resampled, numbers: np.ndarray, units: np.ndarray) -> tuple[float, float]:
    """The standard error and its degrees of freedom; NaN where fewer than half of the resamples define the number."""
    draws = resampled.draws[~np.isnan(resampled.draws)]
    g = len(units)
    if g < 2 or len(draws) < 2 or len(draws) * 2 < len(resampled.draws) or not math.isfinite(resampled.value):
        return math.nan, math.nan
    error = float(draws.std(ddof=1)) * math.sqrt(g / (g - 1))
    freedom = _freedom(resampled.measure, numbers, units) if error > 0 else math.inf
    return error, min(freedom, g - 1)


def _wilson(share: float, error: float, n: int, reach: float) -> tuple[float, float]:
    """Wilson 1927, of as many independent trials as give this standard ``error``; of ``n`` at the bounds, where no
    resample differs. Elsewhere what never varies is known exactly (the AUROC of a constant)."""
    share = min(max(share, 0.0), 1.0)
    if error == 0 and 0 < share < 1:
        return share, share
    trials = share * (1 - share) / error**2 if 0 < share < 1 else float(n)
    squared = reach**2 / trials
    centre, spread = share + squared / 2, reach * math.sqrt(share * (1 - share) / trials + squared / (4 * trials))
    low, high = (centre - spread) / (1 + squared), (centre + spread) / (1 + squared)
    return min(max(low, 0.0), share), max(min(high, 1.0), share)


def _freedom(measure: Measure | None, numbers: np.ndarray, units: np.ndarray) -> float:
    """Degrees of freedom of the standard error: 2 (Σ d²)² / (Σ d⁴ − (Σ d²)² / m) for the m influences d of the
    jackknife, which is the number of groups where influences are normal and small where few of them are large."""
    if measure is None:
        return math.inf
    blocks = min(len(units), BLOCKS)
    block = np.full(int(numbers.max()) + 1, -1)
    block[units] = np.arange(len(units)) % blocks
    if blocks < len(units):
        block[units] = np.random.default_rng(0).permutation(block[units])
    left = measure((block[numbers] != np.arange(blocks)[:, None]).astype(np.uint8))
    away = left[~np.isnan(left)]
    away = away - away.mean() if len(away) else away
    second, fourth = float((away**2).sum()), float((away**4).sum())
    rest = fourth - second**2 / max(len(away), 1)
    return max(2 * second**2 / rest, 1.5) if rest > 1e-9 * second**2 > 0 else math.inf
