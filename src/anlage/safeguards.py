"""What a model is sent out with: for each target calibrated probabilities, sets or intervals and thresholds
(:class:`Trust`), and for each row whether it is unlike anything that the model was trained on (:class:`Novelty`).

Learned once a model is trained, from rows that it did not learn from; kept in its bundle; replayed at every prediction.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from anlage.errors import AnlageError
from anlage.evaluation.estimates import resampled_groups
from anlage.evaluation.novelty import Novelty, unusual
from anlage.evaluation.settings import EvaluationSettings
from anlage.evaluation.trust import Trust
from anlage.model import Model
from anlage.tasks.protocol import Task
from anlage.training.batches import PreparedTable
from anlage.training.pooled import predict_pooled
from anlage.training.preparation import Preparation

FEWEST = 20
"""With fewer rows than this on either side, no validation rows are set apart for calibration."""

Values = dict[str, np.ndarray]
"""For each target [rows, k]."""


def calibration_rows(ids: np.ndarray, groups: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """[validation rows] bool: those that shall calibrate and not stop the training; whole groups, about ``fraction`` of
    them. The choice follows from a group's smallest id, so that an update of the run repeats it."""
    first = pd.Series(np.asarray(ids, dtype=str)).groupby(np.asarray(groups)).transform("min")
    digests = {key: hashlib.sha256(f"{seed}\t{key}".encode()).digest()[:8] for key in set(first)}
    chosen = np.array([int.from_bytes(digests[key], "big") < fraction * 2**64 for key in first], dtype=bool)
    enough = min(chosen.sum(), (~chosen).sum()) >= FEWEST
    return chosen if enough else np.zeros(len(chosen), dtype=bool)


def labels(task: Task) -> list[str]:
    """Names of the classes, or of the outputs."""
    return [str(label) for label in getattr(task, "labels", task.columns)]


@dataclass(frozen=True)
class Safeguards:
    """``trust`` by target (tasks that have none are absent); ``novelty`` is None where too few rows were there."""

    trust: dict[str, Trust] = field(default_factory=dict)
    novelty: Novelty | None = None

    @classmethod
    def fit(
        cls, preparation: Preparation, model: Model, table: PreparedTable, frames: Mapping[str, pd.DataFrame],
        rows: Mapping[str, np.ndarray], calibration: np.ndarray, groups: np.ndarray, settings: EvaluationSettings,
        seed: int,
    ) -> "Safeguards":  # fmt: skip
        """``rows``: numbers of the "train" and "valid" rows of ``table`` (as the model reads it) and ``frames``;
        ``calibration`` [valid] of :func:`calibration_rows`; ``groups`` [valid]."""
        valid = rows["valid"]
        values, _ = predict_pooled(model, preparation.tasks, table, valid)
        drawn = resampled_groups(groups, {"valid": np.arange(len(valid))})
        trust = {}
        for task in preparation.tasks:
            truth = table.targets[task.target][valid]
            made = Trust.fit(
                task.name, labels(task), truth, values[task.target], drawn, calibration, settings, seed
            )  # fmt: skip
            if made is not None:
                trust[task.target] = made
        novelty = Novelty.fit(
            preparation, frames, rows["train"], valid, lambda chosen: predict_pooled(model, [], table, chosen)[1]
        )
        return cls(trust, novelty)

    @property
    def notes(self) -> list[str]:
        """What could not be made, and why."""
        return [f"{target}: {note}" for target, trust in self.trust.items() for note in trust.notes]

    def calibrated(self, values: Values) -> Values:
        """The values that predictions and metrics show."""
        return {t: self.trust[t].calibrated(v) if t in self.trust else v for t, v in values.items()}

    def columns(self, tasks: Sequence[Task], values: Values) -> dict[str, Any]:
        """Named columns of the predictions, from values BEFORE calibration."""
        mended = self.calibrated(values)
        columns: dict[str, Any] = {}
        for task in tasks:
            columns |= task.to_columns(mended[task.target])
            if task.target in self.trust:
                columns |= self.trust[task.target].columns(task.target, values[task.target])
        return columns

    def held(self, target: str, truth: np.ndarray, values: np.ndarray) -> np.ndarray | None:
        """[rows] bool: whether the truth lies in the prediction set or interval; None where there are none. ``values``
        BEFORE calibration."""
        trust = self.trust.get(target)
        if trust is None or trust.conformal is None:
            return None
        if trust.task == "regression":
            low, high = trust.conformal.bounds(values)
            return np.asarray(((truth >= low) & (truth <= high)).all(axis=1))
        sets = trust.conformal.sets(values, trust.calibrated(values).argmax(1))
        known = ~np.isnan(truth[:, 0])
        return known & sets[np.arange(len(sets)), np.nan_to_num(truth[:, 0]).astype(int)]

    def flags(
        self, preparation: Preparation, frames: Mapping[str, pd.DataFrame], vectors: np.ndarray
    ) -> pd.DataFrame | None:
        """For each row ``unusual`` (bool) and ``unusual_why`` (words); None where nothing tells. ``frames``: checked
        rows by input; ``vectors`` [rows, width]: the model's."""
        return None if self.novelty is None else unusual(self.novelty, preparation, frames, vectors)

    def measure(
        self, target: str, truth: np.ndarray, values: np.ndarray, groups: np.ndarray | None,
        parts: Mapping[str, np.ndarray], settings: EvaluationSettings, seed: int,
    ) -> dict[str, Any]:  # fmt: skip
        """The keys of the target in metrics.json that say how far to trust it. ``values`` BEFORE calibration; "valid"
        among ``parts`` must not name rows that calibrated."""
        if target not in self.trust:
            return dict(UNMEASURED)
        drawn = resampled_groups(groups, parts)
        return self.trust[target].measure(truth, values, drawn, parts, settings.resamples, seed)

    def to_json(self) -> dict[str, Any]:
        """For bundle.json; novelty has a file of its own."""
        return {target: trust.to_json() for target, trust in self.trust.items()}

    @classmethod
    def from_json(cls, state: Any, tasks: Sequence[Task], novelty: Novelty | None) -> "Safeguards":
        """From a bundle. AnlageError where it is damaged."""
        if not isinstance(state, dict) or not set(state) <= {task.target for task in tasks}:
            raise AnlageError("bundle: what calibrates its predictions is damaged; train the model again")
        known = {task.target: task for task in tasks}
        found = {t: Trust.from_json(of, known[t].name, labels(known[t])) for t, of in state.items()}
        return cls(found, novelty)


UNMEASURED: dict[str, Any] = {"calibration": None, "conformal": None, "thresholds": [], "net_benefit": None}
"""What metrics.json says of a target that nothing calibrates, or that is not judged as one split."""
