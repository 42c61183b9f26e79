"""Metrics of classes and of labels that exclude one another.

Truth is [samples, 1], the number of the class as float (NaN = missing); values are [samples, classes] probabilities.
Binary tasks have two columns, and class 1 is the positive label. The predicted class is the most probable one (the
first of equals). Sources name the scikit-learn function that each equals on the repeated rows.
"""

import numpy as np
from jaxtyping import Float

from anlage.metrics.metric import CORRELATION, ERROR, SHARE, Metric
from anlage.metrics.weighted import (
    class_sums,
    mean_of_defined,
    observed,
    over_chunks,
    over_columns,
    running,
    weighted_mean,
)

Array = np.ndarray
Resampled = Float[np.ndarray, " resamples"]


def binary_auroc(positive: Array, scores: Array, weights: Array) -> Resampled:
    """Area under the ROC curve: the probability that a positive scores above a negative, ties half (Hanley and McNeil
    1982). ``positive`` [samples] bool, ``scores`` [samples]. NaN where a resample lacks positives or negatives."""
    hits, misses = _sorted(positive, scores), _sorted(~positive, scores)
    below = np.searchsorted(scores[misses], scores[hits], "left")
    upto = np.searchsorted(scores[misses], scores[hits], "right")

    def chunk(w: Array) -> Array:
        won, lost = w[hits], running(w[misses])
        area = 0.5 * (np.einsum("sr,sr->r", won, lost[below]) + np.einsum("sr,sr->r", won, lost[upto]))
        return area / (won.sum(0) * lost[-1])

    return over_columns(weights, chunk)


def binary_average_precision(positive: Array, scores: Array, weights: Array) -> Resampled:
    """Σ (recall step) × precision over the distinct scores from above. NaN where a resample lacks positives."""
    hits, misses = _sorted(positive, -scores), _sorted(~positive, -scores)
    right = np.searchsorted(-scores[hits], -scores[hits], "right")
    wrong = np.searchsorted(-scores[misses], -scores[hits], "right")

    def chunk(w: Array) -> Array:
        won = w[hits]
        found = running(won)
        total, found = found[-1], found[right]
        called = found + running(w[misses])[wrong]
        precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
        return np.einsum("sr,sr->r", won, precision) / total

    return over_columns(weights, chunk)


def _sorted(which: Array, scores: Array) -> Array:
    """Numbers of the samples ``which`` [samples] bool, by score from below."""
    rows = np.flatnonzero(which)
    return rows[np.argsort(scores[rows], kind="stable")]


def _known(truth: Array, values: Array, weights: Array) -> tuple[Array, Array, Array]:
    known, values, weights = observed(truth[:, 0], values, weights)
    return known.astype(np.int64), values, weights


def accuracy(truth: Array, values: Array, weights: Array) -> Resampled:
    """Share of samples whose most probable class is the true one."""
    classes, values, weights = _known(truth, values, weights)
    return weighted_mean((values.argmax(1) == classes).astype(float), weights)


def _counts(truth: Array, values: Array, w: Array) -> tuple[Array, Array, Array]:
    """[chunk, classes] each: right predictions, true members, predicted members."""
    k, predicted = values.shape[1], values.argmax(1)
    right = class_sums(w, np.where(predicted == truth, truth, -1), k)
    return right, class_sums(w, truth, k), class_sums(w, predicted, k)


def balanced_accuracy(truth: Array, values: Array, weights: Array) -> Resampled:
    """Mean recall over the classes that occur in the truth."""
    classes, values, weights = _known(truth, values, weights)

    def chunk(w: Array) -> Array:
        right, members, _ = _counts(classes, values, w)
        present = members > 0
        return np.where(present, right / np.where(present, members, 1), 0).sum(1) / present.sum(1)

    return over_chunks(weights, chunk)


def macro_f1(truth: Array, values: Array, weights: Array) -> Resampled:
    """Mean F1 over the classes that occur in the truth or among the predictions."""
    classes, values, weights = _known(truth, values, weights)

    def chunk(w: Array) -> Array:
        right, members, predicted = _counts(classes, values, w)
        both = members + predicted
        present = both > 0
        return np.where(present, 2 * right / np.where(present, both, 1), 0).sum(1) / present.sum(1)

    return over_chunks(weights, chunk)


def mcc(truth: Array, values: Array, weights: Array) -> Resampled:
    """Matthews correlation for any number of classes (Gorodkin 2004); 0 where truth or predictions are constant."""
    classes, values, weights = _known(truth, values, weights)

    def chunk(w: Array) -> Array:
        right, members, predicted = _counts(classes, values, w)
        total = w.sum(1)
        covariance = right.sum(1) * total - (members * predicted).sum(1)
        spread = (total**2 - (members**2).sum(1)) * (total**2 - (predicted**2).sum(1))
        return np.where(total > 0, np.where(spread > 0, covariance / np.sqrt(spread), 0.0), np.nan)

    return over_chunks(weights, chunk)


def auroc(truth: Array, values: Array, weights: Array) -> Resampled:
    """Two classes: area under the ROC curve of class 1. More: its mean over classes, each against the rest, leaving
    out classes that a resample lacks."""
    classes, values, weights = _known(truth, values, weights)
    if values.shape[1] == 2:
        return binary_auroc(classes == 1, values[:, 1], weights)
    return mean_of_defined([binary_auroc(classes == c, values[:, c], weights) for c in range(values.shape[1])])


def average_precision(truth: Array, values: Array, weights: Array) -> Resampled:
    """Two classes: average precision of class 1. More: its mean over the classes that a resample has."""
    classes, values, weights = _known(truth, values, weights)
    if values.shape[1] == 2:
        return binary_average_precision(classes == 1, values[:, 1], weights)
    parts = [binary_average_precision(classes == c, values[:, c], weights) for c in range(values.shape[1])]
    return mean_of_defined(parts)


def log_loss(truth: Array, values: Array, weights: Array) -> Resampled:
    """Mean of −ln p(true class), p at least 2.2e-16."""
    classes, values, weights = _known(truth, values, weights)
    tiny = np.finfo(np.float64).eps
    return weighted_mean(-np.log(np.clip(values[np.arange(len(classes)), classes], tiny, 1 - tiny)), weights)


def brier(truth: Array, values: Array, weights: Array) -> Resampled:
    """Brier 1950: mean squared distance between probabilities and truth; two classes: of the positive one alone."""
    classes, values, weights = _known(truth, values, weights)
    if values.shape[1] == 2:
        return weighted_mean((values[:, 1] - classes) ** 2, weights)
    own = values[np.arange(len(classes)), classes]
    return weighted_mean((values**2).sum(1) - 2 * own + 1, weights)


ACCURACY = Metric("accuracy", accuracy, True, "sklearn.metrics.accuracy_score", SHARE)
BALANCED_ACCURACY = Metric(
    "balanced_accuracy", balanced_accuracy, True, "sklearn.metrics.balanced_accuracy_score", SHARE
)
MACRO_F1 = Metric("macro_f1", macro_f1, True, "sklearn.metrics.f1_score(average='macro')", SHARE)
MCC = Metric("mcc", mcc, True, "sklearn.metrics.matthews_corrcoef; Gorodkin 2004", CORRELATION)
AUROC = Metric("auroc", auroc, True, "sklearn.metrics.roc_auc_score(multi_class='ovr')", SHARE)
AVERAGE_PRECISION = Metric(
    "average_precision", average_precision, True, "sklearn.metrics.average_precision_score", SHARE
)
LOG_LOSS = Metric("log_loss", log_loss, False, "sklearn.metrics.log_loss", ERROR)
BRIER = Metric("brier", brier, False, "sklearn.metrics.brier_score_loss; Brier 1950", ERROR)
