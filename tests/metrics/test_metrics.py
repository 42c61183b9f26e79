"""Every metric equals the library that its source names, on the rows repeated by their weights."""

import time
import warnings

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from anlage.metrics import classification, multilabel, regression
from anlage.metrics.metric import Metric

CLASSIFICATION = [m for m in vars(classification).values() if isinstance(m, Metric)]
MULTILABEL = [m for m in vars(multilabel).values() if isinstance(m, Metric)]
REGRESSION = [m for m in vars(regression).values() if isinstance(m, Metric)]


def quiet(function, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **kwargs)


def rest(score, truth, values):
    """The mean over classes of a binary score of each against the rest, where it is defined."""
    parts = [score(truth == c, values[:, c]) for c in range(values.shape[1])]
    parts = [p for p in parts if not np.isnan(p)]
    return np.mean(parts) if parts else np.nan


def auc(truth, scores):
    return sk.roc_auc_score(truth, scores) if 0 < truth.sum() < len(truth) else np.nan


def ap(truth, scores):
    return sk.average_precision_score(truth, scores) if truth.any() else np.nan


def reference_classes(name, truth, values):
    k = values.shape[1]
    labels = np.arange(k)
    predicted = values.argmax(1)
    match name:
        case "accuracy":
            return sk.accuracy_score(truth, predicted)
        case "balanced_accuracy":
            return quiet(sk.balanced_accuracy_score, truth, predicted)
        case "macro_f1":
            return sk.f1_score(truth, predicted, average="macro", zero_division=0)
        case "mcc":
            return quiet(sk.matthews_corrcoef, truth, predicted)
        case "auroc":
            return auc(truth, values[:, 1]) if k == 2 else rest(auc, truth, values)
        case "average_precision":
            return ap(truth == 1, values[:, 1]) if k == 2 else rest(ap, truth, values)
        case "log_loss":
            return quiet(sk.log_loss, truth, values, labels=labels)
        case "brier":
            score = ((values - np.eye(k)[truth]) ** 2).sum(1).mean()
            return sk.brier_score_loss(truth, values[:, 1], pos_label=1) if k == 2 else score


def reference_labels(name, truth, values):
    known = ~np.isnan(truth)
    hard = (values >= 0.5).astype(float)
    each = [(truth[known[:, j], j], values[known[:, j], j], hard[known[:, j], j]) for j in range(truth.shape[1])]

    def mean(parts):
        parts = [p for p in parts if not np.isnan(p)]
        return np.mean(parts) if parts else np.nan

    match name:
        case "macro_auroc":
            return mean([auc(t, v) for t, v, _ in each])
        case "macro_average_precision":
            return mean([ap(t == 1, v) for t, v, _ in each])
        case "macro_f1":
            return np.mean([sk.f1_score(t, h, zero_division=0) if len(t) else 0.0 for t, _, h in each])
        case "micro_f1":
            return sk.f1_score(truth[known], hard[known], zero_division=0) if known.any() else 0.0
        case "log_loss":
            return quiet(sk.log_loss, truth[known], values[known], labels=[0, 1]) if known.any() else np.nan
        case "brier":
            return ((truth - values)[known] ** 2).mean() if known.any() else np.nan


def reference_numbers(name, truth, values):
    constant = len(set(truth)) < 2 or len(set(values)) < 2
    match name:
        case "spearman":
            return np.nan if constant else quiet(scipy.stats.spearmanr, truth, values).statistic
        case "pearson":
            return np.nan if constant else quiet(scipy.stats.pearsonr, truth, values).statistic
        case "r2":
            return np.nan if len(set(truth)) < 2 else sk.r2_score(truth, values)
        case "rmse":
            return sk.root_mean_squared_error(truth, values)
        case "mae":
            return sk.mean_absolute_error(truth, values)


def same(metric, reference, truth, values, weights):
    got = metric.function(truth, values, weights)
    for value, w in zip(got, weights, strict=True):
        rows = np.repeat(np.arange(len(truth)), w)
        expected = reference(metric.name, truth[rows], values[rows])
        np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-9)


@st.composite
def counts(draw, n):
    """Three resamples of n rows, none of them empty."""
    w = draw(hnp.arrays(np.int64, (3, n), elements=st.integers(0, 4)))
    w[w.sum(1) == 0, 0] = 1
    return w.astype(np.uint8)


GRID = st.integers(-8, 8).map(lambda i: i / 4)


@st.composite
def classes_case(draw):
    n, k = draw(st.integers(2, 12)), draw(st.integers(2, 4))
    truth = draw(hnp.arrays(np.int64, n, elements=st.integers(0, k - 1)))
    raw = draw(hnp.arrays(np.int64, (n, k), elements=st.integers(1, 5))).astype(float)
    return truth, raw / raw.sum(1, keepdims=True), draw(counts(n))


@pytest.mark.parametrize("metric", CLASSIFICATION, ids=lambda m: m.name)
@settings(max_examples=60, deadline=None)
@given(case=classes_case())
def test_classes_equal_scikit_learn_on_repeated_rows(metric, case):
    truth, values, weights = case
    for row in weights:
        rows = np.repeat(np.arange(len(truth)), row)
        expected = reference_classes(metric.name, truth[rows], values[rows])
        got = metric.function(truth[:, None].astype(float), values, row[None])[0]
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)


@st.composite
def labels_case(draw):
    n, k = draw(st.integers(2, 10)), draw(st.integers(1, 3))
    truth = draw(hnp.arrays(np.float64, (n, k), elements=st.sampled_from([0.0, 1.0, np.nan])))
    values = draw(hnp.arrays(np.float64, (n, k), elements=st.integers(0, 8).map(lambda i: i / 8)))
    return truth, values, draw(counts(n))


@pytest.mark.parametrize("metric", MULTILABEL, ids=lambda m: m.name)
@settings(max_examples=60, deadline=None)
@given(case=labels_case())
def test_labels_equal_scikit_learn_on_repeated_rows(metric, case):
    same(metric, reference_labels, *case)


@st.composite
def numbers_case(draw):
    n = draw(st.integers(2, 12))
    truth, values = (draw(hnp.arrays(np.float64, n, elements=GRID)) for _ in range(2))
    offset = draw(st.sampled_from([0.0, 1000.0]))
    return truth + offset, values + offset, draw(counts(n))


@pytest.mark.parametrize("metric", REGRESSION, ids=lambda m: m.name)
@settings(max_examples=60, deadline=None)
@given(case=numbers_case())
def test_numbers_equal_scipy_on_repeated_rows(metric, case):
    truth, values, weights = case

    def reference(name, t, v):
        return reference_numbers(name, t[:, 0], v[:, 0])

    same(metric, reference, truth[:, None], values[:, None], weights)


@pytest.mark.parametrize("metric", REGRESSION, ids=lambda m: m.name)
def test_outputs_are_averaged_and_missing_truth_has_no_weight(metric):
    rng = np.random.default_rng(0)
    truth, values = rng.normal(size=(2, 30, 2))
    truth[:7, 0] = np.nan
    expected = np.mean([metric(truth[7:, :1], values[7:, :1]), metric(truth[:, 1:], values[:, 1:])])
    assert metric(truth, values) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("metric", CLASSIFICATION, ids=lambda m: m.name)
def test_classes_without_truth_have_no_weight(metric):
    rng = np.random.default_rng(0)
    values = rng.dirichlet(np.ones(3), size=40)
    truth = rng.integers(0, 3, size=(40, 1)).astype(float)
    some = truth.copy()
    some[::3] = np.nan
    keep = ~np.isnan(some[:, 0])
    assert metric(some, values) == pytest.approx(metric(truth[keep], values[keep]), abs=1e-12)


@pytest.mark.parametrize("metric", [*CLASSIFICATION, *REGRESSION], ids=lambda m: m.name)
def test_nothing_known_is_undefined(metric):
    value = metric(np.full((4, 1), np.nan), np.full((4, 2), 0.5))
    assert np.isnan(value)


def test_spearman_is_fast_enough_to_resample_a_large_test_set():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(27_000, 1))
    values = truth + rng.normal(size=truth.shape)
    weights = rng.poisson(1.0, size=(200, 27_000)).astype(np.uint8)
    start = time.perf_counter()
    regression.spearman(truth, values, weights)
    assert time.perf_counter() - start < 5  # 2,000 resamples take about ten times as long as these 200
