"""The tree baseline: LightGBM (Ke et al. 2017), early-stopped on the validation rows."""

import time
from typing import Any

import lightgbm as lgb
import numpy as np

from anlage.evaluation.features import Matrix

SETTINGS: list[dict[str, Any]] = [
    {"num_leaves": 31, "learning_rate": 0.1},
    {"num_leaves": 15, "learning_rate": 0.05, "lambda_l2": 5.0},
    {"num_leaves": 63, "learning_rate": 0.05, "min_data_in_leaf": 50},
    {"num_leaves": 7, "learning_rate": 0.05, "lambda_l2": 1.0},
]
ROUNDS = 2000
PATIENCE = 40
WITHOUT_VALIDATION = 100
"""Rounds where there are no validation rows to stop by."""


class Boosting:
    """Gradient-boosted trees for one output."""

    def __init__(
        self,
        kind: str,
        features: Matrix,
        train: np.ndarray,
        valid: np.ndarray,
        truth: np.ndarray,
        classes: int,
        seed: int,
    ):
        """``truth`` [rows] is known for the rows ``train`` and ``valid`` of ``features``."""
        self.kind, self.features, self.classes = kind, features, classes
        self.constant = len(np.unique(truth[train])) == 1
        self.truth, self.train_rows, self.valid_rows = truth, train, valid
        few = len(train) < 100
        self.common: dict[str, Any] = {
            "objective": "regression" if kind == "numbers" else "multiclass" if classes > 2 else "binary",
            "feature_fraction": float(min(1.0, max(0.1, 200 / features.shape[1]))),
            "bagging_fraction": 0.8,
            "bagging_freq": 1,
            "min_data_in_leaf": 3 if few else 20,
            "min_data_in_bin": 1 if few else 3,
            "max_bin": 63,
            "feature_pre_filter": False,
            "force_row_wise": True,
            "deterministic": True,
            "seed": seed,
            "num_threads": 0,
            "verbosity": -1,
        }
        if classes > 2:
            self.common["num_class"] = classes
        self.data = lgb.Dataset(features[train], truth[train], params=self.common)
        self.watched = [lgb.Dataset(features[valid], truth[valid], reference=self.data)] if len(valid) else []

    def fit(self, settings: dict[str, Any], deadline: float) -> tuple[np.ndarray, str]:
        """[rows, classes] probabilities or [rows, 1] numbers of all rows, and what was cut short."""
        rows = self.features.shape[0]
        if self.constant and self.kind != "numbers":
            return np.eye(self.classes)[np.full(rows, int(self.truth[self.train_rows][0]))], "one label only"
        if len(self.train_rows) < 100:
            settings = {k: v for k, v in settings.items() if k != "min_data_in_leaf"}
        cut = []

        def clock(env: Any) -> None:
            if time.monotonic() > deadline:
                cut.append(f"stopped by the time limit after {env.iteration + 1} rounds")
                raise lgb.callback.EarlyStopException(env.iteration, env.evaluation_result_list or [])

        watch = [lgb.early_stopping(PATIENCE, verbose=False)] if self.watched else []
        model = lgb.train(
            self.common | settings,
            self.data,
            num_boost_round=ROUNDS if self.watched else WITHOUT_VALIDATION,
            valid_sets=self.watched,
            callbacks=[*watch, clock],
        )
        values = np.asarray(model.predict(self.features), dtype=np.float64)
        if self.kind == "numbers":
            return values.reshape(-1, 1), "".join(cut)
        return (values if values.ndim == 2 else np.stack([1 - values, values], axis=1)), "".join(cut)
