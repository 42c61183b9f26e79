"""Reading label and number columns as people write them, and sober weights for rare labels. No task lives here."""

import math
import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

POSITIVE = frozenset({"1", "true", "yes", "y", "t", "pos", "positive", "case", "present"})
NEGATIVE = frozenset(
    {"0", "-1", "false", "no", "n", "f", "neg", "negative", "control", "absent", "non", "none", "normal", "healthy"}
)
RARE = 20.0
"""Labels weigh alike unless the most frequent one is this many times as frequent as the rarest."""
LARGEST_WEIGHT = 10.0


def as_label(value: object) -> str | None:
    """One cell as a label; None = missing. 1.0 and 1 are one label (a missing value makes whole numbers floats)."""
    if isinstance(value, str):
        return value.strip() or None
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, int | float | np.number):
        if not math.isfinite(value):
            return None
        return str(int(value)) if value == int(value) else repr(float(value))
    return str(value)


def as_labels(column: pd.Series) -> list[str | None]:
    """Each cell as a label, None = missing."""
    return [as_label(value) for value in column.astype(object)]


def as_numbers(column: pd.Series) -> np.ndarray:
    """[rows] float64; what is no finite number is NaN."""
    values = column.astype(object).map(lambda v: v.strip() if isinstance(v, str) else v)
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def is_missing(column: pd.Series) -> np.ndarray:
    """[rows] bool: empty cells."""
    return np.array([v is None or v is pd.NA or v is pd.NaT or v != v or v == "" for v in column.astype(object)])


def as_truths(column: pd.Series) -> np.ndarray:
    """[rows] float64 of 1 (1, true, yes, …), 0 (0, false, no, …) and NaN (empty, or nothing of the kind)."""
    words = {**dict.fromkeys(POSITIVE, 1.0), **dict.fromkeys(NEGATIVE - {"-1"}, 0.0)}
    return np.array([np.nan if v is None else words.get(v.lower(), np.nan) for v in as_labels(column)])


def in_order(labels: set[str]) -> list[str]:
    """Labels as a person sorts them (2 before 10, a before B); of two labels the positive one comes last."""

    def natural(label: str) -> tuple[object, ...]:
        try:
            number = float(label)
        except ValueError:
            pieces = re.split(r"(\d+)", label.casefold())
            return (1, [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in pieces], label)
        return (0, number, label)

    ordered = sorted(labels, key=natural)
    if len(ordered) == 2:
        first, last = (label.casefold() for label in ordered)
        if (first in POSITIVE and last not in POSITIVE) or (last in NEGATIVE and first not in NEGATIVE):
            ordered.reverse()
    return ordered


def loss_weights(counts: Sequence[int] | np.ndarray) -> list[float] | None:
    """A weight for each label from its training count: none (None) unless the most frequent label is RARE times as
    frequent as the rarest; then ∝ 1/√count, at most LARGEST_WEIGHT times the smallest, and 1 on average over rows."""
    counts = np.asarray(counts, dtype=float)
    if counts.max() < RARE * counts.min():
        return None
    weights = np.minimum(np.sqrt(counts.max() / counts), LARGEST_WEIGHT)
    return [float(w) for w in weights * counts.sum() / (weights * counts).sum()]


def shortened(names: Sequence[str], most: int = 8) -> str:
    """The first names, and how many there are where not all are shown: a, b, c, … (12 in all)."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown}, … ({len(names):,} in all)"
