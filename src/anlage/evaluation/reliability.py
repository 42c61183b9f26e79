"""Are probabilities what they say? The reliability curve, the expected calibration error and the Brier score's parts.

Two classes: the probability of the positive label (class 1). More classes: the confidence in the most probable one.
Several labels that can hold together: all known cells, pooled. Bins hold equally many (Roelofs et al. 2022: less biased
than bins of equal width); at least ``PER_BIN`` a bin, and at most ``BINS``.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.special import erf

from anlage.evaluation.intervals import LEVEL, Estimate, group_numbers
from anlage.evaluation.proportions import wilson
from anlage.metrics.weighted import over_chunks

BINS = 15
PER_BIN = 30


@dataclass(frozen=True)
class Events:
    """What was said to happen with which probability, whether it did, and the row that it belongs to."""

    predicted: Float[np.ndarray, " events"]
    happened: Float[np.ndarray, " events"]
    row: Int[np.ndarray, " events"]

    @staticmethod
    def of(task: str, truth: np.ndarray, values: np.ndarray) -> "Events":
        """From ``truth`` [rows, outputs] (NaN = missing) and ``values`` [rows, k] of classification or multilabel."""
        if task == "multilabel":
            row, label = np.nonzero(~np.isnan(truth))
            return Events(values[row, label].astype(float), truth[row, label].astype(float), row)
        row = np.flatnonzero(~np.isnan(truth[:, 0]))
        classes, values = truth[row, 0], values[row].astype(float)
        if values.shape[1] == 2:
            return Events(values[:, 1], (classes == 1).astype(float), row)
        return Events(values.max(1, initial=0.0), (values.argmax(1) == classes).astype(float), row)

    def bins(self) -> Int[np.ndarray, " events"]:
        """The bin of each event, from 0; equal probabilities share a bin."""
        wanted = int(np.clip(len(self.predicted) // PER_BIN, 1, BINS))
        edges = np.unique(np.quantile(self.predicted, np.arange(1, wanted) / wanted)) if wanted > 1 else np.zeros(0)
        bins = np.searchsorted(edges, self.predicted, side="right")
        return np.unique(bins, return_inverse=True)[1]  # no empty ones


def curve(
    task: str, truth: np.ndarray, values: np.ndarray, groups: np.ndarray | None = None
) -> list[dict[str, float | int]]:
    """The reliability curve, from low to high: mean probability and observed share of each bin, with Wilson's 95 %
    interval, in which each of ``groups`` (each row, without them) counts as one trial."""
    events = Events.of(task, truth, values)
    if not len(events.row):
        return []
    bins, own = events.bins(), group_numbers(groups, len(truth))[events.row]
    points: list[dict[str, float | int]] = []
    for b in range(int(bins.max()) + 1):
        here = bins == b
        share = float(events.happened[here].mean())
        low, high = wilson(share, len(np.unique(own[here])))
        predicted = float(events.predicted[here].mean())
        points.append({"predicted": predicted, "observed": share, "low": low, "high": high, "n": int(here.sum())})
    return points


def calibration_error(
    task: str, truth: np.ndarray, values: np.ndarray, weights: np.ndarray, groups: np.ndarray | None = None
) -> Estimate:
    """The expected calibration error (Naeini et al. 2015) with a 95 % interval over ``weights`` [resamples, rows].

    The plain sum over bins of |observed − predicted| is biased upwards, most of all where nothing is wrong. Taken off:
    its expected excess where each bin's gap is blurred by normal noise (Kumar, Liang and Ma 2019, "Verified uncertainty
    calibration", the normal debiasing of its reference code), with the spread that the resamples show, so that groups
    count. The resamples' spread, moved to that value, is the interval. Its lower end is 0 where a calibrated model
    would show as much in more than 5 % of samples (as Bröcker and Smith 2007 ask, with the resamples' own noise).
    Bins blur what happens inside them: the true error can be larger.
    """
    events = Events.of(task, truth, values)
    known = np.unique(events.row)
    n_groups = len(np.unique(group_numbers(groups, len(truth))[known]))
    if not len(known):
        return Estimate(float("nan"), float("nan"), float("nan"), n=0, n_groups=0)
    bins = events.bins()
    k = int(bins.max()) + 1
    gaps, size = np.zeros((len(truth), k)), np.zeros(len(truth))
    np.add.at(gaps, (events.row, bins), events.happened - events.predicted)
    np.add.at(size, events.row, 1.0)
    gap = gaps.sum(0) / size.sum()
    drawn = over_chunks(weights, lambda w: (w @ gaps) / (w @ size)[:, None])  # share of a bin × its gap
    drawn = drawn[np.isfinite(drawn).all(1)]
    plain, resampled = float(np.abs(gap).sum()), np.abs(drawn).sum(1)
    noise = np.maximum(drawn.std(0), 1e-12)
    blurred = noise * np.sqrt(2 / np.pi) * np.exp(-((gap / noise) ** 2) / 2) + gap * erf(gap / noise / np.sqrt(2))
    value = max(0.0, 2 * plain - float(blurred.sum()))
    ends = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) - resampled.mean() + value
    by_chance = np.quantile(np.abs(drawn - gap).sum(1), LEVEL)
    low = 0.0 if plain <= by_chance else max(0.0, float(ends[0]))
    return Estimate(value, min(low, value), min(1.0, float(ends[1])), n=len(known), n_groups=n_groups)


def brier_parts(task: str, truth: np.ndarray, values: np.ndarray) -> dict[str, float]:
    """reliability − resolution + uncertainty = the Brier score (Murphy 1973). Reliability: small is good; resolution:
    large is good; uncertainty belongs to the data. What bins blur inside them counts to the resolution, so that the sum
    is exact (Stephenson, Coelho and Jolliffe 2008). More than two classes: the sum of the parts of each against the
    rest; multilabel: all cells, pooled."""
    if task == "multilabel" or values.shape[1] == 2:
        each = [Events.of(task, truth, values)]
    else:
        row = np.flatnonzero(~np.isnan(truth[:, 0]))
        classes = range(values.shape[1])
        each = [Events(values[row, c].astype(float), (truth[row, 0] == c).astype(float), row) for c in classes]
    found = dict.fromkeys(("reliability", "resolution", "uncertainty"), 0.0)
    for events in each:
        for name, part in _murphy(events).items():
            found[name] += part
    return found


def _murphy(events: Events) -> dict[str, float]:
    p, y = events.predicted, events.happened
    if not len(p):
        return dict.fromkeys(("reliability", "resolution", "uncertainty"), float("nan"))
    bins = events.bins()
    n = np.bincount(bins)
    mean_p, mean_y = np.bincount(bins, p) / n, np.bincount(bins, y) / n
    share, base = n / len(p), float(y.mean())
    reliability = float(share @ (mean_p - mean_y) ** 2)
    inside = float(np.mean((p - mean_p[bins]) ** 2 - 2 * (p - mean_p[bins]) * (y - mean_y[bins])))
    return {
        "reliability": reliability,
        "resolution": float(share @ (mean_y - base) ** 2) - inside,
        "uncertainty": base * (1 - base),
    }


def point_json(part: dict[str, Any]) -> dict[str, Any]:
    """Numbers for JSON, which has no NaN: undefined is null."""
    return {k: (None if isinstance(v, float) and not np.isfinite(v) else v) for k, v in part.items()}
