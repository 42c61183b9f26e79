"""Vectors: a column of numeric vectors of one length, such as embeddings made elsewhere."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from anlage.errors import AnlageError, Problem
from anlage.modalities.cells import shown
from anlage.modalities.protocol import Checked, Descriptors, Modality, Nearest, Recognition
from anlage.modalities.similar import Similar, grouped, nearest
from anlage.modalities.vector.copies import copies
from anlage.parts import ColumnParts, Prepared
from anlage.shapes import ColumnsShape

_CLIP = 10.0
_SAMPLE = 100


def as_vector(value: Any) -> np.ndarray | None:
    """[length] float32 from an array, a list, or a text such as "[0.1, 0.2]"; None where it is none of these."""
    if isinstance(value, str):
        value = _from_text(value.strip())
    if not isinstance(value, np.ndarray | list | tuple) or len(np.shape(value) if _regular(value) else ()) != 1:
        return None
    try:
        with np.errstate(over="ignore"):
            vector = np.asarray(value, dtype=np.float64).astype(np.float32)
    except (TypeError, ValueError, OverflowError):
        return None
    return vector if len(vector) else None


def _regular(value: Any) -> bool:
    """Can numpy tell its shape (no ragged nesting, no text inside)?"""
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "fiubO"
    return all(v is None or isinstance(v, int | float | np.number | np.bool_) for v in value)


def _from_text(text: str) -> list[Any] | None:
    if not (text.startswith("[") and text.endswith("]")):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        parts = text[1:-1].replace(",", " ").split()  # numpy writes [0.1 0.2]
    try:
        return [float(part) for part in parts]
    except ValueError:
        return None


@dataclass
class Vector(Modality):
    """Vectors of one length, standardised by the training rows; NaN inside = that number is missing."""

    name: ClassVar[str] = "vector"
    layout: ClassVar[str] = "Columns"
    similarity: ClassVar[str] = "cosine"
    usual_similarity: ClassVar[float] = 0.999

    def __post_init__(self) -> None:
        self._mean: np.ndarray | None = None
        self._std: np.ndarray | None = None

    @classmethod
    def recognise(cls, name: str, values: pd.Series) -> Recognition | None:
        """Cells that are lists or one-dimensional arrays of numbers, nearly all of one length."""
        if not (pd.api.types.is_object_dtype(values) or pd.api.types.is_string_dtype(values)):
            return None
        sample = list(values.dropna().iloc[:_SAMPLE])
        lengths = Counter(len(v) for v in map(as_vector, sample) if v is not None)
        if not lengths or lengths.most_common(1)[0][1] < 0.9 * len(sample):
            return None
        return Recognition(0.95, f"vectors of {lengths.most_common(1)[0][0]:,} numbers")

    def check(self, frame: pd.DataFrame) -> Checked:
        """Cells become float32 arrays of one length: the fitted one, before ``fit`` the commonest here."""
        column = frame.columns[0]
        problems: list[Problem] = []
        raw = frame[column]
        cells = [as_vector(v) for v in raw]
        lengths = Counter(len(v) for v in cells if v is not None)
        length = len(self._mean) if self._mean is not None else lengths.most_common(1)[0][0] if lengths else 0
        missing = raw.isna().to_numpy()
        for i, (value, vector) in enumerate(zip(raw, cells, strict=True)):
            row = str(frame.index[i])
            if vector is None:
                if not missing[i]:
                    problems.append(Problem(row, str(column), f"{shown(value)} is no vector of numbers"))
                continue
            if len(vector) != length:
                problems.append(Problem(row, str(column), f"has {len(vector):,} numbers where others have {length:,}"))
                cells[i] = None
            elif bad := int(np.isinf(vector).sum()):
                cells[i] = np.where(np.isinf(vector), np.float32(np.nan), vector)
                reason = f"{bad:,} infinite numbers: read as missing"
                problems.append(Problem(row, str(column), reason, fatal=False))
            elif np.isnan(vector).all():
                problems.append(Problem(row, str(column), "all its numbers are NaN: read as missing", fatal=False))
                cells[i] = None
        out = np.empty(len(cells), dtype=object)
        for i, cell in enumerate(cells):
            out[i] = cell
        return Checked(pd.DataFrame({column: pd.Series(out, index=frame.index, dtype=object)}), problems)

    def groups(self, frame: pd.DataFrame) -> np.ndarray:
        """Equal vectors (as float32) are one group."""
        return _distinct(frame.iloc[:, 0])[0]

    def similarity_groups(self, frame: pd.DataFrame, least: float, say: Callable[[str], None]) -> np.ndarray:
        """Vectors that point the same way, nearer to one another than chance makes them."""
        return grouped(*_similar(frame.iloc[:, 0], least))

    def nearest(
        self, frame: pd.DataFrame, reference: pd.DataFrame, least: float, say: Callable[[str], None]
    ) -> Nearest:
        """As for groups."""
        index, pairs = _similar(pd.concat([reference.iloc[:, 0], frame.iloc[:, 0]]), least)
        return nearest(index[len(reference) :], index[: len(reference)], pairs.both_ways())

    def fit(self, frame: pd.DataFrame) -> Self:
        """Mean and standard deviation of each number."""
        _, cells = _distinct(frame.iloc[:, 0], dedupe=False)
        if not cells:
            raise AnlageError(f"column {frame.columns[0]}: no usable vector among the training rows")
        values = np.stack(cells).astype(np.float64)
        seen = ~np.isnan(values)
        n = np.maximum(seen.sum(0), 1)
        self._mean = np.where(seen, values, 0).sum(0) / n
        std = np.sqrt(np.where(seen, (values - self._mean) ** 2, 0).sum(0) / n)
        self._std = np.where(std > 0, std, 1.0)
        return self

    @property
    def state(self) -> dict[str, Any]:
        """``mean`` and ``std`` of each number."""
        fitted = self._mean is not None and self._std is not None
        return {"mean": self._mean.tolist(), "std": self._std.tolist()} if fitted else {}  # type: ignore[union-attr]

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        self._mean = np.array(state["mean"], dtype=np.float64) if state else None
        self._std = np.array(state["std"], dtype=np.float64) if state else None

    @property
    def shape(self) -> ColumnsShape:
        """One number for each place of the vector."""
        assert self._mean is not None, "shape is known after fit"
        return ColumnsShape(numbers=len(self._mean))

    def prepare(self, frame: pd.DataFrame) -> Prepared:
        """Each distinct vector once, standardised."""
        index, cells = _distinct(frame.iloc[:, 0])
        numbers = self._standardise(cells)
        return Prepared(ColumnParts(numbers, np.zeros((len(numbers), 0), dtype=np.int64)), index)

    def _standardise(self, cells: list[np.ndarray]) -> np.ndarray:
        assert self._mean is not None and self._std is not None, "prepare comes after fit"
        if not cells:
            return np.zeros((0, len(self._mean)), dtype=np.float32)
        return np.clip((np.stack(cells) - self._mean) / self._std, -_CLIP, _CLIP).astype(np.float32)

    def profile(self, frame: pd.DataFrame) -> dict[str, np.ndarray]:
        """Length (Euclidean norm of what is known), and the share of numbers that are missing."""
        index, cells = _distinct(frame.iloc[:, 0])
        norm = [float(np.sqrt(np.nansum(np.square(cell, dtype=np.float64)))) for cell in cells]
        gone = [float(np.isnan(cell).mean()) for cell in cells]
        return {"norm": np.array([*norm, np.nan])[index], "share of numbers missing": np.array([*gone, np.nan])[index]}

    def descriptors(self, frame: pd.DataFrame) -> Descriptors:
        """The standardised vector itself."""
        index, cells = _distinct(frame.iloc[:, 0])
        numbers = self._standardise(cells)
        missing = np.full((1, numbers.shape[1]), np.nan, dtype=np.float32)
        return Descriptors(np.vstack([numbers, missing])[index], [str(i) for i in range(numbers.shape[1])])


def _similar(cells: pd.Series, least: float) -> tuple[np.ndarray, Similar]:
    """[rows] the number of each distinct vector, which does not depend on the order of rows, and the similar ones."""
    index, vectors = _distinct(cells)
    if not vectors:
        return index, Similar.none()
    values = np.stack(vectors)
    order = np.lexsort(values.T[::-1])
    return np.append(np.argsort(order), -1)[index], copies(values[order], least)


def _distinct(cells: pd.Series, dedupe: bool = True) -> tuple[np.ndarray, list[np.ndarray]]:
    """[rows] the number of each row's vector (-1 = missing), and the vectors."""
    seen: dict[bytes, int] = {}
    vectors: list[np.ndarray] = []
    index = np.full(len(cells), -1, dtype=np.int64)
    for i, cell in enumerate(cells):
        if isinstance(cell, np.ndarray):
            key = (cell + np.float32(0)).tobytes() if dedupe else i.to_bytes(8, "little")  # -0.0 equals 0.0
            index[i] = seen.setdefault(key, len(vectors))
            if index[i] == len(vectors):
                vectors.append(cell)
    return index, vectors
