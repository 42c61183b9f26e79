"""What is learned for one target from validation rows, kept as JSON, and measured on other rows."""

import json

import numpy as np
import pytest

from anlage.errors import AnlageError
from anlage.evaluation.settings import EvaluationSettings
from anlage.evaluation.trust import Trust
from anlage.metrics.classification import AUROC

SETTINGS = EvaluationSettings(threshold=("sensitivity>=0.9", "f1", "f1"))
PARTS = {"valid": np.arange(300, 600), "test": np.arange(600, 1500)}
CALIBRATION = np.arange(600) < 300


def two(n=1500, seed=0):
    rng = np.random.default_rng(seed)
    z = 1.5 * rng.normal(size=n)
    truth = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(float)[:, None]
    p = 1 / (1 + np.exp(-3 * z))
    return truth, np.stack([1 - p, p], axis=1)


def numbers(n=1500):
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(n, 2)) * [1, 5]
    return truth, truth + rng.normal(size=(n, 2)) * [0.3, 2]


def several(n=1500):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(n, 2))
    truth = (rng.random((n, 2)) < 1 / (1 + np.exp(-z))).astype(float)
    truth[::9, 1] = np.nan
    return truth, 1 / (1 + np.exp(-4 * z))


CASES = {
    "classification": (("well", "sick"), two, SETTINGS),
    "multilabel": (("a", "b"), several, EvaluationSettings(threshold=("b:f1",))),
    "regression": (("x", "y"), numbers, EvaluationSettings()),
}


def fitted(task):
    labels, make, settings = CASES[task]
    truth, values = make()
    return Trust.fit(task, labels, truth[:600], values[:600], None, CALIBRATION, settings), truth, values


@pytest.mark.parametrize("task", CASES)
def test_it_survives_json_to_the_bit(task):
    trust, truth, values = fitted(task)
    again = Trust.from_json(json.loads(json.dumps(trust.to_json(), allow_nan=False)), task, CASES[task][0])
    assert again == trust
    measured = [t.measure(truth, values, None, PARTS, 50, 0) for t in (trust, again)]
    assert measured[0] == measured[1]
    json.dumps(measured[0], allow_nan=False)
    for one, other in zip(trust.columns("y", values).values(), again.columns("y", values).values(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("task", CASES)
def test_other_rows_than_the_validation_ones_change_nothing(task):
    """The test rows' truth and predictions are swapped for noise: all that was learned is equal to the bit. Rows that
    stopped the training choose thresholds only."""
    labels, make, settings = CASES[task]
    truth, values = make()
    known = Trust.fit(task, labels, truth[:600], values[:600], None, CALIBRATION, settings)
    truth[300:600] = truth[300:600][::-1]
    swapped = Trust.fit(task, labels, truth[:600], values[:600], None, CALIBRATION, settings)
    assert (known.calibrator, known.conformal) == (swapped.calibrator, swapped.conformal)
    assert task == "regression" or known.thresholds != swapped.thresholds


def test_classification_has_all_four_entries():
    trust, truth, values = fitted("classification")
    found = trust.measure(truth, values, None, PARTS, 200, 0)
    calibration = found["calibration"]
    assert calibration["method"] in ("temperature", "isotonic") and calibration["rows"] == 300
    test = calibration["parts"]["test"]
    assert test["ece"]["value"] < test["ece_before"]["low"] and test["ece"]["n"] == 900
    brier = test["brier"]
    assert brier["reliability"] - brier["resolution"] + brier["uncertainty"] == pytest.approx(brier["value"])
    assert set(brier) == {"value", "low", "high", "reliability", "resolution", "uncertainty"}
    assert set(test["curve"][0]) == {"predicted", "observed", "low", "high", "n"}
    held = found["conformal"]["parts"]["test"]
    assert found["conformal"]["coverage"] == 0.9 and 0.86 < held["held"]["value"] < 0.97 and held["size"] < 2
    assert [t["goal"] for t in found["thresholds"]] == ["sensitivity>=0.9", "f1"]
    assert set(found["thresholds"][0]) == {"goal", "label", "threshold", "rows", "why", "parts"}
    assert set(found["thresholds"][0]["parts"]) == {"test"} and found["thresholds"][0]["rows"] == 600
    assert found["thresholds"][0]["parts"]["test"]["sensitivity"]["value"] > 0.85
    assert found["net_benefit"]["part"] == "test" and len(found["net_benefit"]["curve"]) == 99
    assert AUROC(truth, trust.calibrated(values)) == pytest.approx(AUROC(truth, values), abs=1e-6)


def test_columns_for_a_person():
    trust, _, values = fitted("classification")
    columns = trust.columns("diagnosis", values[600:])
    assert list(columns) == ["diagnosis_set", "diagnosis_at_sensitivity>=0.9", "diagnosis_at_f1"]
    assert set(columns["diagnosis_set"]) == {"well", "sick", "well|sick"}
    predicted = np.array(trust.labels)[trust.calibrated(values[600:]).argmax(1)]
    assert all(label in row.split("|") for label, row in zip(predicted, columns["diagnosis_set"], strict=True))
    assert set(columns["diagnosis_at_f1"]) == {"yes", "no"}
    trust, _, values = fitted("regression")
    columns = trust.columns("dose", values)
    assert list(columns) == ["dose_x_low", "dose_x_high", "dose_y_low", "dose_y_high"]
    assert (columns["dose_y_low"] < values[:, 1]).all() and (values[:, 1] < columns["dose_y_high"]).all()


def test_other_tasks_have_none_and_multilabel_says_that_it_has_no_sets():
    assert Trust.fit("masked", (), np.zeros((9, 1)), np.zeros((9, 1)), None, np.ones(9, dtype=bool), SETTINGS) is None
    trust, truth, values = fitted("multilabel")
    found = trust.measure(truth, values, None, PARTS, 100, 0)
    assert found["conformal"] is None and "no sets" in trust.notes[0] and found["net_benefit"] is None
    assert found["calibration"]["method"] == "temperature" and found["thresholds"][0]["label"] == "b"


def test_without_calibration_rows_every_gap_is_explained():
    truth, values = two()
    none = np.zeros(600, dtype=bool)
    trust = Trust.fit("classification", ("well", "sick"), truth[:600], values[:600], None, none, EvaluationSettings())
    assert trust.calibrator.method == "none" and "0 calibration rows, too few" in trust.calibrator.why
    assert trust.conformal is None and "0 rows to calibrate on" in trust.notes[0]
    assert trust.calibrated(values) is values and trust.columns("y", values) == {}
    found = trust.measure(truth, values, None, {"test": PARTS["test"]}, 100, 0)
    assert found["calibration"]["parts"]["test"]["ece_before"] is None and found["conformal"] is None
    assert found["thresholds"] == []


def test_a_part_without_truth_is_left_out():
    trust, truth, values = fitted("classification")
    truth[600:] = np.nan
    found = trust.measure(truth, values, None, PARTS, 100, 0)
    assert set(found["calibration"]["parts"]) == {"valid"} and found["net_benefit"]["part"] == "valid"
    assert found["thresholds"][0]["parts"] == {}


def test_groups_widen_every_interval():
    truth, values = two(400)
    copies = np.repeat(np.arange(400), 4)
    truth, values = truth[copies], values[copies]
    trust = Trust.fit("classification", ("well", "sick"), truth, values, copies, np.ones(1600, dtype=bool), SETTINGS)
    assert "in 400 groups" in trust.conformal.method and "random row of a new group" in trust.conformal.method
    rows = {"test": np.arange(1600)}
    wide, narrow = (trust.measure(truth, values, g, rows, 200, 0) for g in (copies, None))

    def width(entry):
        return entry["high"] - entry["low"]

    for path in (("conformal", "held"), ("calibration", "brier")):
        w, n = (found[path[0]]["parts"]["test"][path[1]] for found in (wide, narrow))
        assert width(w) > 1.5 * width(n)
    w, n = (found["thresholds"][1]["parts"]["test"]["sensitivity"] for found in (wide, narrow))
    assert width(w) > 1.5 * width(n)


def test_what_does_not_fit_the_bundle_is_refused():
    trust, _, _ = fitted("classification")
    state = json.loads(json.dumps(trust.to_json()))
    labels = ("well", "sick")
    isotonic = {"method": "isotonic", "parameters": {"knots": [0.1], "shares": [0.1]}, "why": "", "rows": 1}
    for damaged in (None, [], {}, state | {"labels": ["a"]}, state | {"calibrator": None}, state | {"thresholds": 3}):
        with pytest.raises(AnlageError, match="damaged"):
            Trust.from_json(damaged, "classification", labels)
    with pytest.raises(AnlageError, match="two labels"):
        three = state | {"labels": list("abc"), "calibrator": isotonic, "conformal": None, "thresholds": []}
        Trust.from_json(three, "classification", tuple("abc"))
