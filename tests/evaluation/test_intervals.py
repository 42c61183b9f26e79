"""Bootstrap weights, intervals and paired differences."""

import time

import numpy as np
import pytest

from anlage.evaluation.intervals import Resampled, estimate, group_numbers, interval, paired, resample, weights
from anlage.metrics import classification, multilabel, regression
from anlage.metrics.classification import ACCURACY, AUROC
from anlage.metrics.metric import Metric
from anlage.metrics.regression import MAE, SPEARMAN


def test_weights_of_rows_are_counts_that_sum_to_n():
    w = weights(None, 50, 200, seed=1)
    assert w.shape == (200, 50) and w.dtype == np.uint8 and (w.sum(1) == 50).all()
    np.testing.assert_array_equal(w, weights(None, 50, 200, seed=1))
    assert (w != weights(None, 50, 200, seed=2)).any()


def test_groups_are_drawn_whole():
    groups = np.array(["p1", "p1", "p2", None, "p3", "p3", "p3", None], dtype=object)
    w = weights(groups, 8, 300, seed=0)
    assert (w[:, 0] == w[:, 1]).all() and (w[:, 4] == w[:, 5]).all() and (w[:, 4] == w[:, 6]).all()
    assert (w[:, 3] != w[:, 7]).any()
    assert (w[:, [0, 2, 3, 4, 7]].sum(1) == 5).all()


def test_rows_without_a_group_are_their_own():
    assert len(set(group_numbers(np.array([4, -1, 4, -1]), 4))) == 3
    assert group_numbers(np.array([4, -1, 4, -1]), 4)[0] == group_numbers(np.array([4, -1, 4, -1]), 4)[2]
    assert len(set(group_numbers(np.array([-1, -1]), 2))) == 2


def test_interval_of_a_mean_covers_as_often_as_it_says():
    """Accuracy of a coin that is right 70 % of the time: about 95 of 100 intervals contain 0.7."""
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        truth = (rng.random((150, 1)) < 0.7).astype(float)
        values = np.tile([0.0, 1.0], (150, 1))
        found = interval(ACCURACY, truth, values, weights(None, 150, 400, seed=trial))
        assert found.low <= found.value <= found.high
        covered += found.low <= 0.7 <= found.high
    assert 0.89 <= covered / 200 <= 0.985


def test_repeated_rows_in_groups_do_not_narrow_the_interval():
    rng = np.random.default_rng(0)
    truth = (rng.random((60, 1)) < 0.6).astype(float)
    values = np.tile([0.0, 1.0], (60, 1))
    once = interval(ACCURACY, truth, values, weights(None, 60, 2000, seed=0))
    ten = np.repeat(np.arange(60), 10)
    grouped = interval(ACCURACY, truth[ten], values[ten], weights(ten, 600, 2000, seed=0), groups=ten)
    assert (grouped.n, grouped.n_groups) == (600, 60)
    assert grouped.high - grouped.low == pytest.approx(once.high - once.low, rel=0.1)


def test_difference_is_positive_where_the_first_is_better_whichever_way_the_metric_points():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(200, 1))
    good, bad = truth + 0.1 * rng.normal(size=(200, 1)), truth + rng.normal(size=(200, 1))
    w = weights(None, 200, 500, seed=0)
    for metric in (SPEARMAN, MAE):
        gain = paired(metric, truth, good, bad, w)
        assert gain.low > 0 and gain.value == pytest.approx(abs(metric(truth, good) - metric(truth, bad)))
        assert paired(metric, truth, bad, good, w).high < 0
        same = paired(metric, truth, good, good, w)
        assert (same.value, same.low, same.high) == (0, 0, 0)


def test_pairing_is_narrower_than_two_intervals():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(100, 1))
    noise = rng.normal(size=(100, 1))
    a, b = truth + noise, truth + 1.1 * noise
    w = weights(None, 100, 500, seed=0)
    gain, alone = paired(MAE, truth, a, b, w), interval(MAE, truth, a, w)
    assert gain.high - gain.low < 0.3 * (alone.high - alone.low)


def test_undefined_resamples_are_left_out_and_too_many_of_them_leave_no_interval():
    values = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]])
    truth = np.array([[0.0], [0.0], [1.0], [1.0]])
    found = interval(AUROC, truth, values, weights(None, 4, 500, seed=0))
    assert found.high == 1 and 0.2 < found.low < 0.5
    alone = interval(AUROC, np.zeros((4, 1)), values, weights(None, 4, 500, seed=0))
    assert np.isnan([alone.value, alone.low, alone.high]).all()
    unknown = np.array([[np.nan], [0.0], [1.0], [1.0]])
    assert interval(AUROC, unknown, values, weights(None, 4, 500, seed=0)).n == 3


def test_a_perfect_score_of_a_small_test_set_is_not_certain():
    truth = np.repeat([[0.0], [1.0]], 25, axis=0)
    values = np.where(truth == [[0.0, 1.0]], 0.9, 0.1)
    for metric in (ACCURACY, AUROC):
        found = interval(metric, truth, values, weights(None, 50, 300, seed=0))
        assert found.value == found.high == 1 and 0.9 < found.low < 0.95


def test_intervals_stay_within_the_metrics_bounds_and_hold_the_value():
    rng = np.random.default_rng(0)
    truth = (rng.random((40, 1)) < 0.2).astype(float)
    p = np.clip(truth + rng.normal(scale=0.4, size=(40, 1)), 0.01, 0.99)
    numbers = rng.normal(size=(40, 1))
    cases = [(m, truth, np.hstack([1 - p, p])) for m in vars(classification).values() if isinstance(m, Metric)]
    cases += [(m, truth, p) for m in vars(multilabel).values() if isinstance(m, Metric)]
    cases += [(m, numbers, numbers + 0.1 * p) for m in vars(regression).values() if isinstance(m, Metric)]
    for metric, y, v in cases:
        found = interval(metric, y, v, weights(None, 40, 200, seed=0))
        assert metric.bounds[0] <= found.low <= found.value <= found.high <= metric.bounds[1], metric.name
        assert metric.bounds != (-np.inf, np.inf), metric.name


def test_few_groups_and_few_positives_widen_the_interval():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(240, 1))
    values = truth + rng.normal(size=(240, 1))
    widths = []
    for groups in (np.arange(240) % 4, np.arange(240)):
        found = interval(MAE, truth, values, weights(groups, 240, 500, seed=0), groups)
        spread = resample(MAE, truth, values, weights(groups, 240, 500, seed=0)).draws.std()
        widths.append((found.high - found.low) / spread)
    assert widths[0] > 1.4 * widths[1] and widths[1] == pytest.approx(2 * 1.96, rel=0.1)
    positive = np.zeros((400, 1))
    positive[:8] = 1
    score = np.clip(0.3 + 0.25 * positive + rng.normal(scale=0.15, size=(400, 1)), 0, 1)
    drawn = resample(AUROC, positive, np.hstack([1 - score, score]), weights(None, 400, 500, seed=0))
    alone = Resampled(drawn.value, drawn.draws, None, drawn.bounds)
    rare, usual = estimate(drawn, positive), estimate(alone, positive)
    assert rare.high - rare.low > 1.05 * (usual.high - usual.low)


@pytest.mark.parametrize("groups", [None, np.repeat(np.arange(12), 10)], ids=["rows", "groups"])
def test_intervals_and_differences_cover_as_often_as_they_say(groups):
    """AUROC of a good model on 120 rows, and its gain over a worse one: percentiles hold the former in 91 %."""
    rng = np.random.default_rng(0)
    effect = 0.0 if groups is None else 0.6

    def drawn(n: int, groups: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        shared = 0 if groups is None else effect * rng.normal(size=groups.max() + 1)[groups]
        truth = (rng.random(n) < 0.3).astype(float)
        noise = rng.normal(size=n) + shared
        worse = 0.8 * noise + 0.6 * rng.normal(size=n)
        both = [1 / (1 + np.exp(-(2.2 * (truth - 0.5) + e))) for e in (noise, worse)]
        return truth[:, None], *(np.stack([1 - p, p], axis=1) for p in both)

    large = None if groups is None else np.repeat(np.arange(20_000), 10)
    truth, one, two = drawn(200_000, large)
    true, gain = AUROC(truth, one), AUROC(truth, one) - AUROC(truth, two)
    held = np.zeros(2)
    for trial in range(150):
        truth, one, two = drawn(120, groups)
        w = weights(groups, 120, 200, seed=trial)
        found, better = interval(AUROC, truth, one, w, groups), paired(AUROC, truth, one, two, w, groups)
        held += [found.low <= true <= found.high, better.low <= gain <= better.high]
    assert (held / 150 >= 0.90).all() and (held / 150 <= 0.993).all(), held / 150


def test_many_groups_are_left_out_in_blocks_with_much_the_same_result():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(1000, 1))
    values = truth + rng.standard_t(3, size=(1000, 1))
    w = weights(None, 1000, 300, seed=0)
    found = interval(MAE, truth, values, w)
    plain = estimate(Resampled(found.value, resample(MAE, truth, values, w).draws, None, MAE.bounds), truth)
    assert (found.high - found.low) == pytest.approx(plain.high - plain.low, rel=0.05)


def test_ten_thousand_resamples_of_three_thousand_rows_take_about_a_second():
    rng = np.random.default_rng(0)
    truth = (rng.random((3000, 1)) < 0.3).astype(float)
    p = np.clip(rng.normal(0.4 + 0.2 * truth, 0.2), 0, 1)
    w = rng.poisson(1.0, size=(2000, 3000)).astype(np.uint8)  # a fifth of them, to be quick
    for metric, y, v in ((AUROC, truth, np.hstack([1 - p, p])), (SPEARMAN, p, p + truth)):
        start = time.perf_counter()
        resample(metric, y, v, w)
        assert time.perf_counter() - start < 1.0  # idle: 0.05 and 0.12 s
