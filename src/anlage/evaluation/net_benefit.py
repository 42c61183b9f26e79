"""The decision curve of a diagnosis with two labels (Vickers and Elkin 2006).

Who treats from a probability t on weighs a false alarm as t / (1 − t) of a hit. Net benefit: (hits − false alarms ×
t / (1 − t)) / rows, in hits for each row. A model is of use where it is above treating all and above treating none (0).
"""

from typing import Any

import numpy as np

from anlage.evaluation.intervals import LEVEL
from anlage.metrics.weighted import over_chunks

THRESHOLDS = np.arange(1, 100) / 100


def decision_curve(truth: np.ndarray, values: np.ndarray, weights: np.ndarray) -> list[dict[str, float]]:
    """The net benefit of flagging from each of 1 % to 99 % on, with its pointwise 95 % percentile interval over
    ``weights`` [resamples, rows], and that of treating all. ``truth`` [rows, 1] (1 = positive, NaN = missing),
    calibrated ``values`` [rows, 2]. Empty where no truth is known."""
    known = ~np.isnan(truth[:, 0])
    if not known.any():
        return []
    positive, p, weights = truth[known, 0] == 1, values[known, 1], weights[:, known]
    odds = THRESHOLDS / (1 - THRESHOLDS)
    worth = np.where(positive[:, None], 1.0, -odds)  # [rows, thresholds]: of treating that row
    gains = worth * (p[:, None] >= THRESHOLDS)
    draws = over_chunks(weights, lambda w: (w @ gains) / w.sum(1, keepdims=True))
    low, high = np.nanquantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    columns: dict[str, Any] = {"threshold": THRESHOLDS, "model": gains.mean(0), "low": low, "high": high}
    columns["all"] = worth.mean(0)
    return [dict(zip(columns, map(float, point), strict=True)) for point in zip(*columns.values(), strict=True)]
