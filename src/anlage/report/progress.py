"""The history of a training run → learning curves."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from anlage.bundle.numbers import known
from anlage.report.figures import curves
from anlage.report.judged import Figure
from anlage.report.scores import smaller_is_better

_LOSSES = {"train_loss": "training", "valid_loss": "validation"}
_MOST_LINES = 3


def learning_curves(history: Sequence[Mapping[str, Any]], primary: Mapping[str, str]) -> list[Figure]:
    """The losses, and for each target (``primary``: target → metric) the validation metric that decides.

    An entry's ``valid`` holds numbers by target; errors come negated, as training reads them (greater = better), and
    are drawn as they are.
    """
    axis = "epoch" if all(known(entry.get("epoch")) for entry in history) else "step"
    drawn = []
    losses = [(name, *_series(history, axis, key)) for key, name in _LOSSES.items()]
    losses = [series for series in losses if series[1]]
    if losses:
        names = " and ".join(name for name, _, _ in losses)
        drawn.append(Figure(curves(losses, axis, "loss"), f"{names} loss.".capitalize()))
    valid = [{axis: entry.get(axis), **(entry.get("valid") or {})} for entry in history]
    targets = dict.fromkeys(name for entry in valid for name in entry if name != axis)
    lines = [(name, *_series(valid, axis, name)) for name in targets]
    lines = [line for line in lines if line[1]][:_MOST_LINES]
    if lines:
        metrics = " and ".join(dict.fromkeys(primary.get(name, name) for name, _, _ in lines))
        best, errors = _best(lines), smaller_is_better()
        lines = [(n, x, [-v for v in y] if primary.get(n) in errors else y) for n, x, y in lines]
        caption = f"Validation {metrics}." + (" Dashed: the weights that were kept." if best is not None else "")
        drawn.append(Figure(curves(lines, axis, metrics, best), caption))
    return drawn


def _series(entries: Sequence[Mapping[str, Any]], axis: str, key: str) -> tuple[list[float], list[float]]:
    points = [(entry[axis], entry[key]) for entry in entries if known(entry.get(key)) and known(entry.get(axis))]
    return [x for x, _ in points], [y for _, y in points]


def _best(lines: Sequence[tuple[str, list[float], list[float]]]) -> float | None:
    """Where the mean over the targets was greatest; None where not all were measured together."""
    first = lines[0][1]
    if any(x != first for _, x, _ in lines) or len(first) < 2:
        return None
    return first[int(np.argmax(np.mean([y for _, _, y in lines], axis=0)))]
