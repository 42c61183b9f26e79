"""Judging one target: each metric with its interval for the model and each baseline, the paired differences between
them, and the verdict. The result is the target's entry in metrics.json (see :mod:`anlage.evaluation.metrics_json`)."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from anlage.errors import AnlageError
from anlage.evaluation.baselines import Baseline
from anlage.evaluation.estimates import estimate_json, resampled_groups
from anlage.evaluation.intervals import Estimate, difference, estimate, resample, weights
from anlage.evaluation.settings import EvaluationSettings
from anlage.evaluation.verdict import verdict
from anlage.metrics.metric import Metric
from anlage.tasks.protocol import Task


def primary_metric(task: Task, settings: EvaluationSettings) -> Metric:
    """The metric that stops training and decides the verdict: the user's, else the task's first."""
    if settings.metric is None:
        return next(iter(task.metrics.values()))
    if settings.metric not in task.metrics:
        known = ", ".join(task.metrics)
        raise AnlageError(f"target {task.target}: {task.name} has no metric {settings.metric!r}; metrics: {known}")
    return task.metrics[settings.metric]


def evaluate_target(
    task: Task,
    truth: np.ndarray,
    model_values: np.ndarray,
    baselines: list[Baseline],
    parts: Mapping[str, np.ndarray],
    groups: np.ndarray | None,
    settings: EvaluationSettings,
    seed: int,
) -> dict[str, Any]:
    """The target's entry in metrics.json.

    ``truth`` [rows, outputs] and ``model_values`` [rows, k] as the task's ``encode`` and ``decode`` give them;
    ``parts`` names the rows of "valid" and "test" (either can be absent); ``groups`` [rows] or None.
    The baseline to beat is the best on "valid"; without validation rows, the best on the judged part (the hardest).
    """
    primary = primary_metric(task, settings)
    groups = resampled_groups(groups, parts)
    judged = {part: np.asarray(parts[part], dtype=np.int64) for part in ("valid", "test") if part in parts}
    judged = {part: rows for part in judged if len(rows := _known(judged[part], truth))}
    everyone = {"model": model_values, **{b.name: b.values for b in baselines}}
    measured: dict[str, dict[str, dict[str, Estimate]]] = {name: {} for name in everyone}
    gains: dict[str, dict[str, dict[str, Estimate]]] = {b.name: {} for b in baselines}
    for part, rows in judged.items():
        mine = None if groups is None else np.asarray(groups)[rows]
        counts = weights(mine, len(rows), settings.resamples, seed)
        for name, values in everyone.items():
            if not np.isfinite(values[rows]).all():
                raise AnlageError(f"target {task.target}: the {name} predicted numbers that are not finite")
        for metric in task.metrics.values():
            draws = {name: resample(metric, truth[rows], v[rows], counts) for name, v in everyone.items()}
            for name in everyone:
                measured[name].setdefault(part, {})[metric.name] = estimate(draws[name], truth[rows], mine)
            for name in gains:
                gain = difference(metric, draws["model"], draws[name], truth[rows], mine)
                gains[name].setdefault(part, {})[metric.name] = gain
    return {
        "task": task.name,
        "primary": primary.name,
        "verdict": _verdict(primary, measured, gains),
        "model": _json(measured["model"]),
        "baselines": {
            b.name: _json(measured[b.name]) | {"settings": b.settings, "seconds": round(b.seconds, 2), "note": b.note}
            for b in baselines
        },
        "differences": {name: _json(of, counts=False) for name, of in gains.items()},
        "resampled": "rows" if groups is None else "groups",
    }


def _known(rows: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return rows[~np.isnan(truth[rows]).all(axis=1)]


def _verdict(
    primary: Metric,
    measured: dict[str, dict[str, dict[str, Estimate]]],
    gains: dict[str, dict[str, dict[str, Estimate]]],
) -> dict[str, Any]:
    """The verdict on the test part, or on validation where no test part was judged."""
    part = next((p for p in ("test", "valid") if p in measured["model"]), None)
    if part is None or not gains:
        why = "not judged: no validation or test row has a label" if part is None else "not compared: no baseline"
        return {"text": why, "outcome": None, "baseline": None, "difference": None, "part": part}
    scored = [p for p in ("valid", part) if p in measured["model"]]
    known = [p for p in scored if any(np.isfinite(measured[name][p][primary.name].value) for name in gains)]
    chosen_on = known[0] if known else part

    def strength(name: str) -> float:
        value = measured[name][chosen_on][primary.name].value
        return -np.inf if np.isnan(value) else value if primary.greater_is_better else -value

    best = max(gains, key=strength)
    said = verdict(best, primary.name, gains[best][part][primary.name], part)
    return {
        "text": said.text,
        "outcome": said.outcome,
        "baseline": best,
        "difference": estimate_json(said.difference, counts=False),
        "part": part,
    }


def _json(parts: dict[str, dict[str, Estimate]], counts: bool = True) -> dict[str, Any]:
    return {part: {name: estimate_json(e, counts) for name, e in of.items()} for part, of in parts.items()}
