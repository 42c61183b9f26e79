"""From raw cells of a record to numbers and categories, naming what does not fit."""

import numbers
import re
from collections.abc import Hashable, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from anlage.errors import Problem
from anlage.modalities.cells import shown

MISSING_WORDS = frozenset({"", "?", "na", "n/a", "nan", "none", "null", "-", ".", "missing", "not available"})
"""Texts that stand for "not known" (lower case)."""
_TRUTH = {"true": 1.0, "false": 0.0}
_NUMBER_SHARE = 0.9
_LISTED = 20
_LARGEST = float(np.finfo(np.float32).max)


def named(column: Hashable, ids: pd.Index, rows: np.ndarray, reasons: Sequence[str]) -> list[Problem]:
    """A non-fatal problem for each of the first 20 rows, and one that counts the others."""
    pairs = zip(rows[:_LISTED], reasons[:_LISTED], strict=True)
    listed = [Problem(str(ids[r]), str(column), why, fatal=False) for r, why in pairs]
    if (more := len(rows) - _LISTED) > 0:
        why = f"{more:,} more rows of this kind, the next is row {ids[rows[_LISTED]]}"
        listed.append(Problem(None, str(column), why, fatal=False))
    return listed


def is_number_column(values: pd.Series) -> bool:
    """Numeric or boolean, or texts of which at least 90 % can be read as numbers (all missing counts as numbers)."""
    if pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return True
    if pd.api.types.is_datetime64_any_dtype(values) or isinstance(values.dtype, pd.CategoricalDtype):
        return False
    present = _present(values)
    return not len(present) or bool(_numeric(present).notna().mean() >= _NUMBER_SHARE)


def _present(values: pd.Series) -> pd.Series:
    words = values.dropna()
    return words[~words.map(lambda v: isinstance(v, str) and v.strip().lower() in MISSING_WORDS).astype(bool)]


def _numeric(values: pd.Series) -> pd.Series:
    return pd.to_numeric(pd.Series([_plain(v) for v in values], index=values.index, dtype=object), errors="coerce")


def _plain(value: Any) -> str | float | None:
    """Text, number, or None for anything else."""
    if isinstance(value, str):
        text = value.strip()
        return _TRUTH.get(text.lower(), text)
    if not isinstance(value, numbers.Real | np.bool_ | Decimal):
        return None
    try:
        return float(value)
    except OverflowError:
        return np.inf


def to_numbers(values: pd.Series) -> tuple[np.ndarray, list[Problem]]:
    """[rows] float64 with NaN for missing; texts that are no numbers are named."""
    if pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return values.to_numpy(dtype=np.float64, na_value=np.nan), []
    parsed = _numeric(values.astype(object)).to_numpy(dtype=np.float64)
    present = values.notna().to_numpy()
    bad = [
        row
        for row in np.flatnonzero(present & np.isnan(parsed))
        if not (isinstance(v := values.iloc[row], str) and v.strip().lower() in MISSING_WORDS)
    ]
    reasons = [f"{shown(values.iloc[row])} is no number: read as missing" for row in bad[:_LISTED]]
    return parsed, named(values.name, values.index, np.array(bad, dtype=np.int64), reasons)


def drop_infinite(values: np.ndarray, names: Sequence[Hashable], ids: pd.Index) -> list[Problem]:
    """Set infinite values, and what float32 cannot hold, to NaN, in place, and name them."""
    problems: list[Problem] = []
    infinite = np.abs(values) > _LARGEST
    for column in np.flatnonzero(infinite.any(0)).tolist():
        rows = np.flatnonzero(infinite[:, column])
        reasons = ["infinite or beyond 3e38: read as missing"] * min(len(rows), _LISTED)
        problems += named(names[column], ids, rows, reasons)
    values[infinite] = np.nan
    return problems


def to_category(value: Any) -> str | None:
    """The value as text, None where it is missing: whole numbers without ".0", so that 1, 1.0 and "1" agree."""
    if value is None or (np.isscalar(value) and pd.isna(value)):  # type: ignore[arg-type]
        return None
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    text = str(value).strip()
    if re.fullmatch(r"[+-]?\d+\.\d*0+", text) or re.fullmatch(r"[+-]?\d+\.", text):
        text = text.rstrip("0").rstrip(".")
    return None if text.lower() in MISSING_WORDS else text


def to_categories(values: pd.Series) -> tuple[np.ndarray, list[Problem]]:
    """[rows] object: str or None; lists and other cells with an inner life are named."""
    cells = values.astype(object)
    plain = cells.map(lambda v: pd.api.types.is_scalar(v) and not isinstance(v, bytes)).to_numpy(dtype=bool)
    bad = np.flatnonzero(~plain)
    reasons = [f"{shown(cells.iloc[row])} is no category: read as missing" for row in bad[:_LISTED]]
    codes, distinct = pd.factorize(cells.where(plain, None).to_numpy(dtype=object))
    texts = np.empty(len(distinct) + 1, dtype=object)
    texts[:-1] = [to_category(v) for v in distinct]
    texts[-1] = None
    return texts[codes], named(values.name, values.index, bad, reasons)
