"""Sets and intervals hold the truth as often as was asked, also of new groups."""

import json
import math

import numpy as np
import pytest

from anlage.errors import AnlageError
from anlage.evaluation.conformal import Conformal, fit_conformal, limit
from anlage.evaluation.intervals import weights


def classes(n, rng, prior=(0.5, 0.3, 0.2)):
    truth = rng.choice(len(prior), size=n, p=prior)
    scores = rng.normal(size=(n, len(prior))) + 1.2 * (np.arange(len(prior)) == truth[:, None])
    p = np.exp(scores) * np.array(prior)
    return truth.astype(float)[:, None], p / p.sum(1, keepdims=True)


def test_the_limit_is_the_order_statistic_of_split_conformal_prediction():
    scores = np.random.default_rng(0).permutation(np.arange(1.0, 100.0))  # 1 to 99
    assert limit(scores, None, 0.9) == 90  # the ceil(100 × 0.9)-th smallest
    assert limit(scores, None, 0.905) == 91
    assert limit(scores[:8], None, 0.9) == math.inf  # 9 rows at least
    assert limit(np.arange(1.0, 10.0), None, 0.9) == 9
    assert limit(np.zeros(0), None, 0.9) == math.inf


def test_a_large_group_weighs_as_much_as_a_small_one():
    scores = np.concatenate([np.full(1000, 50.0), np.arange(1.0, 20.0)])
    groups = np.concatenate([np.zeros(1000, dtype=int), np.full(19, -1)])
    assert limit(scores, groups, 0.9) == 19  # 20 groups: 18/21 of the weight lies up to 18, 19/21 up to 19
    assert limit(scores, None, 0.9) == 50
    assert limit(scores, np.zeros(1019, dtype=int), 0.9) == math.inf


@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_sets_hold_the_truth_as_often_as_asked(coverage):
    rng = np.random.default_rng(0)
    held, exact = [], []
    for _ in range(150):
        truth, values = classes(60, rng)
        found = fit_conformal("classification", truth, values, None, coverage)
        assert isinstance(found, Conformal) and not found.by_label
        truth, values = classes(300, rng)
        own = truth[:, 0].astype(int)
        exact.append(found.conforming(values)[np.arange(300), own].mean())
        held.append(found.sets(values, values.argmax(1))[np.arange(300), own].mean())
    assert coverage - 0.01 < np.mean(exact) < coverage + 0.02 and np.mean(held) >= np.mean(exact)


def test_limits_for_each_label_hold_rare_labels_too():
    rng = np.random.default_rng(0)
    held = {True: [], False: []}
    for _ in range(60):
        truth, values = classes(700, rng, prior=(0.95, 0.05))
        found = fit_conformal("classification", truth, values, None, 0.9)
        assert isinstance(found, Conformal) and found.by_label and "one limit for each label" in found.method
        scores = 1 - values[np.arange(700), truth[:, 0].astype(int)]
        one = Conformal("classification", 0.9, (limit(scores, None, 0.9),) * 2, False, 700, 700)
        truth, values = classes(2000, rng, prior=(0.95, 0.05))
        rare = truth[:, 0] == 1
        for by_label, conformal in ((True, found), (False, one)):
            held[by_label].append(conformal.conforming(values)[rare, 1].mean())
    assert 0.88 < np.mean(held[True]) < 0.93 and np.mean(held[False]) < 0.6


def grouped(groups, rng):
    """Groups of 1 to 30 rows that share a shift of their own; the larger, the smaller the shift."""
    sizes = rng.integers(1, 31, groups)
    own = np.repeat(np.arange(groups), sizes)
    truth = (rng.normal(size=groups) * 6 / np.sqrt(sizes))[own] + rng.normal(size=len(own))
    return truth[:, None], np.zeros((len(own), 1)), own, sizes


def test_a_row_of_a_new_group_is_held_where_pooled_rows_would_not_be():
    rng = np.random.default_rng(0)
    held = {"groups": [], "rows": []}
    for _ in range(150):
        truth, values, own, _ = grouped(60, rng)
        limits = {"groups": fit_conformal("regression", truth, values, own, 0.9),
                  "rows": fit_conformal("regression", truth, values, None, 0.9)}  # fmt: skip
        truth, values, own, sizes = grouped(100, rng)
        for name, found in limits.items():
            low, high = found.bounds(values)
            inside = ((low <= truth) & (truth <= high))[:, 0]
            held[name].append((np.bincount(own, inside) / sizes).mean())
    assert 0.89 < np.mean(held["groups"]) < 0.93 and np.mean(held["rows"]) < 0.88


def test_measured_coverage_size_and_labels():
    rng = np.random.default_rng(0)
    found = fit_conformal("classification", *classes(600, rng), None, 0.9)
    truth, values = classes(500, rng)
    truth[:20] = np.nan
    measured = found.measure("abc", truth, values, values.argmax(1), weights(None, 500, 300, 0), None)
    held = measured["held"]
    assert held["n"] == 480 and held["low"] < held["value"] < held["high"] and 0.85 < held["value"] < 0.97
    assert list(measured["by_label"]) == ["a", "b", "c"] and sum(e["n"] for e in measured["by_label"].values()) == 480
    assert 1 <= measured["size"] <= 3
    json.dumps(measured, allow_nan=False)
    absent = found.measure("abc", np.zeros((9, 1)), values[:9], values[:9].argmax(1), weights(None, 9, 50, 0), None)
    assert absent["by_label"]["b"] == {"value": None, "low": None, "high": None, "n": 0}


def test_every_output_of_a_regression_has_an_interval_of_its_own():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(400, 2)) * [1.0, 10.0]
    truth[:50, 1] = np.nan
    found = fit_conformal("regression", truth, np.zeros((400, 2)), None, 0.9)
    assert found.limits[1] > 5 * found.limits[0] > 5
    measured = found.measure("xy", truth, np.zeros((400, 2)), None, weights(None, 400, 100, 0), None)
    assert measured["held"]["n"] == 400 and measured["by_label"]["y"]["n"] == 350
    assert measured["held"]["value"] == pytest.approx(0.9, abs=0.01)


def test_too_few_rows_or_groups_give_words_instead():
    truth, values = np.zeros((400, 1)), np.zeros((400, 1))
    for groups, coverage, words in (
        (np.arange(400) // 40, 0.9, "10 groups of rows to calibrate on, at least 20"),
        (np.arange(400) // 8, 0.99, "50 groups of rows to calibrate on, at least 100"),
    ):
        assert words in fit_conformal("regression", truth, values, groups, coverage)
    assert "19 rows" in fit_conformal("regression", truth[:19], values[:19], None, 0.9)


def test_limits_survive_json_and_damaged_ones_are_refused():
    found = fit_conformal("classification", *classes(600, np.random.default_rng(0)), None, 0.9)
    state = json.loads(json.dumps(found.to_json()))
    assert Conformal.from_json(state, "classification", 3) == found
    for damaged in (
        None,
        {},
        state | {"limits": [1, 2]},
        state | {"limits": [1, 2, math.inf]},
        state | {"coverage": 2},
    ):
        with pytest.raises(AnlageError, match="damaged"):
            Conformal.from_json(damaged, "classification", 3)
