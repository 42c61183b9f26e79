"""Metrics of labels that can hold together: truth [samples, labels] of 0, 1 or NaN (missing: that cell counts
nothing), values [samples, labels] probabilities. A label is predicted from a probability of one half.

*macro*: the mean over labels, leaving out those that a resample lacks; *micro*: over all cells together.
"""

import numpy as np
from jaxtyping import Float

from anlage.metrics.classification import binary_auroc, binary_average_precision
from anlage.metrics.metric import ERROR, SHARE, Metric
from anlage.metrics.weighted import mean_of_defined, observed, over_chunks

Array = np.ndarray
Resampled = Float[np.ndarray, " resamples"]


def macro_auroc(truth: Array, values: Array, weights: Array) -> Resampled:
    """Mean area under the ROC curve of the labels."""
    parts = []
    for label in range(truth.shape[1]):
        known, scores, w = observed(truth[:, label], values[:, label], weights)
        parts.append(binary_auroc(known == 1, scores, w))
    return mean_of_defined(parts)


def macro_average_precision(truth: Array, values: Array, weights: Array) -> Resampled:
    """Mean average precision of the labels."""
    parts = []
    for label in range(truth.shape[1]):
        known, scores, w = observed(truth[:, label], values[:, label], weights)
        parts.append(binary_average_precision(known == 1, scores, w))
    return mean_of_defined(parts)


def _cells(truth: Array, values: Array) -> tuple[Array, Array, Array]:
    """[samples, labels] float each: rightly predicted, true, predicted; missing cells are 0."""
    known = ~np.isnan(truth)
    true, predicted = known & (truth == 1), known & (values >= 0.5)
    return (true & predicted).astype(float), true.astype(float), predicted.astype(float)


def micro_f1(truth: Array, values: Array, weights: Array) -> Resampled:
    """F1 over all cells; 0 where nothing is true or predicted."""
    right, true, predicted = (cells.sum(1) for cells in _cells(truth, values))

    def chunk(w: Array) -> Array:
        both = w @ (true + predicted)
        return np.where(both > 0, 2 * (w @ right) / both, 0.0)

    return over_chunks(weights, chunk)


def macro_f1(truth: Array, values: Array, weights: Array) -> Resampled:
    """Mean F1 over the labels; 0 for a label that is neither true nor predicted."""
    right, true, predicted = _cells(truth, values)

    def chunk(w: Array) -> Array:
        both = w @ (true + predicted)
        return np.where(both > 0, 2 * (w @ right) / both, 0.0).mean(1)

    return over_chunks(weights, chunk)


def _mean_of_cells(scores: Array, truth: Array, weights: Array) -> Resampled:
    known = ~np.isnan(truth)
    total, count = np.where(known, scores, 0.0).sum(1), known.sum(1).astype(float)
    return over_chunks(weights, lambda w: (w @ total) / (w @ count))


def log_loss(truth: Array, values: Array, weights: Array) -> Resampled:
    """Mean over cells of −ln p(truth), p at least 2.2e-16."""
    tiny = np.finfo(np.float64).eps
    return _mean_of_cells(-np.log(np.clip(np.where(truth == 1, values, 1 - values), tiny, 1 - tiny)), truth, weights)


def brier(truth: Array, values: Array, weights: Array) -> Resampled:
    """Mean over cells of the squared distance between probability and truth (Brier 1950)."""
    return _mean_of_cells((values - truth) ** 2, truth, weights)


MACRO_AUROC = Metric("macro_auroc", macro_auroc, True, "sklearn.metrics.roc_auc_score(average='macro')", SHARE)
MACRO_AVERAGE_PRECISION = Metric(
    "macro_average_precision",
    macro_average_precision,
    True,
    "sklearn.metrics.average_precision_score(average='macro')",
    SHARE,
)
MACRO_F1 = Metric("macro_f1", macro_f1, True, "sklearn.metrics.f1_score(average='macro')", SHARE)
MICRO_F1 = Metric("micro_f1", micro_f1, True, "sklearn.metrics.f1_score(average='micro')", SHARE)
LOG_LOSS = Metric("log_loss", log_loss, False, "sklearn.metrics.log_loss, mean over observed cells", ERROR)
BRIER = Metric("brier", brier, False, "sklearn.metrics.brier_score_loss, mean over observed cells; Brier 1950", ERROR)
