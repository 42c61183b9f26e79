"""Operating thresholds: read, chosen on validation rows, measured on others."""

import json

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score

from anlage.errors import AnlageError
from anlage.evaluation.intervals import weights
from anlage.evaluation.thresholds import Threshold, choose, parse_goal, require_used

TWO = ("well", "sick")


def patients(n, rng, prevalence=0.3, distance=2.0):
    truth = (rng.random(n) < prevalence).astype(float)
    p = 1 / (1 + np.exp(-(rng.normal(size=n) + distance * (truth - 0.5))))
    return truth[:, None], np.stack([1 - p, p], axis=1)


def chosen(text, truth, values, groups=None):
    found = choose(parse_goal(text), "classification", TWO, truth, values, groups)
    assert isinstance(found, Threshold)
    return found


def test_goals_are_read():
    assert parse_goal("sensitivity >= 0.95").text == "sensitivity>=0.95"
    goal = parse_goal("a:b:cost=10:2")
    assert (goal.label, goal.kind, goal.value) == ("a:b", "cost", 5.0)
    assert parse_goal("cost=10:1").label is None
    assert parse_goal("melanoma:f1").label == "melanoma" and parse_goal("youden").kind == "youden"


@pytest.mark.parametrize("text", ["", "sensitivity", "sensitivity>0.9", "recall>=0.9", "cost=10", "f1>=0.5", "x:"])
def test_what_is_no_goal_is_refused_in_one_line(text):
    with pytest.raises(AnlageError, match="no goal that is known; give sensitivity>=0.95") as error:
        parse_goal(text)
    assert "\n" not in str(error.value)


def test_rates_and_costs_out_of_range_are_refused():
    with pytest.raises(AnlageError, match="between 0 and 1"):
        parse_goal("precision>=80")
    with pytest.raises(AnlageError, match="above 0"):
        parse_goal("cost=0:1")


def test_a_goal_must_fit_a_target():
    targets = {
        "y": ("classification", TWO),
        "kind": ("classification", ("a", "b", "c")),
        "size": ("regression", ("size",)),
    }
    require_used(["f1", "b:f1", "well:youden"], targets)
    with pytest.raises(AnlageError, match="no label 'd'; labels: well, sick, a, b, c"):
        require_used(["d:f1"], targets)
    with pytest.raises(AnlageError, match="of which label. Write LABEL:f1; labels: a, b, c"):
        require_used(["f1"], {"kind": targets["kind"]})
    with pytest.raises(AnlageError, match="no target has labels"):
        require_used(["f1"], {"size": targets["size"]})


@pytest.mark.parametrize(("goal", "rate"), [("sensitivity", 0.9), ("specificity", 0.8)])
def test_a_rate_is_reached_on_average_over_new_rows(goal, rate):
    rng = np.random.default_rng(0)
    reached = []
    for _ in range(200):
        found = chosen(f"{goal}>={rate}", *patients(120, rng))
        truth, values = patients(2000, rng)
        flagged, positive = found.flag(values), truth[:, 0] == 1
        reached.append(flagged[positive].mean() if goal == "sensitivity" else (~flagged)[~positive].mean())
    assert rate - 0.005 < np.mean(reached) < rate + 0.035


def test_groups_count_once_in_the_choice():
    """One patient with 500 hopeless scans among 40 with one each: sensitivity over patients does not bow to him."""
    p = np.concatenate([np.full(500, 0.01), np.linspace(0.5, 0.9, 40), np.linspace(0, 0.6, 200)])
    truth = (np.arange(740) < 540).astype(float)[:, None]
    values = np.stack([1 - p, p], axis=1)
    groups = np.concatenate([np.zeros(500, dtype=int), np.full(240, -1)])
    assert chosen("sensitivity>=0.9", truth, values, groups).threshold > 0.45
    assert chosen("sensitivity>=0.9", truth, values).threshold < 0.02


def test_precision_f1_youden_and_cost_are_the_best_of_all_cuts():
    rng = np.random.default_rng(0)
    truth, values = patients(120, rng)
    positive = truth[:, 0] == 1
    cuts = np.append(np.unique(values[:, 1]), 1.1)
    flags = [values[:, 1] >= cut for cut in cuts]
    assert f1_score(positive, chosen("f1", truth, values).flag(values)) == max(f1_score(positive, f) for f in flags)

    def youden(flag):
        return recall_score(positive, flag) + recall_score(~positive, ~flag)

    assert youden(chosen("youden", truth, values).flag(values)) == pytest.approx(max(map(youden, flags)))

    def cost(flag):
        return 10 * (positive & ~flag).sum() + (~positive & flag).sum()

    assert cost(chosen("cost=10:1", truth, values).flag(values)) == min(map(cost, flags))
    assert (
        chosen("cost=1:1000", truth, values).flag(values).sum() <= chosen("cost=1:1", truth, values).flag(values).sum()
    )
    precise = chosen("precision>=0.8", truth, values)
    assert precision_score(positive, precise.flag(values)) >= 0.8 and precise.why is None


def test_what_cannot_be_reached_or_rests_on_few_is_said():
    rng = np.random.default_rng(0)
    truth, values = patients(60, rng, prevalence=0.15)
    found = chosen("sensitivity>=0.95", truth, values)
    assert "too few positives to promise sensitivity>=0.95; flags all of them" in found.why
    assert "positives only" in found.why and found.flag(values)[truth[:, 0] == 1].all()
    truth, values = patients(300, rng, distance=0.0)
    assert "cannot be reached" in chosen("precision>=0.99", truth, values).why
    alone = choose(parse_goal("f1"), "classification", TWO, np.zeros((50, 1)), values[:50], None)
    assert alone == "no threshold for f1: none of the 50 validation rows is positive"
    sick = chosen("specificity>=0.95", (rng.random((60, 1)) < 0.9).astype(float), values[:60])
    assert "too few negatives" in sick.why and "negatives only" in sick.why


def test_a_named_label_of_many_and_of_several():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 300).astype(float)[:, None]
    values = rng.dirichlet(np.ones(3), 300) * 0.5 + 0.5 * (np.arange(3) == truth)
    found = choose(parse_goal("b:f1"), "classification", "abc", truth, values, None)
    assert found.label == "b" and found.flag(values)[truth[:, 0] == 1].all()
    assert choose(parse_goal("f1"), "classification", "abc", truth, values, None) is None
    assert choose(parse_goal("b:f1"), "regression", "b", truth, truth, None) is None
    labels = (values > 0.5).astype(float)
    labels[:10, 2] = np.nan
    several = choose(parse_goal("c:youden"), "multilabel", "abc", labels, values, None)
    assert several.rows == 290 and (several.flag(values)[10:] == (labels[10:, 2] == 1)).all()


def test_operating_characteristics_equal_scikit_learn_and_have_intervals():
    rng = np.random.default_rng(0)
    found = chosen("youden", *patients(300, rng))
    truth, values = patients(400, rng)
    truth[:30] = np.nan
    measured = found.measure("classification", truth, values, weights(None, 400, 300, 0), None)
    positive, flagged = truth[30:, 0] == 1, found.flag(values)[30:]
    expected = {
        "sensitivity": recall_score(positive, flagged),
        "specificity": recall_score(~positive, ~flagged),
        "precision": precision_score(positive, flagged),
        "npv": precision_score(~positive, ~flagged),
        "f1": f1_score(positive, flagged),
        "flagged": flagged.mean(),
    }
    assert {name: e.value for name, e in measured.items()} == pytest.approx(expected)
    assert all(e.low < e.value < e.high for e in measured.values())
    assert measured["sensitivity"].n == positive.sum() and measured["flagged"].n == 370


def test_thresholds_survive_json_and_damaged_ones_are_refused():
    found = chosen("sensitivity>=0.9", *patients(300, np.random.default_rng(0)))
    state = json.loads(json.dumps(found.to_json()))
    assert Threshold.from_json(state, TWO) == found
    for damaged in (
        None,
        {},
        state | {"column": 7},
        state | {"threshold": 3},
        state | {"goal": 4},
        state | {"label": "x"},
    ):
        with pytest.raises(AnlageError, match="damaged"):
            Threshold.from_json(damaged, TWO)
