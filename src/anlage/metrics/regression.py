"""Metrics of numbers: truth and values are [samples, outputs] in the target's own units, NaN truth = missing.

With several outputs a metric is the mean over them, each on the samples whose truth is known.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from anlage.metrics.metric import Metric
from anlage.metrics.weighted import Ties, mean_of_defined, observed, over_chunks

Array = np.ndarray
Resampled = Float[np.ndarray, " resamples"]


def _each_output(
    one: Callable[[Array, Array, Array], Resampled],
) -> Callable[[Array, Array, Array], Resampled]:
    """A metric of one output → the mean over all outputs."""

    def every(truth: Array, values: Array, weights: Array) -> Resampled:
        return mean_of_defined(
            [one(*observed(truth[:, o].astype(float), values[:, o], weights)) for o in range(truth.shape[1])]
        )

    every.__doc__ = one.__doc__
    return every


def _centred(x: Array, w: Array) -> Array:
    """[chunk, samples]: x minus its weighted mean in each resample; exactly 0 where x is constant up to rounding."""
    scale = np.abs(x).max()
    away = x - ((w @ x) / w.sum(1))[:, None]
    away[np.abs(away) <= 1e-13 * scale] = 0.0
    return away


@_each_output
def spearman(truth: Array, values: Array, weights: Array) -> Resampled:
    """Spearman's ρ: the correlation of the mid-ranks that each resample has (scipy.stats.spearmanr on the repeated
    rows). NaN where truth or values are constant."""
    ties = Ties.of(truth), Ties.of(values)

    def ranks(w: Array, tie: Ties) -> Array:
        """Mid-ranks minus their mean, which is half the total weight (the constant 1/2 of both cancels)."""
        sums = tie.sums(w)
        mid = np.cumsum(sums, axis=1)
        mid -= 0.5 * sums
        mid -= 0.5 * w.sum(1, keepdims=True)
        return mid[:, tie.group]

    def chunk(w: Array) -> Array:
        a, b = (ranks(w, tie) for tie in ties)
        wa = w * a
        covariance = np.einsum("rs,rs->r", wa, b)
        variance = np.einsum("rs,rs->r", wa, a) * np.einsum("rs,rs,rs->r", w, b, b)
        return np.where(variance > 0, covariance / np.sqrt(variance), np.nan)

    return over_chunks(weights, chunk)


@_each_output
def pearson(truth: Array, values: Array, weights: Array) -> Resampled:
    """Pearson's r (scipy.stats.pearsonr). NaN where truth or values are constant."""

    def chunk(w: Array) -> Array:
        a, b = _centred(truth, w), _centred(values, w)
        spread = np.einsum("rs,rs,rs->r", w, a, a) * np.einsum("rs,rs,rs->r", w, b, b)
        return np.where(spread > 0, np.einsum("rs,rs,rs->r", w, a, b) / np.sqrt(spread), np.nan)

    return over_chunks(weights, chunk)


@_each_output
def r2(truth: Array, values: Array, weights: Array) -> Resampled:
    """1 − Σ (y − ŷ)² / Σ (y − ȳ)² (sklearn.metrics.r2_score). NaN where the truth is constant."""
    error = (truth - values) ** 2

    def chunk(w: Array) -> Array:
        spread = np.einsum("rs,rs->r", w, _centred(truth, w) ** 2)
        return np.where(spread > 0, 1 - (w @ error) / spread, np.nan)

    return over_chunks(weights, chunk)


@_each_output
def rmse(truth: Array, values: Array, weights: Array) -> Resampled:
    """√ mean (y − ŷ)² (sklearn.metrics.root_mean_squared_error)."""
    return over_chunks(weights, lambda w: np.sqrt((w @ (truth - values) ** 2) / w.sum(1)))


@_each_output
def mae(truth: Array, values: Array, weights: Array) -> Resampled:
    """Mean |y − ŷ| (sklearn.metrics.mean_absolute_error)."""
    return over_chunks(weights, lambda w: (w @ np.abs(truth - values)) / w.sum(1))


SPEARMAN = Metric("spearman", spearman, True, "scipy.stats.spearmanr")
PEARSON = Metric("pearson", pearson, True, "scipy.stats.pearsonr")
R2 = Metric("r2", r2, True, "sklearn.metrics.r2_score")
RMSE = Metric("rmse", rmse, False, "sklearn.metrics.root_mean_squared_error")
MAE = Metric("mae", mae, False, "sklearn.metrics.mean_absolute_error")
