"""Metrics of numbers: truth and values are [samples, outputs] in the target's own units, NaN truth = missing.

With several outputs a metric is the mean over them, each on the samples whose truth is known.
"""

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Float

from anlage.metrics.metric import CORRELATION, ERROR, Metric
from anlage.metrics.weighted import mean_of_defined, observed, over_chunks, over_columns, running

Array = np.ndarray
Resampled = Float[np.ndarray, " resamples"]
_SIDES: tuple[Literal["left"], Literal["right"]] = ("left", "right")


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
    by_truth = np.argsort(truth, kind="stable")
    truth, values = truth[by_truth], values[by_truth]
    by_value = np.argsort(values, kind="stable")
    back = np.argsort(by_value, kind="stable")
    spans = [[np.searchsorted(x, x, side) for side in _SIDES] for x in (truth, values[by_value])]

    def ranks(w: Array, span: list[Array]) -> Array:
        """Mid-ranks of sorted samples minus their mean, which is half the total weight (the 1/2 of both cancels)."""
        sums = running(w)
        return 0.5 * (sums[span[0]] + sums[span[1]] - sums[-1])

    def chunk(w: Array) -> Array:
        w = w[by_truth]
        a, b = ranks(w, spans[0]), ranks(w[by_value], spans[1])[back]
        wa, wb = w * a, w * b
        variance = np.einsum("sr,sr->r", wa, a) * np.einsum("sr,sr->r", wb, b)
        return np.where(variance > 0, np.einsum("sr,sr->r", wa, b) / np.sqrt(variance), np.nan)

    return over_columns(weights, chunk)


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


SPEARMAN = Metric("spearman", spearman, True, "scipy.stats.spearmanr", CORRELATION)
PEARSON = Metric("pearson", pearson, True, "scipy.stats.pearsonr", CORRELATION)
R2 = Metric("r2", r2, True, "sklearn.metrics.r2_score", (-math.inf, 1.0))
RMSE = Metric("rmse", rmse, False, "sklearn.metrics.root_mean_squared_error", ERROR)
MAE = Metric("mae", mae, False, "sklearn.metrics.mean_absolute_error", ERROR)
