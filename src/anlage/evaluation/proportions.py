"""Shares of rows (sensitivity, coverage, what was observed in a bin) with an interval that is honest at 0 and 1."""

import math

import numpy as np

from anlage.evaluation.intervals import Estimate, group_numbers, interval
from anlage.metrics.metric import SHARE, Metric
from anlage.metrics.weighted import observed, over_chunks

Z = 1.959963984540054


def wilson(share: float, n: float) -> tuple[float, float]:
    """Wilson's 95 % score interval of a share of ``n`` independent trials (Wilson 1927); NaN where n is 0."""
    if n <= 0 or math.isnan(share):
        return float("nan"), float("nan")
    centre, spread = share + Z * Z / (2 * n), Z * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    return max(0.0, (centre - spread) / (1 + Z * Z / n)), min(1.0, (centre + spread) / (1 + Z * Z / n))


def _share(truth: np.ndarray, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    trials, hits, weights = observed(truth[:, 0], values[:, 0], weights)
    return over_chunks(weights, lambda w: (w @ hits) / (w @ trials))


_SHARE = Metric("share", _share, True, "Σ w hits / Σ w trials", SHARE)


def proportion(hits: np.ndarray, of: np.ndarray, weights: np.ndarray, groups: np.ndarray | None) -> Estimate:
    """The share of the rows ``of`` [rows] bool that are ``hits`` [rows] bool, with its bootstrap interval over
    ``weights`` [resamples, rows]; rows with several trials give both as counts. A bootstrap
    cannot see past a share of 0 or 1 (20 of 20 would be 100 % to 100 %): there it is Wilson's, and each of ``groups``
    counts as one trial, which is the careful choice."""
    truth = np.where(of > 0, of, np.nan)[:, None].astype(float)
    found = interval(_SHARE, truth, np.where(of > 0, hits, 0)[:, None].astype(float), weights, groups)
    if 0 < found.value < 1 or not of.any():
        return found
    trials = len(np.unique(group_numbers(groups, len(of))[of > 0]))
    return Estimate(found.value, *wilson(found.value, trials), n=found.n, n_groups=found.n_groups)
