"""Reliability, and calibrators that are kept only where they help."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anlage.errors import AnlageError
from anlage.evaluation.calibration import Calibrator, fit_calibrator
from anlage.evaluation.intervals import weights
from anlage.evaluation.proportions import proportion, wilson
from anlage.evaluation.reliability import brier_parts, calibration_error, curve
from anlage.metrics import classification, multilabel


def binary(n, seed=0, heat=1.0, shift=0.0):
    """Truth [n, 1] and probabilities [n, 2] that are right at heat 1 and too sure above it."""
    rng = np.random.default_rng(seed)
    z = 1.5 * rng.normal(size=n) + shift
    truth = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(float)[:, None]
    p = 1 / (1 + np.exp(-heat * z))
    return truth, np.stack([1 - p, p], axis=1)


def many(n, classes=4, seed=0, heat=1.0):
    rng = np.random.default_rng(seed)
    scores = 1.5 * rng.normal(size=(n, classes))
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    truth = (p.cumsum(1) < rng.random((n, 1))).sum(1).clip(max=classes - 1)
    hot = np.exp(heat * scores) / np.exp(heat * scores).sum(1, keepdims=True)
    return truth.astype(float)[:, None], hot


def several(n, seed=0, heat=1.0):
    """Three labels, a tenth of the cells unknown."""
    rng = np.random.default_rng(seed)
    z = 1.5 * rng.normal(size=(n, 3)) - 1
    truth = (rng.random((n, 3)) < 1 / (1 + np.exp(-z))).astype(float)
    truth[rng.random((n, 3)) < 0.1] = np.nan
    return truth, 1 / (1 + np.exp(-heat * z))


CASES = {"two": ("classification", binary), "four": ("classification", many), "several": ("multilabel", several)}


@pytest.mark.parametrize("case", CASES)
def test_temperature_finds_how_much_too_sure_the_model_is(case):
    task, make = CASES[case]
    truth, values = make(190, heat=2.5)
    found = fit_calibrator(task, truth, values)
    assert found.method == "temperature" and found.parameters["temperature"] == pytest.approx(2.5, rel=0.35)
    assert "lower in cross-validation" in found.why and found.rows == 190
    truth, values = make(4000, seed=1, heat=2.5)
    w = weights(None, len(truth), 200, seed=0)
    before, after = (calibration_error(task, truth, v, w) for v in (values, found.apply(task, values)))
    assert after.value < before.low / 2


@pytest.mark.parametrize("case", CASES)
def test_a_calibrated_model_is_usually_left_alone_and_says_why(case):
    task, make = CASES[case]
    found = [fit_calibrator(task, *make(300, seed=seed)) for seed in range(12)]
    left = [f for f in found if f.method == "none"]
    assert len(left) >= 8 and all("no more than its noise" in f.why for f in left)
    values = make(5)[1]
    assert left[0].apply(task, values) is values


def test_isotonic_mends_what_a_temperature_cannot_and_keeps_the_order_of_rows():
    truth, values = binary(1500, shift=-1.0)
    p = 0.3 + 0.4 * values[:, 1] ** 3
    values = np.stack([1 - p, p], axis=1)
    found = fit_calibrator("classification", truth, values)
    assert found.method == "isotonic"
    fresh, bent = binary(3000, seed=1, shift=-1.0)
    p = 0.3 + 0.4 * bent[:, 1] ** 3
    bent = np.stack([1 - p, p], axis=1)
    mended = found.apply("classification", bent)
    w = weights(None, 3000, 200, seed=0)
    assert calibration_error("classification", fresh, mended, w).value < 0.05
    assert calibration_error("classification", fresh, bent, w).value > 0.15
    assert classification.AUROC(fresh, mended) == pytest.approx(classification.AUROC(fresh, bent), abs=1e-6)


def test_few_rows_few_groups_and_one_label_calibrate_nothing():
    truth, values = binary(40, heat=3)
    assert "40 calibration rows, too few" in fit_calibrator("classification", truth, values).why
    truth, values = binary(400, heat=3)
    few = fit_calibrator("classification", truth, values, np.arange(400) // 20)
    assert few.method == "none" and "20 groups of calibration rows" in few.why
    assert "same label" in fit_calibrator("classification", np.ones((400, 1)), values).why
    truth[:380] = np.nan
    assert fit_calibrator("classification", truth, values).rows == 20


def test_copies_in_groups_are_no_evidence():
    """60 rows, each forty times: rows would call a chance gain certain, groups know that it rests on 60."""
    kept = {"rows": 0, "groups": 0}
    for seed in range(12):
        truth, values = binary(60, seed=seed)
        copies = np.repeat(np.arange(60), 40)
        kept["rows"] += fit_calibrator("classification", truth[copies], values[copies]).method != "none"
        kept["groups"] += fit_calibrator("classification", truth[copies], values[copies], copies).method != "none"
    assert kept["rows"] >= 10 and kept["groups"] <= 5


@settings(max_examples=30, deadline=None)
@given(st.floats(0.02, 50), st.lists(st.floats(1e-300, 1 - 2**-53), min_size=1, max_size=6))
def test_probabilities_stay_between_0_and_1_and_sum_to_1(temperature, p):
    values = np.stack([1 - np.array(p), np.array(p)], axis=1)
    found = Calibrator("temperature", {"temperature": temperature}, "", 9)
    for task, v in (("classification", values), ("multilabel", values[:, 1:])):
        mended = found.apply(task, v)
        assert ((mended > 0) & (mended < 1)).all()
    np.testing.assert_allclose(found.apply("classification", values).sum(1), 1)
    steps = Calibrator("isotonic", {"knots": [0.0, 0.5, 1.0], "shares": [0.01, 0.01, 0.99]}, "", 9)
    stepped = steps.apply("classification", values)
    assert ((stepped > 0) & (stepped < 1)).all()


def test_calibrators_survive_json_and_damaged_ones_are_refused():
    found = fit_calibrator("classification", *binary(600, heat=3))
    state = json.loads(json.dumps(found.to_json()))
    assert found.method != "none" and Calibrator.from_json(state) == found
    bad = [
        None,
        {},
        state | {"method": "magic"},
        state | {"rows": float("inf")},
        state | {"method": "temperature", "parameters": {"temperature": 0}},
        state | {"method": "temperature", "parameters": {"temperature": float("nan")}},
        state | {"method": "isotonic", "parameters": {"knots": [0.5, 0.1], "shares": [0.1, 0.2]}},
        state | {"method": "isotonic", "parameters": {"knots": [], "shares": []}},
        state | {"method": "isotonic", "parameters": {"knots": [0.5], "shares": [1.5]}},
    ]
    for damaged in bad:
        with pytest.raises(AnlageError, match="damaged"):
            Calibrator.from_json(damaged)


@pytest.mark.parametrize("case", CASES)
def test_the_parts_of_the_brier_score_add_up_to_it(case):
    task, make = CASES[case]
    truth, values = make(700, heat=2)
    parts = brier_parts(task, truth, values)
    score = (multilabel if task == "multilabel" else classification).BRIER(truth, values)
    if task == "multilabel":  # pooled over cells
        score = float(np.nanmean((values - truth) ** 2))
    assert parts["reliability"] - parts["resolution"] + parts["uncertainty"] == pytest.approx(score, abs=1e-12)
    assert parts["reliability"] > 3 * brier_parts(task, *make(700))["reliability"]


def test_the_curve_holds_every_row_once_and_rises_with_the_truth():
    truth, values = binary(2000)
    truth[:100] = np.nan
    points = curve("classification", truth, values)
    assert sum(point["n"] for point in points) == 1900 and len(points) == 15
    assert all(point["low"] <= point["observed"] <= point["high"] for point in points)
    inside = [point["low"] <= point["predicted"] <= point["high"] for point in points]
    assert sum(inside) >= 12 and points[-1]["observed"] > points[0]["observed"] + 0.5
    wide = curve("classification", truth, values, np.arange(2000) // 4)
    assert wide[0]["high"] - wide[0]["low"] > points[0]["high"] - points[0]["low"]
    assert curve("classification", truth[:5], values[:5]) == []
    assert len(curve("classification", *binary(7))) == 1


def test_the_calibration_error_covers_the_true_one_and_0_where_nothing_is_wrong():
    truth, values = binary(300_000, heat=2)
    true = sum(p["n"] * abs(p["observed"] - p["predicted"]) for p in curve("classification", truth, values)) / 300_000
    covered, none_wrong, plain, debiased = 0, 0, [], []
    for seed in range(60):
        truth, values = binary(300, seed=seed, heat=2)
        found = calibration_error("classification", truth, values, weights(None, 300, 200, seed))
        covered += found.low <= true <= found.high
        truth, values = binary(300, seed=seed)
        found = calibration_error("classification", truth, values, weights(None, 300, 200, seed))
        none_wrong += found.low == 0
        debiased.append(found.value)
        points = curve("classification", truth, values)
        plain.append(sum(p["n"] * abs(p["observed"] - p["predicted"]) for p in points) / 300)
    assert covered >= 52 and none_wrong >= 52
    assert np.mean(debiased) < 0.75 * np.mean(plain)


def test_groups_widen_the_calibration_error():
    truth, values = binary(200, heat=2)
    copies = np.repeat(np.arange(200), 5)
    rows, grouped = (
        calibration_error("classification", truth[copies], values[copies], weights(g, 1000, 300, 0), g)
        for g in (None, copies)
    )
    assert grouped.high - grouped.low > 1.5 * (rows.high - rows.low) and (rows.n_groups, grouped.n_groups) == (
        1000,
        200,
    )


def test_a_share_of_all_or_none_has_an_honest_interval():
    assert wilson(0.5, 100) == pytest.approx((0.4038, 0.5962), abs=1e-3)
    yes, everyone = np.ones(20, dtype=bool), np.ones(20, dtype=bool)
    found = proportion(yes, everyone, weights(None, 20, 100, 0), None)
    assert (found.value, found.high) == (1.0, 1.0) and found.low == pytest.approx(0.839, abs=1e-3)
    pairs = np.arange(20) // 2
    assert proportion(yes, everyone, weights(pairs, 20, 100, 0), pairs).low == pytest.approx(0.722, abs=1e-3)
    assert np.isnan(proportion(yes, ~everyone, weights(None, 20, 100, 0), None).value)
    mixed = proportion(np.arange(20) < 5, np.arange(20) < 10, weights(None, 20, 500, 0), None)
    assert mixed.value == 0.5 and mixed.n == 10 and 0.1 < mixed.low < 0.3
