"""What the metrics share: walking over resamples in chunks that stay small, and sums over ties or classes.

Weights are counts: a sample drawn twice in a bootstrap resample has weight 2. They may come as small integers
([2000 resamples, 27,000 samples] are 54 MB as bytes) and become float64 chunk by chunk.
"""

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int

CHUNK = 1_000_000
"""Numbers of a chunk of weights (8 MB as float64); a metric holds a handful of arrays of that size."""
CACHED = 200_000
"""The same for :func:`over_columns` (1.6 MB)."""


def over_chunks(
    weights: np.ndarray, function: Callable[[Float[np.ndarray, "chunk samples"]], Float[np.ndarray, " chunk"]]
) -> Float[np.ndarray, " resamples"]:
    """``function`` on a few rows of ``weights`` [resamples, samples] at a time, the results one after the other;
    NaN where there are no samples."""
    if weights.shape[1] == 0:
        return np.full(len(weights), np.nan)
    step = max(1, CHUNK // weights.shape[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        done = [function(weights[i : i + step].astype(np.float64)) for i in range(0, len(weights), step)]
    return np.concatenate(done) if done else np.zeros(0)


def over_columns(
    weights: np.ndarray, function: Callable[[Float[np.ndarray, "samples chunk"]], Float[np.ndarray, " chunk"]]
) -> Float[np.ndarray, " resamples"]:
    """As :func:`over_chunks` for metrics of ranks, with the weights as [samples, chunk]: sorting samples then moves
    whole rows of memory, and sums run along the sorted samples. A chunk stays in the processor's cache."""
    if weights.shape[1] == 0:
        return np.full(len(weights), np.nan)
    step = max(1, CACHED // weights.shape[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        done = [function(weights[i : i + step].T.astype(np.float64, order="C")) for i in range(0, len(weights), step)]
    return np.concatenate(done) if done else np.zeros(0)


def running(weights: Float[np.ndarray, "samples chunk"]) -> Float[np.ndarray, "samples+1 chunk"]:
    """The sum of the first 0, 1, … samples' weights."""
    sums = np.zeros((len(weights) + 1, weights.shape[1]))
    np.cumsum(weights, axis=0, out=sums[1:])
    return sums


def observed(
    truth: Float[np.ndarray, " samples"], values: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The samples whose truth is known (not NaN)."""
    known = ~np.isnan(truth)
    if known.all():
        return truth, values, weights
    return truth[known], values[known], weights[:, known]


def class_sums(
    weights: Float[np.ndarray, "chunk samples"], classes: Int[np.ndarray, " samples"], n: int
) -> Float[np.ndarray, "chunk classes"]:
    """The weight of the samples of each of ``n`` classes (class -1 counts nowhere)."""
    rows = np.flatnonzero(classes >= 0)
    members = sp.csr_matrix((np.ones(len(rows)), (classes[rows], rows)), shape=(n, weights.shape[1]))
    return (members @ weights.T).T


def mean_of_defined(parts: list[Float[np.ndarray, " resamples"]]) -> Float[np.ndarray, " resamples"]:
    """The mean over outputs (or classes), leaving out those that are undefined (NaN) in a resample."""
    stacked = np.stack(parts)
    defined = ~np.isnan(stacked)
    with np.errstate(invalid="ignore"):
        return np.where(defined, stacked, 0.0).sum(0) / defined.sum(0)


def weighted_mean(scores: Float[np.ndarray, " samples"], weights: np.ndarray) -> Float[np.ndarray, " resamples"]:
    """Σ w s / Σ w for each resample; NaN where nothing has weight."""
    return over_chunks(weights, lambda w: (w @ scores) / w.sum(1))
