"""Is the model as good for everyone? Score, calibration and coverage for each level of a column, and the gap between
the best and the worst of them.

Which levels are best and worst is chosen on the rows that measure the gap, which makes it look larger than it is. Its
interval allows for that: simultaneous intervals of all pairs of levels by the largest studentised difference over the
resamples (Romano and Wolf 2005; Tukey's method where levels are normal). Whatever pair is looked at, all of them hold
together in 95 % of samples, and so do the largest lower and the largest upper end for the largest difference.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from anlage.errors import AnlageError
from anlage.evaluation.estimates import estimate_json
from anlage.evaluation.intervals import LEVEL, Estimate, Resampled, estimate, group_numbers, resample, weights
from anlage.evaluation.proportions import proportion
from anlage.metrics.metric import Metric
from anlage.tasks.labels import as_labels, as_numbers, in_order, is_missing

MOST_LEVELS = 50
FEWEST_ROWS = 20
FEWEST_OF_A_CLASS = 5
FEWEST_GROUPS = 5
MISSING = "missing"

Error = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None], Estimate]
"""(truth, values, weights, groups) → the calibration error."""


@dataclass(frozen=True)
class Levels:
    """The levels of a column, or of several together. ``of`` [rows]: the number of each row's level."""

    names: list[str]
    of: np.ndarray


def levels(frame: pd.DataFrame, wanted: str) -> Levels:
    """``COLUMN``, ``COLUMN:WIDTH`` (numbers in bins that start at multiples of the width) or several of these with *
    between them. Empty cells are a level of their own, the last one. AnlageError for a column that is not there or is
    no numbers, and for more than 50 levels."""
    pieces = [wanted] if wanted in frame else wanted.split("*")
    found = [_one(frame, piece.strip(), wanted) for piece in pieces]
    code = np.zeros(len(frame), dtype=np.int64)
    for piece in found:
        code = code * len(piece.names) + piece.of
    present, of = np.unique(code, return_inverse=True)
    if len(present) > MOST_LEVELS:
        hint = "give bins of numbers (COLUMN:WIDTH) or a coarser column"
        raise AnlageError(f"--subgroup {wanted}: {len(present):,} levels, more than {MOST_LEVELS}: {hint}")
    names = []
    for number in present:
        parts = []
        for piece in reversed(found):
            number, own = divmod(number, len(piece.names))
            parts.append(piece.names[own])
        names.append(" × ".join(reversed(parts)))
    return Levels(names, of)


def _one(frame: pd.DataFrame, piece: str, wanted: str) -> Levels:
    column, _, width = (piece, "", "") if piece in frame else piece.rpartition(":")
    if not column:
        column, width = width, ""
    if column not in frame:
        shown = ", ".join(map(str, frame.columns[:20]))
        raise AnlageError(f"--subgroup {wanted}: no column {column!r}; columns: {shown}")
    if not width:
        labels = as_labels(frame[column])
        names = in_order({label for label in labels if label is not None})
        place = {name: i for i, name in enumerate(names)}
        of = np.array([len(names) if label is None else place[label] for label in labels], dtype=np.int64)
        return Levels([*names, MISSING], of)
    if not re.fullmatch(r"\d+(\.\d+)?", width) or not float(width):
        raise AnlageError(f"--subgroup {wanted}: {width!r} is no width of bins; give a number above 0, as age:10")
    numbers, step = as_numbers(frame[column]), float(width)
    bad = np.flatnonzero(np.isnan(numbers) & ~is_missing(frame[column]))
    if len(bad):
        value = str(frame[column].iloc[bad[0]])[:40]
        raise AnlageError(f"--subgroup {wanted}: row {frame.index[bad[0]]}, column {column}: {value!r} is no number")
    bins = np.floor(numbers / step + 1e-9)
    known = np.unique(bins[~np.isnan(bins)])
    of = np.where(np.isnan(bins), len(known), np.searchsorted(known, bins))
    return Levels([*(f"{b * step:g} to <{(b + 1) * step:g}" for b in known), MISSING], of.astype(np.int64))


def subgroups(
    frame: pd.DataFrame,
    wanted: Sequence[str],
    part: str,
    metric: Metric,
    truth: np.ndarray,
    values: np.ndarray,
    groups: np.ndarray | None,
    resamples: int,
    seed: int,
    error: Error | None = None,
    held: np.ndarray | None = None,
) -> dict[str, Any] | None:
    """The entry ``subgroups`` of a target in metrics.json; None where no column is wanted.

    ``frame``: the table's columns for the rows of ``part`` (ids as index), in the order of ``truth`` [rows, outputs],
    ``values`` [rows, k], ``groups`` [rows] or None and ``held`` [rows] bool (was the truth in the prediction set or
    interval?). ``error``: calibration error, None where there is none. AnlageError as for :func:`levels`.
    """
    if not wanted:
        return None
    split = {name: levels(frame, name) for name in dict.fromkeys(wanted)}
    known = ~np.isnan(truth).all(axis=1)
    counts = weights(groups, len(truth), resamples, seed)
    columns: dict[str, Any] = {}
    for name, column in split.items():
        entries, compared = [], []
        for number, level in enumerate(column.names):
            rows = np.flatnonzero((column.of == number) & known)
            own = None if groups is None else np.asarray(groups)[rows]
            y, v, w = truth[rows], values[rows], counts[:, rows]
            drawn = _resample(metric, y, v, w)
            score = estimate(drawn, y, own)
            small = is_small(y, v, own)
            if not small and math.isfinite(score.low):
                compared.append((level, drawn, score))
            entries.append({
                "name": level,
                "n": len(rows),
                "small": small,
                "score": estimate_json(score),
                "ece": estimate_json(error(y, v, w, own)) if error is not None and len(rows) else None,
                "held": None if held is None else estimate_json(proportion(held[rows], np.ones(len(rows)), w, own)),
            })  # fmt: skip
        columns[name] = {"levels": entries, "gap": gap(metric, compared)}
    return {"metric": metric.name, "part": part, "columns": columns}


def _resample(metric: Metric, truth: np.ndarray, values: np.ndarray, weights: np.ndarray) -> Resampled:
    """As :func:`resample`; undefined in resamples that drew no row of the level."""
    if not len(truth):
        return Resampled(math.nan, np.full(len(weights), np.nan))
    drawn = resample(metric, truth, values, weights)
    return Resampled(drawn.value, np.where(weights.any(axis=1), drawn.draws, np.nan), drawn.measure, drawn.bounds)


def is_small(truth: np.ndarray, values: np.ndarray, groups: np.ndarray | None) -> bool:
    """Too few to compare: under 20 rows, under 5 of one of two classes, or under 5 groups."""
    if len(truth) < FEWEST_ROWS or len(np.unique(group_numbers(groups, len(truth)))) < FEWEST_GROUPS:
        return True
    two = truth.shape[1] == 1 and values.shape[1] == 2
    return bool(two and min((truth[:, 0] == 0).sum(), (truth[:, 0] == 1).sum()) < FEWEST_OF_A_CLASS)


def gap(metric: Metric, compared: Sequence[tuple[str, Resampled, Estimate]]) -> dict[str, Any] | None:
    """The best level minus the worst (for errors: the other way round), never negative, with its simultaneous
    interval; None with fewer than two levels. ``compared``: name, score on each resample and estimate of each.

    What a level's own interval is wider than its resamples (few groups, or no error among few rows, where resamples do
    not vary at all) is added to the spread of its differences."""
    if len(compared) < 2:
        return None
    sign = 1.0 if metric.greater_is_better else -1.0
    values = np.array([sign * drawn.value for _, drawn, _ in compared])
    draws = np.stack([sign * drawn.draws for _, drawn, _ in compared])
    draws = draws[:, ~np.isnan(draws).any(axis=0)]
    if draws.shape[1] < 2:
        return None
    normal = float(stdtrit(np.inf, (1 + LEVEL) / 2))
    wide = np.array([(score.high - score.low) / (2 * normal) for *_, score in compared])
    more = np.maximum(wide**2 - draws.var(axis=1, ddof=1), 0)
    one, other = np.array(list(combinations(range(len(compared)), 2))).T
    apart, drawn = values[one] - values[other], draws[one] - draws[other]
    spread = np.sqrt(np.maximum(drawn.var(axis=1, ddof=1) + more[one] + more[other], 1e-24))
    largest = np.abs((drawn - apart[:, None]) / np.maximum(drawn.std(axis=1, ddof=1), 1e-12)[:, None]).max(axis=0)
    reach = max(float(np.quantile(largest, LEVEL)), normal)
    found = {
        "value": float(np.abs(apart).max()),
        "low": max(0.0, float((np.abs(apart) - reach * spread).max())),
        "high": float((np.abs(apart) + reach * spread).max()),
    }
    return found | {"best": compared[int(values.argmax())][0], "worst": compared[int(values.argmin())][0]}


def said(entry: dict[str, Any] | None, least: float) -> tuple[list[str], list[str]]:
    """Sentences for the verdict (gaps of at least ``least`` that are no chance) and for the notes (columns of which
    nothing, or not enough, can be said)."""
    verdict: list[str] = []
    notes: list[str] = []
    if entry is None:
        return verdict, notes
    metric = entry["metric"].replace("_", " ")
    for column, of in entry["columns"].items():
        found = of["gap"]
        if found is None:
            enough = sum(not level["small"] for level in of["levels"])
            notes.append(
                f"subgroups of {column}: nothing can be said, {enough} of {len(of['levels'])} levels "
                f"{'has' if enough == 1 else 'have'} enough rows"
            )
            continue
        size = f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}] {metric}"
        between = f"{column} {found['best']} (best) and {found['worst']} (worst)"
        if found["low"] > 0 and found["value"] >= least:
            verdict.append(f"not as good for everyone: {size} between {between}")
        elif found["high"] >= least:
            notes.append(f"subgroups of {column}: a gap of {least:g} or more is neither shown nor excluded: {size}")
    return verdict, notes
