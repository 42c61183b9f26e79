"""The linear baselines: logistic regression for labels, ridge regression for numbers."""

import time
import warnings
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge

from anlage.evaluation.features import Matrix

STRENGTHS = {
    "classes": [{"C": c} for c in (1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0)],
    "labels": [{"C": c} for c in (1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0)],
    "numbers": [{"alpha": a} for a in (3e4, 1e4, 3e3, 1e3, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.1)],
}
"""What is tried, strong regularisation first: each fit starts where the last one ended."""
ITERATIONS = 400
BITE = 25
"""Iterations between two looks at the clock."""


class Linear:
    """A linear model of one output that is fitted again and again with other strengths, within a time limit."""

    def __init__(self, kind: str, features: Matrix, train: np.ndarray, truth: np.ndarray, classes: int):
        """``truth`` [train] belongs to the rows ``train`` of ``features``: class numbers below ``classes``, or any
        numbers when ``kind`` is "numbers"."""
        self.kind, self.features, self.classes = kind, features, classes
        self.rows, self.truth = features[train], truth
        self.logistic = LogisticRegression(warm_start=True, max_iter=BITE, tol=1e-4)

    def fit(self, settings: dict[str, Any], deadline: float) -> tuple[np.ndarray, str]:
        """[rows, classes] probabilities or [rows, 1] numbers of all rows, and what was cut short."""
        if self.kind == "numbers":
            narrow = not sp.issparse(self.rows) and min(self.rows.shape) <= 3000
            model = Ridge(**settings, solver="auto" if narrow else "lsqr", tol=1e-6, max_iter=2000)
            return model.fit(self.rows, self.truth).predict(self.features).reshape(-1, 1).astype(np.float64), ""
        present = np.unique(self.truth)
        if len(present) == 1:
            return np.eye(self.classes)[np.full(self.features.shape[0], int(present[0]))], "one label only"
        self.logistic.set_params(**settings)
        done, note = 0, ""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            while done < ITERATIONS:
                self.logistic.fit(self.rows, self.truth)
                done += BITE
                if int(np.max(self.logistic.n_iter_)) < BITE:
                    break
                if time.monotonic() > deadline:
                    note = f"stopped by the time limit after {done} iterations"
                    break
        values = np.zeros((self.features.shape[0], self.classes))
        values[:, present.astype(int)] = self.logistic.predict_proba(self.features)
        return values, note
