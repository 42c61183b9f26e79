"""The entry of a target in metrics.json, the verdict, and the whole file."""

import json

import numpy as np
import pandas as pd
import pytest

from anlage.errors import AnlageError
from anlage.evaluation.baselines import Baseline
from anlage.evaluation.estimates import resampled_groups
from anlage.evaluation.evaluate import evaluate_target, primary_metric
from anlage.evaluation.intervals import Estimate
from anlage.evaluation.metrics_json import assemble
from anlage.evaluation.settings import EvaluationSettings
from anlage.evaluation.verdict import verdict
from anlage.tasks import lookup

SETTINGS = EvaluationSettings(resamples=300)


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"y": rng.normal(size=300)})
    task = lookup.get("regression")("y", ["y"]).fit(frame)
    truth = task.encode(frame)

    def noisy(size):
        return truth + size * rng.normal(size=truth.shape)

    parts = {"train": np.arange(100), "valid": np.arange(100, 180), "test": np.arange(180, 300)}
    baselines = [
        Baseline("training mean", np.zeros(truth.shape)),
        Baseline("ridge regression", noisy(1.0), {"alpha": 1.0}, 0.5),
        Baseline("LightGBM", noisy(1.5), {"num_leaves": 7}, 2.0, "cut"),
    ]
    return task, truth, noisy, baselines, parts


@pytest.mark.parametrize(("size", "outcome"), [(0.2, "better"), (1.0, "no better"), (9.0, "worse")])
def test_the_verdict_compares_with_the_baseline_that_is_best_on_validation(case, size, outcome):
    task, truth, noisy, baselines, parts = case
    found = evaluate_target(task, truth, noisy(size), baselines, parts, None, SETTINGS, seed=0)
    assert found["verdict"]["outcome"] == outcome and found["verdict"]["baseline"] == "ridge regression"
    assert found["verdict"]["text"].startswith(outcome) and "ridge regression" in found["verdict"]["text"]
    difference = found["differences"]["ridge regression"]["test"]["spearman"]
    assert found["verdict"]["difference"] == difference
    model, ridge = found["model"]["test"]["spearman"], found["baselines"]["ridge regression"]["test"]["spearman"]
    assert difference["value"] == pytest.approx(model["value"] - ridge["value"])
    assert set(model) == {"value", "low", "high", "n", "n_groups"} and model["n"] == model["n_groups"] == 120
    assert found["baselines"]["LightGBM"]["settings"] == {"num_leaves": 7}
    assert found["baselines"]["LightGBM"]["note"] == "cut"
    assert set(found["model"]) == set(found["baselines"]["LightGBM"]) & {"valid", "test"} == {"valid", "test"}


def test_differences_of_errors_are_positive_where_the_model_is_better(case):
    task, truth, noisy, baselines, parts = case
    found = evaluate_target(task, truth, noisy(0.1), baselines, parts, None, SETTINGS, seed=0)
    assert found["differences"]["training mean"]["test"]["rmse"]["low"] > 0
    assert found["differences"]["training mean"]["test"]["spearman"]["value"] is None


def test_a_part_that_is_not_judged_is_absent_and_the_verdict_says_where_it_stands(case):
    task, truth, noisy, baselines, parts = case
    del parts["test"]
    found = evaluate_target(task, truth, noisy(0.1), baselines, parts, None, SETTINGS, seed=0)
    assert set(found["model"]) == {"valid"} and found["verdict"]["part"] == "valid"
    assert found["verdict"]["text"].endswith("(on the validation rows)")
    only_test = {"test": np.arange(180, 300)}
    found = evaluate_target(task, truth, noisy(0.1), baselines, only_test, None, SETTINGS, seed=0)
    assert set(found["model"]) == {"test"} and found["verdict"]["baseline"] == "ridge regression"


def test_rows_without_truth_and_their_predictions_are_not_judged(case):
    task, truth, noisy, baselines, parts = case
    values = noisy(0.5)
    values[200:220] = np.nan
    with pytest.raises(AnlageError, match="target y: the model predicted numbers that are not finite"):
        evaluate_target(task, truth, values, baselines, parts, None, SETTINGS, seed=0)
    truth = truth.copy()
    truth[200:220] = np.nan
    found = evaluate_target(task, truth, values, baselines, parts, None, SETTINGS, seed=0)
    assert found["model"]["test"]["mae"]["n"] == 100
    truth[:] = np.nan
    found = evaluate_target(task, truth, values, baselines, parts, None, SETTINGS, seed=0)
    assert found["verdict"]["outcome"] is None and found["model"] == {}


def test_groups_are_resampled_unless_one_dominates(case):
    task, truth, noisy, baselines, parts = case
    groups = np.arange(300) // 4
    found = evaluate_target(task, truth, noisy(1.0), baselines, parts, groups, SETTINGS, seed=0)
    assert found["resampled"] == "groups" and found["model"]["test"]["mae"]["n_groups"] == 30
    assert resampled_groups(np.zeros(300, dtype=int), parts) is None
    assert resampled_groups(np.arange(300), parts) is None
    assert resampled_groups(np.full(300, -1), parts) is None
    assert resampled_groups(None, parts) is None


def test_the_user_chooses_the_metric(case):
    task, truth, noisy, baselines, parts = case
    chosen = EvaluationSettings(metric="rmse", resamples=200)
    found = evaluate_target(task, truth, noisy(0.1), baselines, parts, None, chosen, seed=0)
    assert found["primary"] == "rmse" and found["verdict"]["outcome"] == "better"
    with pytest.raises(AnlageError, match="no metric 'auroc'; metrics: spearman"):
        primary_metric(task, EvaluationSettings(metric="auroc"))


def test_the_file_is_json_with_one_line_for_all_targets(case):
    task, truth, noisy, baselines, parts = case
    one = evaluate_target(task, truth, noisy(0.1), baselines, parts, None, SETTINGS, seed=0)
    whole = assemble({"y": one}, resamples=300, seed=0, split_hash="s", data_hash="d", training={"epochs": 3})
    again = json.loads(json.dumps(whole, allow_nan=False))
    assert again == whole and whole["schema"] == 1 and whole["verdict"] == one["verdict"]["text"]
    assert whole["level"] == 0.95 and whole["resampled"] == "rows" and whole["training"] == {"epochs": 3}
    two = assemble({"y": one, "z": one}, resamples=300, seed=0, split_hash="s", data_hash="d")
    assert two["verdict"] == f"y: {one['verdict']['text']}; z: {one['verdict']['text']}"


def test_words_of_the_verdict():
    def said(value, low, high, part="test"):
        return verdict("LightGBM", "accuracy", Estimate(value, low, high, 100, 100), part).text

    assert said(0.041, 0.022, 0.06) == "better than the baseline (LightGBM) by 0.041 [0.022, 0.060] accuracy"
    assert said(-0.041, -0.06, -0.022) == "worse than the baseline (LightGBM) by 0.041 [0.022, 0.060] accuracy"
    expected = "no better than the baseline (LightGBM): difference 0.004 [-0.010, 0.018] accuracy"
    assert said(0.004, -0.01, 0.018) == expected
    assert said(0.004, -0.01, 0.018, "valid") == expected + " (on the validation rows)"
    assert said(float("nan"), float("nan"), float("nan")).startswith("not compared with LightGBM")
