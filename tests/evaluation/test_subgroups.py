"""Levels of columns, scores for each, and the gap between the best and the worst."""

import json

import numpy as np
import pandas as pd
import pytest

from anlage.errors import AnlageError
from anlage.evaluation.intervals import Estimate, interval, weights
from anlage.evaluation.subgroups import is_small, levels, said, subgroups
from anlage.metrics.classification import ACCURACY, AUROC
from anlage.metrics.regression import MAE


def answers(rng: np.random.Generator, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Truth and probabilities of two classes, right with the probability ``right`` [rows]."""
    truth = rng.integers(0, 2, len(right))
    said_one = np.where(rng.random(len(right)) < right, truth, 1 - truth)
    p = np.where(said_one == 1, 0.8, 0.2)
    return truth[:, None].astype(float), np.stack([1 - p, p], axis=1)


def test_levels_of_words_numbers_and_missing_values():
    frame = pd.DataFrame({"sex": ["m", "f", None, "f"], "age": [39, 40.0, np.nan, 61], "site": ["b", "b", "a", "a"]})
    sex, age = levels(frame, "sex"), levels(frame, "age:10")
    assert sex.names == ["f", "m", "missing"] and sex.of.tolist() == [1, 0, 2, 0]
    assert age.names == ["30 to <40", "40 to <50", "60 to <70", "missing"] and age.of.tolist() == [0, 1, 3, 2]
    both = levels(frame, "sex*site")
    assert [both.names[i] for i in both.of] == ["m × b", "f × b", "missing × a", "f × a"]
    assert [levels(frame, "site*age:50").names[i] for i in levels(frame, "site*age:50").of][0] == "b × 0 to <50"


def test_bins_start_at_multiples_of_their_width():
    found = levels(pd.DataFrame({"x": [-0.1, 0.0, 0.3, 0.2999]}), "x:0.1")
    assert [found.names[i] for i in found.of] == ["-0.1 to <0", "0 to <0.1", "0.3 to <0.4", "0.2 to <0.3"]


def test_a_column_whose_name_looks_like_a_wish_is_taken_by_its_name():
    frame = pd.DataFrame({"a:1": ["x", "y"], "b*c": ["u", "u"]})
    assert levels(frame, "a:1").names == ["x", "y"] and levels(frame, "b*c").names == ["u"]


@pytest.mark.parametrize(
    ("wanted", "what"),
    [
        ("ages", "no column 'ages'; columns: age, name"),
        ("name:10", "row p0, column name: 'person 0' is no number"),
        ("age:ten", "'ten' is no width of bins"),
        ("age:0", "'0' is no width of bins"),
        ("name", "60 levels, more than 50"),
    ],
)
def test_bad_wishes_are_one_clear_line(wanted, what):
    index = [f"p{i}" for i in range(60)]
    frame = pd.DataFrame({"age": range(60), "name": [f"person {i}" for i in range(60)]}, index=index)
    with pytest.raises(AnlageError, match="--subgroup") as raised:
        levels(frame, wanted)
    assert what in str(raised.value) and "\n" not in str(raised.value)


def test_a_planted_gap_is_found_and_said():
    rng = np.random.default_rng(0)
    site = np.repeat(["a", "b", "c"], [300, 300, 12])
    truth, values = answers(rng, np.where(site == "b", 0.65, 0.9))
    frame = pd.DataFrame({"site": site})
    found = subgroups(frame, ["site"], "test", ACCURACY, truth, values, None, 500, 0)
    a, b, c = found["columns"]["site"]["levels"]
    assert [a["n"], b["n"], c["n"]] == [300, 300, 12] and [a["small"], b["small"], c["small"]] == [False, False, True]
    assert c["score"]["value"] is not None
    alone = interval(ACCURACY, truth[:300], values[:300], weights(None, 300, 500, 0))
    assert a["score"]["value"] == alone.value
    assert a["score"]["high"] - a["score"]["low"] == pytest.approx(alone.high - alone.low, rel=0.15)
    gap = found["columns"]["site"]["gap"]
    assert (gap["best"], gap["worst"]) == ("a", "b") and gap["low"] > 0.1
    assert gap["value"] == pytest.approx(a["score"]["value"] - b["score"]["value"])
    (sentence,), notes = said(found, 0.1)
    assert "site a (best) and b (worst)" in sentence and not notes
    assert said(found, 0.9) == ([], [])
    json.dumps(found, allow_nan=False)


def test_an_error_is_best_where_it_is_small():
    rng = np.random.default_rng(0)
    arm = np.repeat(["x", "y"], 100)
    truth = rng.normal(size=(200, 1))
    values = truth + rng.normal(size=(200, 1)) * np.where(arm == "x", 0.1, 2.0)[:, None]
    found = subgroups(pd.DataFrame({"arm": arm}), ["arm"], "test", MAE, truth, values, None, 300, 0)
    assert (found["columns"]["arm"]["gap"]["best"], found["columns"]["arm"]["gap"]["worst"]) == ("x", "y")
    assert found["columns"]["arm"]["gap"]["low"] > 1


def test_without_a_gap_one_is_seldom_claimed_though_the_worst_of_eight_is_looked_at():
    rng = np.random.default_rng(1)
    claimed = covered = naive = 0
    site = np.repeat(np.arange(8).astype(str), 40)
    for trial in range(60):
        truth, values = answers(rng, np.full(320, 0.75))
        found = subgroups(pd.DataFrame({"s": site}), ["s"], "test", ACCURACY, truth, values, None, 200, trial)
        gap = found["columns"]["s"]["gap"]
        claimed += gap["low"] > 0
        covered += gap["low"] <= 0 <= gap["high"]
        spans = {level["name"]: level["score"] for level in found["columns"]["s"]["levels"]}
        naive += spans[gap["best"]]["low"] > spans[gap["worst"]]["high"]
    assert claimed <= 6 and covered >= 54


def test_no_error_among_twenty_rows_is_no_proof_of_a_gap():
    truth = np.array([[0.0], [1.0]] * 120)
    right = np.ones(240, dtype=bool)
    right[24::20] = False
    p = np.where(right[:, None], truth, 1 - truth)
    values = np.hstack([1 - p, p])
    age = np.where(np.arange(240) < 20, "old", "young")
    found = subgroups(pd.DataFrame({"age": age}), ["age"], "test", ACCURACY, truth, values, None, 500, 0)
    gap = found["columns"]["age"]["gap"]
    assert gap["best"] == "old" and gap["value"] == pytest.approx(0.05) and gap["low"] == 0 and gap["high"] > 0.1


def test_calibration_and_coverage_are_measured_for_each_level():
    rng = np.random.default_rng(0)
    sex = np.repeat(["f", "m"], 60)
    truth, values = answers(rng, np.full(120, 0.8))
    asked = []

    def error(truth, values, weights, groups):
        asked.append((truth.shape, values.shape, weights.shape))
        return Estimate(0.1, 0.0, 0.2, len(truth), len(truth))

    held = np.where(sex == "f", True, np.arange(120) % 2 == 0)
    found = subgroups(pd.DataFrame({"sex": sex}), ["sex"], "test", ACCURACY, truth, values, None, 100, 0, error, held)
    f, m = found["columns"]["sex"]["levels"]
    assert asked == [((60, 1), (60, 2), (100, 60))] * 2 and f["ece"]["value"] == 0.1
    assert f["held"]["value"] == 1 and f["held"]["low"] < 1 and m["held"]["value"] == 0.5


def test_small_is_few_rows_few_of_a_class_or_few_groups():
    truth, values = np.array([[0.0], [1.0]] * 15), np.zeros((30, 2))
    assert not is_small(truth, values, None)
    assert is_small(truth[:18], values[:18], None)
    assert is_small(np.array([[0.0]] * 27 + [[1.0]] * 3), values, None)
    assert is_small(truth, values, np.arange(30) % 4) and not is_small(truth, values, np.arange(30) % 6)


def test_nothing_can_be_said_of_small_levels_and_unknown_rows_count_nowhere():
    truth, values = answers(np.random.default_rng(0), np.full(50, 0.9))
    truth[40:] = np.nan
    frame = pd.DataFrame({"site": ["a"] * 35 + ["b"] * 5 + ["c"] * 10})
    found = subgroups(frame, ["site"], "test", AUROC, truth, values, None, 200, 0)
    assert [level["n"] for level in found["columns"]["site"]["levels"]] == [35, 5, 0]
    assert found["columns"]["site"]["gap"] is None
    assert said(found, 0.1) == ([], ["subgroups of site: nothing can be said, 1 of 3 levels has enough rows"])
    assert subgroups(frame, [], "test", AUROC, truth, values, None, 200, 0) is None and said(None, 0.1) == ([], [])
    json.dumps(found, allow_nan=False)
