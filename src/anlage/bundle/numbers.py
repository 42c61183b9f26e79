"""Numbers as people read them in the report and the model card: three decimals, and nothing that is not known."""

import math
from collections.abc import Mapping
from typing import Any

UNKNOWN = "–"


def known(value: Any) -> bool:
    """True for a finite number; NaN and None (NaN's form in JSON) are unknown."""
    return isinstance(value, int | float) and math.isfinite(value)


def number(value: float | None, scale: float | None = None) -> str:
    """Three decimals; three significant digits where ``scale`` (default: the value) is tiny or huge."""
    if value is None or not known(value):
        return UNKNOWN
    scale = abs(value) if scale is None else scale
    text = f"{value:.3f}" if scale == 0 or 1e-3 <= scale < 1e6 else f"{value:.2e}"
    return "0.000" if text == "-0.000" else text


def interval(cell: Mapping[str, Any] | None) -> tuple[str, str]:
    """``{"value", "low", "high"}`` → ("0.913", "[0.881, 0.942]"); the second is empty where there is no interval."""
    if not cell:
        return UNKNOWN, ""
    entries: list[Any] = [cell.get(key) for key in ("value", "low", "high")]
    scale = max((abs(entry) for entry in entries if known(entry)), default=0.0)
    value, low, high = (number(entry, scale) for entry in entries)
    return value, "" if UNKNOWN in (low, high) else f"[{low}, {high}]"


def count(value: int) -> str:
    """13861 → "13,861"."""
    return f"{value:,}"
