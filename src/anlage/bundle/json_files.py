"""JSON with bounds: plain values in, valid JSON out, and one clear line for whatever cannot be read."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from anlage.bundle.contents import JSON_BYTES
from anlage.errors import AnlageError

_MARK = "$nonfinite"


def plain(value: Any, lossless: bool) -> Any:
    """Python values that JSON can hold. JSON has no NaN: ``lossless`` marks it so that :func:`parse` brings it back
    (fitted state must return as it was), else it becomes null (what other programs read)."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry, lossless) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(entry, lossless) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {_MARK: str(value)} if lossless else None
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"{type(value).__name__} cannot be stored as JSON: {value!r:.80}")


def dump(value: Any, lossless: bool = False) -> bytes:
    """``value`` as indented UTF-8 JSON."""
    return (json.dumps(plain(value, lossless), indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def load(path: Path) -> bytes:
    """The bytes of a JSON file that is there and not absurdly large. Raises AnlageError."""
    try:
        size = path.stat().st_size
        if size > JSON_BYTES:
            raise AnlageError(f"{path}: {size:,} bytes; a bundle's JSON files have at most {JSON_BYTES:,}")
        return path.read_bytes()
    except OSError as error:
        raise AnlageError(f"{path}: {error.strerror or error}") from None


def parse(raw: bytes, path: Path) -> Any:
    """JSON → Python values. Raises AnlageError where it is none."""
    try:
        return json.loads(raw, object_hook=_restore)
    except (ValueError, RecursionError) as error:
        raise AnlageError(f"{path}: not valid JSON ({error}): copy the bundle again") from None


def _restore(entry: dict[str, Any]) -> Any:
    return float(entry[_MARK]) if entry.keys() == {_MARK} else entry
