"""From raw cells to values: which columns hold numbers or booleans, and what counts as missing. Column by column,
on the whole table, so that streaming and reading at once agree."""

import json
import math
from typing import Any

import numpy as np
import pandas as pd

from anlage.errors import Problem

PARTS = {
    "train": "train",
    "training": "train",
    "val": "valid",
    "valid": "valid",
    "validation": "valid",
    "dev": "valid",
    "devel": "valid",
    "test": "test",
    "testing": "test",
}
"""What people call the parts of a split → what anlage calls them."""
MISSING = frozenset({"", "NA", "N/A", "na", "n/a", "NaN", "nan", "NAN", "null", "NULL", "None", "none", "?", "."})
"""Missing in a column whose other cells are numbers. In text only the empty cell is: NA is also a DNA sequence."""
_BOOLEANS = {"True": True, "TRUE": True, "true": True, "False": False, "FALSE": False, "false": False}
_ALMOST_ALL = 0.98
_LONGEST_NUMBER = 40


def tidy(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[Problem]]:
    """Every column as str/None, float64, int64, bool, or arrays and lists. Where nearly all cells are numbers, the
    others are named as problems and read as missing. The index (row ids) stays."""
    problems: list[Problem] = []
    columns = {name: _column(name, frame[name], problems) for name in frame.columns}
    return pd.DataFrame(columns, index=frame.index, columns=frame.columns), problems


def _column(name: str, values: pd.Series, problems: list[Problem]) -> pd.Series | np.ndarray:
    dtype = values.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in "biuf":
        if dtype.kind == "f":
            return values.astype(np.float64)
        return values.astype(np.int64) if dtype.kind == "i" or dtype.itemsize < 8 and dtype.kind == "u" else values
    if pd.api.types.is_bool_dtype(dtype) or pd.api.types.is_numeric_dtype(dtype):
        # Nullable and Arrow types.
        return values.astype(np.float64) if values.isna().any() else values.astype(values.to_numpy().dtype)
    cells = [None if _absent(v) else v for v in values]
    kinds = {type(v) for v in cells} - {type(None)}
    if kinds == {str}:
        return _text(name, cells, values.index, problems)
    if kinds and kinds <= {bool, np.bool_} and None not in cells:
        return np.array(cells, dtype=bool)
    if kinds and all(issubclass(k, (int, float, np.number, np.bool_)) for k in kinds):
        return _numbers(cells)
    return _objects([_cell(v) for v in cells])


def _absent(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or value != value if np.ndim(value) == 0 else False


def _text(name: str, cells: list[str | None], index: pd.Index, problems: list[Problem]) -> np.ndarray:
    """Cells that are all text: booleans, numbers, or text with empty cells missing."""
    cells = [v or None for v in cells]
    present = [v.strip() for v in cells if v is not None]
    if present and present[0] in _BOOLEANS and all(v in _BOOLEANS for v in present):
        truths = [None if v is None else _BOOLEANS[v.strip()] for v in cells]
        return _objects(truths) if None in truths else np.array(truths, dtype=bool)
    if not _maybe_numbers(present[:50]):
        return _objects(cells)
    known = [v for v in present if v not in MISSING]
    numbers = [_number(v) for v in known]
    bad = sum(n is None for n in numbers)
    if not known or bad and (len(known) < 20 or bad > (1 - _ALMOST_ALL) * len(known)):
        return _objects(cells)
    if any(len(v) > _LONGEST_NUMBER or (v[0] == "0" and v[1:2].isdigit()) for v in known):
        # Bit masks, codes with leading zeros: text that happens to be digits.
        return _objects(cells)
    if len(known) == len(cells) and not bad:
        whole = all(v.lstrip("+-").isdigit() and len(v) < 18 for v in known)
        return np.array([int(v) for v in known]) if whole else np.array(numbers, dtype=np.float64)
    full = np.full(len(cells), np.nan)
    for i, value in enumerate(cells):
        if value is None or (value := value.strip()) in MISSING:
            continue
        if (number := _number(value)) is None:
            reason = f"{value[:40]!r} is no number, as nearly all others here are: read as missing"
            problems.append(Problem(str(index[i]), name, reason, fatal=False))
        else:
            full[i] = number
    return full


def _objects(cells: list[Any]) -> np.ndarray:
    array = np.empty(len(cells), dtype=object)
    array[:] = cells
    return array


def _maybe_numbers(some: list[str]) -> bool:
    """A quick look at the first cells, so that sequences are not parsed as numbers."""
    known = [v for v in some if v not in MISSING]
    looks = sum(v[0] in "+-.0123456789iI" and len(v) <= _LONGEST_NUMBER for v in known)
    return looks >= 0.9 * len(known)


def _number(text: str) -> float | None:
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def _numbers(cells: list[Any]) -> np.ndarray:
    def number(value: Any) -> float:
        try:
            return math.nan if value is None else float(value)
        except OverflowError:
            return math.inf

    if all(isinstance(v, (int, np.integer)) and abs(int(v)) < 2**53 for v in cells):
        return np.array([int(v) for v in cells])
    return np.array([number(v) for v in cells], dtype=np.float64)


def _cell(value: Any) -> Any:
    """One cell of a column that holds more than text and numbers."""
    if isinstance(value, np.ndarray):
        return value.item() if value.ndim == 0 else value
    if isinstance(value, (list, tuple)):
        if value and all(isinstance(v, (int, float)) or v is None for v in value):
            return [math.nan if v is None else v for v in value]
        if value and all(isinstance(v, str) for v in value):
            return ";".join(value)
        return json.dumps(value, default=str) if value else None
    if isinstance(value, dict):
        return json.dumps(value, default=str)
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return None if value is None else str(value) or None
