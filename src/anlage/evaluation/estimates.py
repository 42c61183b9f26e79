"""What every judgement shares: which rows are resampled together, and how an estimate is written down."""

from collections.abc import Mapping

import numpy as np

from anlage.evaluation.intervals import Estimate, group_numbers

DOMINANT = 0.5
"""A group with a larger share of a part's rows is a variant library, not a family: rows are resampled then."""


def resampled_groups(groups: np.ndarray | None, parts: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """The groups to resample, or None = rows: where there are none, every row is alone, or one group dominates."""
    if groups is None:
        return None
    rows = np.unique(np.concatenate([parts[p] for p in parts if p != "train"] or [np.arange(0)]).astype(np.int64))
    if not len(rows):
        return None
    largest = int(np.bincount(group_numbers(np.asarray(groups)[rows], len(rows))).max())
    return None if largest <= 1 or largest > DOMINANT * len(rows) else groups


def estimate_json(e: Estimate, counts: bool = True) -> dict[str, float | int | None]:
    """An estimate for JSON, which has no NaN: undefined is null."""
    shown = {"value": e.value, "low": e.low, "high": e.high}
    found: dict[str, float | int | None] = {k: (float(v) if np.isfinite(v) else None) for k, v in shown.items()}
    return found | ({"n": e.n, "n_groups": e.n_groups} if counts else {})
