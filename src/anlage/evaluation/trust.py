"""What makes the predictions of one target fit to be acted on: calibrated probabilities, sets or intervals that hold
the truth as often as asked, and operating thresholds. Learned from validation rows alone, kept in the bundle, applied
at every prediction, and measured on rows that took no part."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anlage.errors import AnlageError
from anlage.evaluation.calibration import Calibrator, fit_calibrator
from anlage.evaluation.conformal import Conformal, fit_conformal
from anlage.evaluation.estimates import estimate_json
from anlage.evaluation.intervals import interval, weights
from anlage.evaluation.net_benefit import decision_curve
from anlage.evaluation.reliability import brier_parts, calibration_error, curve, point_json
from anlage.evaluation.settings import EvaluationSettings
from anlage.evaluation.thresholds import Threshold, choose, parse_goal
from anlage.metrics import classification, multilabel

TASKS = ("classification", "multilabel", "regression")
SEPARATOR = "|"


@dataclass(frozen=True)
class Trust:
    """``labels``: names of classes or labels, or of the outputs of a regression; ``notes``: what could not be made, and
    why, in words."""

    task: str
    labels: tuple[str, ...]
    calibrator: Calibrator | None
    conformal: Conformal | None
    thresholds: tuple[Threshold, ...]
    notes: tuple[str, ...]

    @staticmethod
    def fit(
        task: str,
        labels: Sequence[str],
        truth: np.ndarray,
        values: np.ndarray,
        groups: np.ndarray | None,
        calibration: np.ndarray,
        settings: EvaluationSettings,
        seed: int = 0,
    ) -> "Trust | None":
        """From the validation rows of one target; None for tasks other than classification, multilabel and regression.

        ``truth`` [rows, outputs], ``values`` [rows, k] as the model gave them, ``groups`` [rows] or None (-1 = none);
        ``calibration`` [rows] bool: the rows that did not stop the training. They alone calibrate and make sets and
        intervals; goals of thresholds choose among all rows.
        """
        if task not in TASKS:
            return None
        truth, values = truth.astype(float), values.astype(float)
        own = None if groups is None else np.asarray(groups)[calibration]
        notes: list[str] = []
        calibrator = conformal = None
        if task != "regression":
            calibrator = fit_calibrator(task, truth[calibration], values[calibration], own, seed)
        if task == "multilabel":
            notes.append("no sets: conformal prediction is made for one label out of several and for numbers")
        else:
            found = fit_conformal(task, truth[calibration], values[calibration], own, settings.coverage)
            conformal = None if isinstance(found, str) else found
            notes += [found] if isinstance(found, str) else []
        mended = calibrator.apply(task, values) if calibrator else values
        goals = dict.fromkeys(parse_goal(goal) for goal in settings.threshold)
        chosen = [choose(goal, task, labels, truth, mended, groups) for goal in goals]
        notes += [why for why in chosen if isinstance(why, str)]
        thresholds = tuple(t for t in chosen if isinstance(t, Threshold))
        return Trust(task, tuple(labels), calibrator, conformal, thresholds, tuple(notes))

    def calibrated(self, values: np.ndarray) -> np.ndarray:
        """[rows, k] probabilities after calibration; numbers of a regression as they are."""
        return self.calibrator.apply(self.task, values) if self.calibrator else values

    def columns(self, target: str, values: np.ndarray) -> dict[str, np.ndarray]:
        """More columns of a prediction, from ``values`` [rows, k] BEFORE calibration: the set of labels, the ends of
        the interval, and yes or no for each threshold."""
        columns: dict[str, np.ndarray] = {}
        mended = self.calibrated(values)
        if self.conformal is not None and self.task == "classification":
            names = np.array(self.labels, dtype=object)
            sets = self.conformal.sets(values, mended.argmax(1))
            columns[f"{target}_set"] = np.array([SEPARATOR.join(names[row]) for row in sets], dtype=object)
        elif self.conformal is not None:
            low, high = self.conformal.bounds(values)
            for i, name in enumerate(self.labels):
                stem = target if len(self.labels) == 1 else f"{target}_{name}"
                columns |= {f"{stem}_low": low[:, i], f"{stem}_high": high[:, i]}
        for threshold in self.thresholds:
            flagged = np.where(threshold.flag(mended), "yes", "no").astype(object)
            columns[f"{target}_at_{threshold.goal}"] = flagged
        return columns

    def measure(
        self,
        truth: np.ndarray,
        values: np.ndarray,
        groups: np.ndarray | None,
        parts: Mapping[str, np.ndarray],
        resamples: int,
        seed: int,
    ) -> dict[str, Any]:
        """The entries ``calibration``, ``conformal``, ``thresholds`` and ``net_benefit`` of the target in metrics.json.

        ``truth`` and ``values`` (BEFORE calibration) of all rows; ``parts`` names the rows to judge on. Its "valid"
        must not hold rows that calibrated; it is never used for thresholds, which it helped to choose.
        """
        calibrated: dict[str, Any] = {}
        held: dict[str, Any] = {}
        operating: list[dict[str, Any]] = [{} for _ in self.thresholds]
        benefit: dict[str, Any] | None = None
        for part, rows in parts.items():
            rows = np.asarray(rows, dtype=np.int64)
            rows = rows[~np.isnan(truth[rows]).all(axis=1)]
            if not len(rows):
                continue
            own = None if groups is None else np.asarray(groups)[rows]
            y, before = truth[rows].astype(float), values[rows].astype(float)
            after, w = self.calibrated(before), weights(own, len(rows), resamples, seed)
            if self.calibrator is not None:
                calibrated[part] = self._reliability(y, before, after, w, own)
            if self.conformal is not None:
                held[part] = self.conformal.measure(self.labels, y, before, after.argmax(1), w, own)
            for threshold, found in zip(self.thresholds, operating, strict=True):
                if part != "valid":
                    measured = threshold.measure(self.task, y, after, w, own)
                    found[part] = {name: estimate_json(e) for name, e in measured.items()}
            if self._two_labels and (benefit is None or part == "test"):
                points = decision_curve(y, after, w)
                benefit = {"part": part, "label": self.labels[1], "curve": [point_json(point) for point in points]}
        conformal, calibrator = self.conformal, self.calibrator
        return {
            "calibration": None if calibrator is None else calibrator.to_json() | {"parts": calibrated},
            "conformal": None
            if conformal is None
            else {"coverage": conformal.coverage, "method": conformal.method, "rows": conformal.rows, "parts": held},
            "thresholds": [
                {name: value for name, value in t.to_json().items() if name != "column"} | {"parts": found}
                for t, found in zip(self.thresholds, operating, strict=True)
            ],
            "net_benefit": benefit,
        }

    @property
    def _two_labels(self) -> bool:
        return self.task == "classification" and len(self.labels) == 2

    def _reliability(
        self, truth: np.ndarray, before: np.ndarray, after: np.ndarray, w: np.ndarray, groups: np.ndarray | None
    ) -> dict[str, Any]:
        mended = self.calibrator is not None and self.calibrator.method != "none"
        brier = (multilabel if self.task == "multilabel" else classification).BRIER
        score = estimate_json(interval(brier, truth, after, w, groups), counts=False)
        error = estimate_json(calibration_error(self.task, truth, after, w, groups))
        earlier = estimate_json(calibration_error(self.task, truth, before, w, groups)) if mended else None
        return {
            "ece": error,
            "brier": score | point_json(brier_parts(self.task, truth, after)),
            "ece_before": earlier,
            "curve": [point_json(point) for point in curve(self.task, truth, after, groups)],
        }

    def to_json(self) -> dict[str, Any]:
        """For the bundle: numbers that hold for all rows, none of a row's own."""
        return {
            "task": self.task,
            "labels": list(self.labels),
            "calibrator": None if self.calibrator is None else self.calibrator.to_json(),
            "conformal": None if self.conformal is None else self.conformal.to_json(),
            "thresholds": [threshold.to_json() for threshold in self.thresholds],
            "notes": list(self.notes),
        }

    @staticmethod
    def from_json(state: Any, task: str, labels: Sequence[str]) -> "Trust":
        """From :meth:`to_json` and the task and labels of the bundle's target; AnlageError where they do not agree or
        something is damaged."""
        try:
            if state["task"] != task or task not in TASKS or list(state["labels"]) != list(labels):
                raise ValueError
            calibrator, conformal = state["calibrator"], state["conformal"]
            goals, notes = list(state["thresholds"]), [str(note)[:500] for note in state["notes"]]
            if (task == "regression") != (calibrator is None) or (task == "multilabel" and conformal is not None):
                raise ValueError
            if max(len(goals), len(notes)) > 1000 or (task == "regression" and goals):
                raise ValueError
        except (KeyError, OverflowError, TypeError, ValueError):
            raise AnlageError("bundle: what calibrates its predictions is damaged; train the model again") from None
        learned = None if calibrator is None else Calibrator.from_json(calibrator)
        if learned is not None and learned.method == "isotonic" and (task != "classification" or len(labels) != 2):
            raise AnlageError("bundle: the stored calibration is for two labels; train the model again")
        return Trust(
            task,
            tuple(labels),
            learned,
            None if conformal is None else Conformal.from_json(conformal, task, len(labels)),
            tuple(Threshold.from_json(goal, labels) for goal in goals),
            tuple(notes),
        )
