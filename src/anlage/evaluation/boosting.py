"""The tree baseline: LightGBM (Ke et al. 2017), early-stopped on the validation rows."""

import os
import time
from collections.abc import Callable
from typing import Any

import lightgbm as lgb
import numpy as np

from anlage.evaluation.features import Matrix

Predict = Callable[[Matrix], np.ndarray]
"""[rows, features] → [rows, classes] probabilities or [rows, 1] numbers."""

SETTINGS: list[dict[str, Any]] = [
    {"num_leaves": 31, "learning_rate": 0.1},
    {"num_leaves": 15, "learning_rate": 0.05, "lambda_l2": 5.0},
    {"num_leaves": 63, "learning_rate": 0.05, "min_data_in_leaf": 50},
    {"num_leaves": 7, "learning_rate": 0.05, "lambda_l2": 1.0},
]
ROUNDS = 2000
PATIENCE = 40
UNWATCHED = 100
"""Rounds where there are no validation rows to stop by."""
FEW = 100
"""With fewer training rows than this, leaves may be as small as three rows."""


class Boosting:
    """Gradient-boosted trees for one output."""

    def __init__(
        self,
        kind: str,
        train: tuple[Matrix, np.ndarray],
        valid: tuple[Matrix, np.ndarray] | None,
        classes: int,
        seed: int,
    ):
        """``train`` and ``valid``: features [rows, features] and truth [rows], class numbers below ``classes`` or,
        where ``kind`` is "numbers", any numbers."""
        self.kind, self.classes, self.truth = kind, classes, train[1]
        self.rounds: dict[str, int] = {}
        """How many rounds were best with the settings (as text), where validation rows said so."""
        rows, width = train[0].shape
        self.few = rows < FEW
        self.common: dict[str, Any] = {
            "objective": "regression" if kind == "numbers" else "multiclass" if classes > 2 else "binary",
            "feature_fraction": float(min(1.0, max(0.1, 200 / width))),
            "bagging_fraction": 0.8,
            "bagging_freq": 1,
            "min_data_in_leaf": 3 if self.few else 20,
            "min_data_in_bin": 1 if self.few else 3,
            "max_bin": 63,
            "feature_pre_filter": False,
            "force_row_wise": True,
            "deterministic": True,
            "seed": seed,
            "num_threads": 1,
            "verbosity": -1,
        }
        if self.common["objective"] == "multiclass":
            self.common["num_class"] = classes
        self.data = lgb.Dataset(*train, params=self.common).construct()
        self.watched = [] if valid is None else [lgb.Dataset(*valid, reference=self.data)]

    def fastest_threads(self, deadline: float) -> int:
        """One or all processors, whichever is faster for two rounds: on a busy machine waiting for one another makes
        many threads slower than one, tenfold. The trees are the same (``deterministic``). One where time is short."""
        most = int(os.environ.get("OMP_NUM_THREADS", 0)) or (os.cpu_count() or 1)
        seconds = {}
        for threads in sorted({1, most}):
            params = self.common | {"num_threads": threads}
            start = time.perf_counter()
            lgb.train(params, self.data, num_boost_round=2)
            seconds[threads] = time.perf_counter() - start
            if 10 * seconds[threads] > deadline - time.monotonic():
                break
        return min(seconds, key=lambda threads: seconds[threads])

    def fit(self, settings: dict[str, Any], deadline: float) -> tuple[Predict, str]:
        """The fitted model as a function, and what was cut short."""
        if self.kind != "numbers" and len(np.unique(self.truth)) == 1:
            only = int(self.truth[0])
            return lambda rows: np.eye(self.classes)[np.full(rows.shape[0], only)], "one label only"
        if self.few:
            settings = {k: v for k, v in settings.items() if k != "min_data_in_leaf"}
        cut: list[str] = []

        def clock(env: Any) -> None:
            if time.monotonic() > deadline:
                cut.append(f"stopped by the time limit after {env.iteration + 1} rounds")
                raise lgb.callback.EarlyStopException(env.iteration, env.evaluation_result_list or [])

        watch = [lgb.early_stopping(PATIENCE, verbose=False)] if self.watched else []
        rounds = ROUNDS if self.watched else self.rounds.get(str(settings), UNWATCHED)
        model = lgb.train(
            self.common | settings,
            self.data,
            num_boost_round=rounds,
            valid_sets=self.watched,
            callbacks=[*watch, clock],
        )
        if self.watched:
            self.rounds[str(settings)] = max(1, model.best_iteration)

        def predict(rows: Matrix) -> np.ndarray:
            values = np.asarray(model.predict(rows, num_threads=self.common["num_threads"]), dtype=np.float64)
            if self.kind == "numbers":
                return values.reshape(-1, 1)
            return values if values.ndim == 2 else np.stack([1 - values, values], axis=1)

        return predict, "".join(cut)

    def again(
        self, features: Matrix, truth: np.ndarray, settings: dict[str, Any], deadline: float
    ) -> tuple[Predict, str]:
        """The same settings fitted on other rows, for as many rounds as were best before."""
        other = Boosting(self.kind, (features, truth), None, self.classes, self.common["seed"])
        other.common |= {"num_threads": self.common["num_threads"], "min_data_in_leaf": self.common["min_data_in_leaf"]}
        other.few, other.rounds = self.few, self.rounds
        return other.fit(settings, deadline)
