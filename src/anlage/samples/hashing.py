"""A fingerprint of a table that does not depend on the order of its rows."""

import hashlib
from typing import Any

import numpy as np
import pandas as pd

_MISSING = 0x9E3779B97F4A7C15


def data_hash(frame: pd.DataFrame) -> str:
    """SHA-256 (hex) of the ids and values of all rows, in whatever order rows and columns stand. The index holds the
    ids; cells may be text, numbers, booleans, missing, lists or numpy arrays. 1, 1.0 and True count as equal."""
    rows = _text(frame.index.astype(str).to_numpy(dtype=object))
    names = sorted(frame.columns, key=str)
    with np.errstate(over="ignore"):
        for name in names:
            # An odd multiplier, then a fold of the high bits: the position of a column matters, overflow does not.
            rows = rows * np.uint64(0x100000001B3) + _column(frame[name])
            rows ^= rows >> np.uint64(29)
    digest = hashlib.sha256("\0".join(map(str, names)).encode("utf-8", "surrogatepass"))
    digest.update(np.sort(rows).astype("<u8").tobytes())
    return digest.hexdigest()


def _column(values: pd.Series) -> np.ndarray:
    """[rows] uint64"""
    if pd.api.types.is_numeric_dtype(values.dtype) or pd.api.types.is_bool_dtype(values.dtype):
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan) + 0.0  # -0.0 becomes 0.0
        hashes = pd.util.hash_array(numbers)
        return np.where(np.isnan(numbers), np.uint64(_MISSING), hashes)
    cells = values.to_numpy(dtype=object)
    if all(type(v) is str for v in cells):
        return _text(cells)
    return np.array([_cell(v) for v in cells], dtype=np.uint64)


def _text(cells: np.ndarray) -> np.ndarray:
    return pd.util.hash_array(cells, categorize=False)


def _cell(value: Any) -> int:
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return _MISSING
    if isinstance(value, str):
        return int(_text(np.array([value], dtype=object))[0])
    if isinstance(value, (bool, int, float, np.number, np.bool_)):
        return int(pd.util.hash_array(np.array([float(value)]))[0])
    if isinstance(value, (list, tuple)):
        value = np.asarray(value, dtype=np.float64)
    if isinstance(value, np.ndarray):
        content = repr((value.shape, value.dtype.str)).encode() + np.ascontiguousarray(value).tobytes()
    else:
        content = repr(value).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "little")
