"""Which task a column asks for, and how label columns are read."""

import numpy as np
import pandas as pd
import pytest
import torch

from anlage.errors import AnlageError
from anlage.tasks import lookup
from anlage.tasks.labels import as_labels, as_truths, in_order, loss_weights


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["a", "b", "c"] * 5, "classification"),
        ([0, 1, 1, 0], "classification"),
        ([0.0, 1.0, np.nan, 0.0], "classification"),
        ([True, False, None, True], "classification"),
        (["1", "2", "3"] * 5, "classification"),
        ([f"{i / 7}" for i in range(30)], "regression"),
        (list(range(60)), "regression"),
        ([v for v in range(30) for _ in range(10)], "regression"),
        (np.linspace(0, 1, 40).tolist(), "regression"),
        (["x;y", "x", "y", "z;x", "z"] * 4, "multilabel"),
        (["x|y", "x", None, "y"] * 4, "multilabel"),
        ([7, 7, 7], "classification"),
    ],
)
def test_one_column(values, expected):
    cls, evidence = lookup.recognise(pd.DataFrame({"y": values}))
    assert cls.name == expected, evidence


def test_evidence_of_an_ambiguous_column_says_how_to_override():
    folds = pd.DataFrame({"fold": [v for v in range(1000) for _ in range(10)]})
    cls, evidence = lookup.recognise(folds)
    assert cls.name == "regression" and "--task fold=classification" in evidence
    cls, evidence = lookup.recognise(folds, "classification")
    assert cls.name == "classification" and "you" in evidence


def test_several_columns():
    yes_no = pd.DataFrame({"a": [0, 1, np.nan], "b": ["yes", "no", "no"]})
    assert lookup.recognise(yes_no)[0].name == "multilabel"
    assert lookup.recognise(pd.DataFrame({"a": [0.5, 1.5], "b": [3.0, 4.0]}))[0].name == "regression"


def test_unusable_targets_are_one_clear_line():
    with pytest.raises(AnlageError, match="every value is missing"):
        lookup.recognise(pd.DataFrame({"y": [None, None]}))
    with pytest.raises(AnlageError, match="no task 'classificaton'.*classification"):
        lookup.recognise(pd.DataFrame({"y": [1, 2]}), "classificaton")
    with pytest.raises(AnlageError, match="--task a=NAME"):
        lookup.recognise(pd.DataFrame({"a": ["x", "y"], "b": ["x", "z"]}))


def test_labels_as_people_write_them():
    assert as_labels(pd.Series([1.0, 2, " a ", "", None, np.nan, True])) == ["1", "2", "a", None, None, None, "True"]
    assert as_labels(pd.Series([1.0, np.nan])) == ["1", None]
    np.testing.assert_array_equal(as_truths(pd.Series(["yes", "0", "TRUE", "perhaps"])), [1, 0, 1, np.nan])


def test_order_is_natural_and_the_positive_label_last():
    assert in_order({"10", "9", "2"}) == ["2", "9", "10"]
    assert in_order({"s10", "s9", "B", "a"}) == ["a", "B", "s9", "s10"]
    assert in_order({"yes", "no"}) == ["no", "yes"]
    assert in_order({"healthy", "cancer"}) == ["healthy", "cancer"]
    assert in_order({"positive", "negative"}) == ["negative", "positive"]
    assert in_order({"-1", "1"}) == ["-1", "1"]
    assert in_order({"ALL", "AML"}) == ["ALL", "AML"]


def test_the_positive_label_is_said():
    task = lookup.get("classification")("y", ["y"]).fit(pd.DataFrame({"y": ["ALL", "AML"]}))
    assert task.notes == ["y: 'AML' is the positive label, 'ALL' the negative one"]


def test_weights_only_for_rare_labels_and_one_on_average():
    assert loss_weights([100, 6]) is None
    weights = np.array(loss_weights([100_000, 100, 5000]))
    assert weights.max() / weights.min() == pytest.approx(10)
    assert (weights * [100_000, 100, 5000]).sum() == pytest.approx(105_100)


@pytest.mark.parametrize("name", ["classification", "multilabel"])
def test_weighted_losses_give_calibrated_probabilities(name):
    """A model that can only learn one probability learns the frequency, whatever the weights."""
    rare = np.array([1] * 20 + [0] * 980)
    frame = pd.DataFrame({"y": rare} if name == "classification" else {"y": rare, "z": rare[::-1]})
    task = lookup.get(name)("y", list(frame.columns)).fit(frame)
    assert task.weights is not None and any("corrected" in note for note in task.notes)
    target = torch.from_numpy(task.encode(frame))
    raw = torch.zeros(1, 2, requires_grad=True)
    optimiser = torch.optim.LBFGS([raw], max_iter=200, tolerance_grad=1e-9)

    def closure():
        optimiser.zero_grad()
        total, count = task.loss(raw.expand(len(frame), 2), target)
        (total / count).backward()
        return total / count

    optimiser.step(closure)
    assert task.decode(raw)[0, 1] == pytest.approx(0.02, abs=1e-3)
