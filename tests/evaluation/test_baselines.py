"""Baselines learn what is plain, from training rows alone, within their time."""

import time

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.datasets import load_breast_cancer

from anlage.evaluation.baselines import fit_baselines
from anlage.evaluation.features import for_linear, side_by_side
from anlage.tasks import lookup


def folds(n, seed=0):
    order = np.random.default_rng(seed).permutation(n)
    return {"train": order[: n // 2], "valid": order[n // 2 : 3 * n // 4], "test": order[3 * n // 4 :]}


def table(name, n=300, seed=0):
    """Features (dense with gaps, and sparse) and a target that depends on them."""
    rng = np.random.default_rng(seed)
    dense = rng.normal(size=(n, 6)).astype(np.float32)
    bits = (rng.random((n, 40)) < 0.3).astype(np.float32)
    signal = 2 * dense[:, 0] + 2 * bits[:, 3] - bits[:, 5]
    other = dense[:, 1] - bits[:, 7]
    dense[rng.random(dense.shape) < 0.05] = np.nan
    noise = 0.2 * rng.normal(size=n)
    frame = {
        "classification": {"y": np.digitize(signal + noise, [-0.5, 1.0])},
        "multilabel": {"a": (signal + noise > 0).astype(float), "b": (other + noise > 0).astype(float)},
        "regression": {"a": signal + noise, "b": 100 * (other + noise)},
    }[name]
    frame = pd.DataFrame(frame)
    if name != "classification":
        frame.iloc[::7, 0] = np.nan
    return {"numbers": dense, "bits": sp.csr_matrix(bits)}, frame


@pytest.mark.parametrize("name", ["classification", "multilabel", "regression"])
@pytest.mark.parametrize("kind", ["both", "dense"])
def test_all_kinds_of_targets_and_features(name, kind):
    descriptors, frame = table(name)
    if kind == "dense":
        descriptors = {k: v.toarray() if sp.issparse(v) else v for k, v in descriptors.items()}
    parts = folds(len(frame))
    task = lookup.get(name)("y", list(frame.columns)).fit(frame.iloc[parts["train"]])
    truth = task.encode(frame)
    found = fit_baselines(descriptors, task, truth, parts, seed=0, budget_seconds=20)
    constant, linear, trees = found
    primary = next(iter(task.metrics.values()))
    test = parts["test"]
    for baseline in found:
        assert baseline.values.shape == (len(frame), truth.shape[1] if name != "classification" else 3)
        assert np.isfinite(baseline.values).all()
        if name == "classification":
            np.testing.assert_allclose(baseline.values.sum(1), 1, atol=1e-6)
    assert (constant.values == constant.values[0]).all()
    for learned in (linear, trees):
        assert learned.settings and learned.seconds > 0
        assert primary(truth[test], learned.values[test]) > 0.8 - 0.15 * (name == "classification")
    again = fit_baselines(descriptors, task, truth, parts, seed=0, budget_seconds=20)
    for a, b in zip(found, again, strict=True):
        np.testing.assert_array_equal(a.values, b.values)


@pytest.mark.parametrize("name", ["classification", "multilabel", "regression"])
def test_fitted_again_on_training_and_validation_rows_for_the_others_alone(name):
    descriptors, frame = table(name)
    parts = folds(len(frame))
    task = lookup.get(name)("y", list(frame.columns)).fit(frame.iloc[parts["train"]])
    truth = task.encode(frame)
    once = fit_baselines(descriptors, task, truth, parts, budget_seconds=20)
    again = fit_baselines(descriptors, task, truth, parts, budget_seconds=20, refit=True)
    known, test = np.concatenate([parts["train"], parts["valid"]]), parts["test"]
    for one, other in zip(once[1:], again[1:], strict=True):
        assert one.settings == other.settings
        np.testing.assert_array_equal(one.values[known], other.values[known])
        assert (one.values[test] != other.values[test]).any()
    unknown = truth.copy()
    unknown[parts["valid"]] = np.nan  # nothing to tune by, nothing more to learn
    assert all("not tuned" in b.note for b in fit_baselines(descriptors, task, unknown, parts, refit=True)[1:])


@pytest.mark.parametrize("name", ["classification", "regression"])
def test_test_rows_and_their_truth_change_nothing(name):
    descriptors, frame = table(name)
    parts = folds(len(frame))
    task = lookup.get(name)("y", list(frame.columns)).fit(frame.iloc[parts["train"]])
    truth = task.encode(frame)
    seen = np.concatenate([parts["train"], parts["valid"]])
    spoiled, wild = truth.copy(), {"numbers": descriptors["numbers"].copy(), "bits": descriptors["bits"]}
    spoiled[parts["test"]] = 0
    wild["numbers"][parts["test"]] = 1e6
    a = fit_baselines(descriptors, task, truth, parts, budget_seconds=20)
    b = fit_baselines(wild, task, spoiled, parts, budget_seconds=20)
    for one, other in zip(a, b, strict=True):
        np.testing.assert_array_equal(one.values[seen], other.values[seen])


def test_breast_cancer():
    """scikit-learn's own records: logistic regression reaches an AUROC of about .995."""
    x, y = load_breast_cancer(return_X_y=True)
    parts = folds(len(y))
    frame = pd.DataFrame({"y": y})
    task = lookup.get("classification")("y", ["y"]).fit(frame)
    truth = task.encode(frame)
    found = {b.name: b for b in fit_baselines({"x": x}, task, truth, parts, budget_seconds=20)}
    test = parts["test"]
    for name in ("logistic regression", "LightGBM"):
        assert task.metrics["auroc"](truth[test], found[name].values[test]) > 0.98
    assert found["majority class"].values[0].sum() == pytest.approx(1)


def test_time_is_bounded_and_what_was_cut_is_said():
    rng = np.random.default_rng(0)
    x, frame = rng.normal(size=(4000, 60)), pd.DataFrame({"y": rng.integers(0, 60, 4000).astype(str)})
    parts = folds(4000)
    task = lookup.get("classification")("y", ["y"]).fit(frame)
    start = time.monotonic()
    found = fit_baselines({"x": x}, task, task.encode(frame), parts, budget_seconds=0.001)
    assert time.monotonic() - start < 20  # one round of each, whatever the machine is busy with
    assert "time" in found[1].note and "time" in found[2].note


def test_many_classes_leave_boosting_out_and_say_so():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"y": [str(i % 150) for i in range(600)]})
    task = lookup.get("classification")("y", ["y"]).fit(frame)
    found = fit_baselines({"x": rng.normal(size=(600, 5))}, task, task.encode(frame), folds(600), budget_seconds=2)
    assert [b.name for b in found] == ["majority class", "logistic regression"]
    assert "150 classes" in found[1].note


def test_without_validation_rows_nothing_is_tuned():
    descriptors, frame = table("regression")
    task = lookup.get("regression")("y", list(frame.columns)).fit(frame)
    found = fit_baselines(descriptors, task, task.encode(frame), {"train": np.arange(200)}, budget_seconds=20)
    assert all("not tuned" in b.note for b in found[1:])


def test_very_few_rows_and_useless_features():
    frame = pd.DataFrame({"y": ["a", "b"] * 6})
    task = lookup.get("classification")("y", ["y"]).fit(frame)
    parts = {"train": np.arange(8), "valid": np.arange(8, 12)}
    x = np.stack([np.arange(12) % 2, np.full(12, np.nan), np.ones(12)], axis=1)
    found = fit_baselines({"x": x}, task, task.encode(frame), parts, budget_seconds=5)
    assert task.metrics["accuracy"](task.encode(frame), found[1].values) == 1
    assert task.metrics["accuracy"](task.encode(frame), found[2].values) == 1
    nothing = fit_baselines({"x": x[:, 1:]}, task, task.encode(frame), parts, budget_seconds=5)
    assert "no feature varies" in nothing[1].note


def test_scaling_is_learned_from_training_rows():
    x = np.array([[0.0, np.nan], [2.0, 3.0], [4.0, 5.0], [1e9, 1.0]])
    ready = for_linear({"x": x}, np.array([0, 1, 2]))
    np.testing.assert_allclose(ready[:3].mean(0), 0, atol=1e-6)
    assert ready[0, 1] == pytest.approx(0, abs=1e-6) and ready[3, 0] == 10
    both = side_by_side({"x": x, "y": sp.csr_matrix(np.eye(4))})
    assert sp.issparse(both) and both.shape == (4, 6)
