"""The linear baselines: logistic regression for labels, ridge regression for numbers."""

import time
import warnings
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge

from anlage.evaluation.features import Matrix

Predict = Callable[[Matrix], np.ndarray]
"""[rows, features] → [rows, classes] probabilities or [rows, 1] numbers."""

# Strong regularisation first: each logistic regression starts where the last one ended.
CS = [{"C": c} for c in (1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0)]
CS_MANY = [{"C": c} for c in (0.1, 1.0, 0.01)]
"""With very many classes there may be time for one fit alone: the likeliest first."""
ALPHAS = [{"alpha": a} for a in (3e4, 1e4, 3e3, 1e3, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.1)]
ITERATIONS = 400
BITE = 25
"""Iterations between two looks at the clock."""
NARROW = 3000
"""Ridge regression is solved exactly up to this many dense features (or rows), else by LSQR."""


class Linear:
    """A linear model of one output that is fitted again and again with other strengths, within a time limit."""

    def __init__(self, kind: str, features: Matrix, truth: np.ndarray, classes: int):
        """``features`` [train, features] and ``truth`` [train]: class numbers below ``classes``, or any numbers where
        ``kind`` is "numbers"."""
        self.kind, self.features, self.truth, self.classes = kind, features, truth, classes
        self.logistic = LogisticRegression(warm_start=True, max_iter=BITE, tol=1e-4)

    def fit(self, settings: dict[str, Any], deadline: float) -> tuple[Predict, str]:
        """The fitted model as a function, and what was cut short."""
        return self._ridge(settings) if self.kind == "numbers" else self._logistic(settings, deadline)

    def again(
        self, features: Matrix, truth: np.ndarray, settings: dict[str, Any], deadline: float
    ) -> tuple[Predict, str]:
        """The same settings fitted on other rows."""
        return Linear(self.kind, features, truth, self.classes).fit(settings, deadline)

    def _ridge(self, settings: dict[str, Any]) -> tuple[Predict, str]:
        exact = not sp.issparse(self.features) and min(self.features.shape) <= NARROW
        model = Ridge(**settings, solver="auto" if exact else "lsqr", tol=1e-6, max_iter=2000)
        model.fit(self.features, self.truth)
        return lambda rows: model.predict(rows).reshape(-1, 1).astype(np.float64), ""

    def _logistic(self, settings: dict[str, Any], deadline: float) -> tuple[Predict, str]:
        present = np.unique(self.truth).astype(int)
        if len(present) == 1:
            return lambda rows: np.eye(self.classes)[np.full(rows.shape[0], present[0])], "one label only"
        self.logistic.set_params(**settings)
        note = ""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            for done in range(BITE, ITERATIONS + 1, BITE):
                self.logistic.fit(self.features, self.truth)
                if int(np.max(self.logistic.n_iter_)) < BITE:
                    break
                if time.monotonic() > deadline:
                    note = f"stopped by the time limit after {done} iterations"
                    break
        model = deepcopy(self.logistic)

        def predict(rows: Matrix) -> np.ndarray:
            values = np.zeros((rows.shape[0], self.classes))
            values[:, present] = model.predict_proba(rows)
            return values

        return predict, note
