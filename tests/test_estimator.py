"""anlage in scikit-learn's clothes."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from anlage.estimator import AnlageClassifier, AnlageRegressor
from anlage.simulator import simulate_promoters

FAST = {"epochs": 40, "encoder": "mlp-tiny", "settings": {"resamples": 20, "baseline_budget": "1s"}}


@parametrize_with_checks([AnlageClassifier(**FAST), AnlageRegressor(**FAST)])
def test_scikit_learn_checks(estimator: Any, check: Any) -> None:
    check(estimator)


def test_labels_keep_their_type_and_probabilities_their_order() -> None:
    X, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    model = AnlageClassifier(**FAST, random_state=0).fit(X, names)
    assert model.score(X, names) > 0.9
    probability = model.predict_proba(X)
    assert np.allclose(probability.sum(axis=1), 1)
    assert (model.classes_[probability.argmax(axis=1)] == model.predict(X)).all()


def test_the_random_state_decides_everything() -> None:
    X, y = load_iris(return_X_y=True)
    first, same, other = (AnlageClassifier(**FAST, random_state=s).fit(X, y).predict_proba(X) for s in (1, 1, 2))
    assert (first == same).all()
    assert (first != other).any()


def test_in_a_pipeline_under_cross_validation() -> None:
    X, y = load_iris(return_X_y=True)
    scores = cross_val_score(make_pipeline(StandardScaler(), AnlageClassifier(**FAST, random_state=0)), X, y, cv=3)
    assert scores.mean() > 0.9


def test_missing_numbers_are_welcome() -> None:
    X, y = load_iris(return_X_y=True)
    X[::5, 0] = np.nan
    assert AnlageClassifier(**FAST, random_state=0).fit(X, y).score(X, y) > 0.85


def test_several_outputs() -> None:
    X, y = load_diabetes(return_X_y=True)
    both = np.column_stack([y, -2 * y])
    predicted = AnlageRegressor(**FAST, random_state=0).fit(X, both).predict(X)
    assert predicted.shape == both.shape
    assert np.corrcoef(predicted[:, 0], y)[0, 1] > 0.6
    assert np.corrcoef(predicted[:, 1], y)[0, 1] < -0.6


def test_a_frame_of_sequences_survives_pickling_without_its_folder() -> None:
    table = simulate_promoters(200)
    settings = {"resamples": 20, "baseline_budget": "1s"}
    model = AnlageClassifier(encoder="cnn-tiny", epochs=1, settings=settings, random_state=0)
    model.fit(table[["sequence"]], table["element"])
    assert not model.run_.path.exists()
    assert model.run_.verdict
    copy = pickle.loads(pickle.dumps(model))
    assert (copy.predict_proba(table[["sequence"]]) == model.predict_proba(table[["sequence"]])).all()


def test_a_row_without_any_input_is_named() -> None:
    table = simulate_promoters(60)
    settings = {"resamples": 20, "baseline_budget": "1s"}
    model = AnlageClassifier(encoder="cnn-tiny", epochs=1, settings=settings, random_state=0)
    model.fit(table[["sequence"]], table["element"])
    with pytest.raises(ValueError, match="1 rows cannot be used"):
        model.predict(pd.DataFrame({"sequence": ["ACGT" * 30, None]}))


def test_one_class_is_said() -> None:
    with pytest.raises(ValueError, match="one class only"):
        AnlageClassifier(**FAST).fit(np.zeros((9, 2)), np.zeros(9))


def test_out_keeps_the_bundle(tmp_path: Path) -> None:
    X, y = load_iris(return_X_y=True)
    AnlageClassifier(**FAST, out=tmp_path / "run").fit(X, y)
    assert (tmp_path / "run" / "bundle.json").exists()
