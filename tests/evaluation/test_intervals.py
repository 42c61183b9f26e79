"""Bootstrap weights, intervals and paired differences."""

import numpy as np
import pytest

from anlage.evaluation.intervals import group_numbers, interval, paired, weights
from anlage.metrics.classification import ACCURACY, AUROC
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
    assert (found.low, found.high) == (1, 1)
    alone = interval(AUROC, np.zeros((4, 1)), values, weights(None, 4, 500, seed=0))
    assert np.isnan([alone.value, alone.low, alone.high]).all()
    unknown = np.array([[np.nan], [0.0], [1.0], [1.0]])
    assert interval(AUROC, unknown, values, weights(None, 4, 500, seed=0)).n == 3
