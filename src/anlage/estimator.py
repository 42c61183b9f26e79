"""anlage as scikit-learn estimators, for pipelines, searches and cross-validation.

``X`` is an array of numbers or a DataFrame with any columns that anlage recognises (sequences, images, records).
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from anlage import api
from anlage.errors import AnlageError
from anlage.run import Run
from anlage.samples.samples import Samples

TARGET = "target"


class _Estimator(BaseEstimator):
    """What classifier and regressor share.

    Args:
        encoder: as for ``--encoder``. Default: by kind of column.
        epochs: passes over the training rows at most.
        learning_rate: peak of the schedule.
        batch_samples: samples in a batch, at most.
        valid_fraction: part of the rows that decides when training stops.
        settings: any other option of :func:`anlage.fit` by name, such as ``{"budget": "5m"}``.
        out: folder for the bundle. Default: none is kept; the fitted estimator can be pickled.
        random_state: everything random follows from it.
        verbose: print what ``anlage fit`` prints.

    Attributes:
        run_: the :class:`anlage.Run`: its ``verdict`` and ``evaluation`` are those of the validation rows.
    """

    def __init__(
        self,
        *,
        encoder: str | None = None,
        epochs: int = 40,
        learning_rate: float = 0.003,
        batch_samples: int = 16,
        valid_fraction: float = 0.15,
        settings: Mapping[str, Any] | None = None,
        out: str | Path | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
    ):
        self.encoder = encoder
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.batch_samples = batch_samples
        self.valid_fraction = valid_fraction
        self.settings = settings
        self.out = out
        self.random_state = random_state
        self.verbose = verbose

    def _fit(self, X: Any, targets: pd.DataFrame, task: str) -> None:
        frame = self._frame(X)
        targets = targets.set_axis(frame.index)
        part = _free_name(X, "part")
        options: dict[str, Any] = {
            "target": [f"{TARGET}={','.join(targets.columns)}"],
            "task": [f"{TARGET}={task}"],
            "input": list(frame.columns),
            "column": [] if isinstance(X, pd.DataFrame) else [f"{name}=record" for name in frame.columns],
            "encoder": self.encoder,
            "epochs": self.epochs,
            "learning_rate": self.learning_rate,
            "batch_samples": self.batch_samples,
            "valid_fraction": self.valid_fraction,
            "split": part,
            "seed": int(check_random_state(self.random_state).randint(2**31)),
            "patience": self.epochs,
            "resamples": 200,
            "baseline_budget": "10s",
        } | dict(self.settings or {})
        say = print if self.verbose else _silent
        with tempfile.TemporaryDirectory(prefix="anlage-") as folder:
            try:
                table = frame.join(targets).assign(**{part: "train"})  # tested by whoever calls; validation is drawn
                run = api.fit(table, out=self.out or folder, say=say, overwrite=True, **options)
            except AnlageError as error:
                raise ValueError(str(error)) from error
            _ = run.model, run.safeguards  # read before the folder goes
        self.run_: Run = run

    def _values(self, X: Any) -> np.ndarray:
        """[samples, k] what the task decodes. ValueError where a row has no usable input."""
        check_is_fitted(self, "run_")
        frame = self._frame(X, reset=False)
        said: list[str] = []
        try:
            rows, values = self.run_.values(Samples(frame, ["X"]), said.append)
        except AnlageError as error:
            raise ValueError(str(error)) from error
        if len(rows) < len(frame):
            raise ValueError(f"X: {len(frame) - len(rows)} rows cannot be used: {'; '.join(said[:3]) or 'no input'}")
        return values[TARGET]

    def _frame(self, X: Any, reset: bool = True) -> pd.DataFrame:
        if isinstance(X, pd.DataFrame):
            validate_data(self, X, skip_check_array=True, reset=reset)
            frame = X.set_axis([str(name) for name in X.columns], axis=1)
        else:
            X = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=reset)
            frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])])
        return frame.set_axis([str(i) for i in range(len(frame))], axis=0)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


class AnlageClassifier(ClassifierMixin, _Estimator):
    """Classification with an anlage model.

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> AnlageClassifier(random_state=0).fit(X, y).score(X, y) > 0.9
    True
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Learn labels ``y`` [samples] from ``X`` [samples, columns]. ValueError on what cannot be learned."""
        X, y = _checked(X, y, numeric=False)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("there is one class only; at least two classes are needed")
        targets = pd.DataFrame({_free_name(X): [f"class {code}" for code in codes]})
        self._fit(X, targets, "classification")
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """[samples, classes] probabilities in the order of ``classes_``."""
        values = self._values(X)
        labels = self.run_.preparation.tasks[0].state["labels"]
        result = np.zeros((len(values), len(self.classes_)))  # a label without training rows has probability 0
        result[:, [int(label.removeprefix("class ")) for label in labels]] = values
        return result

    def predict(self, X: Any) -> np.ndarray:
        """[samples] the most probable label."""
        probability = self.predict_proba(X)
        return self.classes_[probability.argmax(axis=1)]


class AnlageRegressor(RegressorMixin, _Estimator):
    """Regression of one or several targets with an anlage model."""

    def fit(self, X: Any, y: Any) -> Self:
        """Learn numbers ``y`` [samples] or [samples, outputs] from ``X``. ValueError on what cannot be learned."""
        X, y = _checked(X, y, numeric=True)
        self.n_outputs_ = 1 if y.ndim == 1 else y.shape[1]
        self._flat = y.ndim == 1
        name = _free_name(X)
        columns = {f"{name}{i}": column for i, column in enumerate(y.reshape(len(y), -1).T)}
        self._fit(X, pd.DataFrame(columns), "regression")
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Numbers in the shape and units of the ``y`` that was learned from."""
        values = self._values(X)
        return values[:, 0] if self._flat else values

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.single_output = False
        return tags


def _checked(X: Any, y: Any, numeric: bool) -> tuple[Any, np.ndarray]:
    """``X`` as it is or as an array; ``y`` as an array of the same number of rows."""
    from sklearn.utils import check_consistent_length, column_or_1d

    if y is None:
        raise ValueError("this estimator requires y to be passed, but the target y is None")
    if numeric:
        y = check_array(y, dtype=np.float64, ensure_2d=False, allow_nd=False, input_name="y")
    else:
        y = column_or_1d(y, warn=True)
    if not isinstance(X, pd.DataFrame):
        X = check_array(X, dtype=np.float64, ensure_all_finite="allow-nan", ensure_min_samples=2, input_name="X")
    check_consistent_length(X, y)
    return X, y


def _free_name(X: Any, name: str = TARGET) -> str:
    """A name for a column of our own that no column of ``X`` begins with."""
    while isinstance(X, pd.DataFrame) and any(str(column).startswith(name) for column in X.columns):
        name += "_"
    return name


def _silent(line: str) -> None:
    """Say nothing."""
