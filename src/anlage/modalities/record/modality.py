"""Records: the numbers, categories and yes/no values of one sample, from several columns of the table."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from anlage.errors import AnlageError, Problem
from anlage.modalities.protocol import Checked, Descriptors, Modality, Nearest, Recognition
from anlage.modalities.record.copies import copies
from anlage.modalities.record.values import drop_infinite, is_number_column, named, to_categories, to_numbers
from anlage.modalities.similar import Similar, grouped, nearest
from anlage.parts import ColumnParts, Prepared
from anlage.shapes import ColumnsShape

_CLIP = 10.0
"""Standard deviations beyond which a number is cut: one typing error must not drown the others."""
_MAX_CATEGORIES = 1000
_MAX_ONE_HOT = 100
_SAMPLE = 1000
_FEW = 50


@dataclass
class Record(Modality):
    """All plain columns of a table together. Numbers are standardised, categories counted, by the training rows."""

    name: ClassVar[str] = "record"
    layout: ClassVar[str] = "Columns"
    joins_columns: ClassVar[bool] = True
    similarity: ClassVar[str] = "share of columns that agree"
    usual_similarity: ClassVar[float] = 0.9

    def __post_init__(self) -> None:
        self._fitted = False
        self._columns: dict[str, str] = {}
        self._numbers: list[str] = []
        self._mean = self._std = np.zeros(0)
        self._with_missing: list[str] = []
        self._categories: dict[str, list[str]] = {}

    @classmethod
    def recognise(cls, name: str, values: pd.Series) -> Recognition | None:
        """Numbers, booleans, or texts with few distinct values."""
        missing = f"{values.isna().mean():.0%} missing" if len(values) else "no rows"
        if pd.api.types.is_bool_dtype(values):
            return Recognition(0.6, f"yes/no values, {missing}")
        if pd.api.types.is_numeric_dtype(values):
            return Recognition(0.6, f"numbers, {missing}")
        if pd.api.types.is_datetime64_any_dtype(values):
            return None
        present = values.dropna()
        sample = present.iloc[:: max(1, len(present) // _SAMPLE)].iloc[:_SAMPLE]
        if not len(sample) or not sample.map(pd.api.types.is_scalar).all():
            return None
        if is_number_column(sample):
            return Recognition(0.6, f"numbers, {missing}")
        distinct, longest = sample.nunique(), int(sample.astype(str).str.len().max())
        if distinct > max(2, min(_FEW, len(sample) / 2)) or longest > 100:
            return None
        return Recognition(0.55, f"{distinct} different texts in {len(sample):,} rows, {missing}")

    def check(self, frame: pd.DataFrame) -> Checked:
        """Numbers as float64 (NaN = missing), categories as text (None = missing). Which is which follows ``fit``,
        before it the content. After ``fit`` the frame has exactly the fitted columns."""
        problems: list[Problem] = []
        if self._fitted:
            for column in self._columns:
                if column not in frame.columns:
                    problems.append(Problem(None, column, "not in this table: read as missing", fatal=False))
            frame = frame.reindex(columns=list(self._columns))
            kinds = {column: self._columns[str(column)] for column in frame.columns}
        else:
            kinds = {c: "number" if is_number_column(frame[c]) else "category" for c in frame.columns}
        numeric = [c for c, kind in kinds.items() if kind == "number"]
        numbers, found = _numbers_of(frame, numeric)
        problems += found + drop_infinite(numbers, numeric, frame.index)
        parts = [pd.DataFrame(numbers, index=frame.index, columns=numeric)]
        texts = {}
        for column in (c for c, kind in kinds.items() if kind == "category"):
            texts[column], found = to_categories(frame[column])
            problems += found
        if texts:
            parts.append(pd.DataFrame(texts, index=frame.index, dtype=object))
        for column, known in self._categories.items():
            problems += _unseen(column, texts[column], known, frame.index)
        return Checked(pd.concat(parts, axis=1)[list(kinds)], problems)

    def groups(self, frame: pd.DataFrame) -> np.ndarray:
        """Rows that are equal in all columns (numbers to float32 precision) are one group."""
        return _distinct_rows(*_coded(frame))[0]

    def similarity_groups(self, frame: pd.DataFrame, least: float, say: Callable[[str], None]) -> np.ndarray:
        """Rows that agree in most columns, and in more than chance gives."""
        return grouped(*_similar(frame, least))

    def nearest(
        self, frame: pd.DataFrame, reference: pd.DataFrame, least: float, say: Callable[[str], None]
    ) -> Nearest:
        """As for groups; how far numbers spread and which values are rare is seen from both frames."""
        index, pairs = _similar(pd.concat([reference, frame[reference.columns]]), least)
        return nearest(index[len(reference) :], index[: len(reference)], pairs.both_ways())

    def fit(self, frame: pd.DataFrame) -> Self:
        """Kinds, means, deviations, categories by frequency; columns with nothing to tell are left out."""
        self._columns = {
            str(c): "number" if pd.api.types.is_numeric_dtype(frame[c]) else "category" for c in frame.columns
        }
        numeric = [c for c in frame.columns if self._columns[str(c)] == "number"]
        values = frame[numeric].to_numpy(dtype=np.float64, na_value=np.nan)
        present = ~np.isnan(values)
        n = np.maximum(present.sum(0), 1)
        mean = np.where(present, values, 0).sum(0) / n
        std = np.sqrt(np.where(present, (values - mean) ** 2, 0).sum(0) / n)
        std[std <= 1e-12 * np.abs(mean)] = 0  # constant but for rounding
        missing = (~present).any(0)
        kept = present.any(0) & ((std > 0) | missing)
        self._numbers = [str(c) for c, keep in zip(numeric, kept, strict=True) if keep]
        self._mean, self._std = mean[kept], np.where(std > 0, std, 1.0)[kept]
        self._with_missing = [str(c) for c, keep in zip(numeric, kept & missing, strict=True) if keep]
        self._categories = {}
        for column in (c for c in frame.columns if self._columns[str(c)] == "category"):
            counts = frame[column].value_counts()
            if len(counts) > 1 or (len(counts) == 1 and counts.iloc[0] < len(frame)):
                ordered = sorted(counts.index, key=lambda v: (-counts[v], v))
                self._categories[str(column)] = ordered[:_MAX_CATEGORIES]
        if not self._numbers and not self._categories:
            raise AnlageError(
                f"record: all columns ({', '.join(map(str, frame.columns[:5]))}) are constant or empty in the training "
                "rows: nothing to learn from; choose other inputs with --input"
            )
        self._fitted = True
        return self

    def adopt(self, pretrained: Modality) -> None:
        """All that it learned; AnlageError where it was trained on other columns."""
        theirs = list(pretrained.state["columns"])
        if theirs != list(self._columns):
            different = sorted(set(theirs) ^ set(self._columns)) or ["in another order"]
            raise AnlageError(f"the pretrained encoder reads other columns: {', '.join(different[:5])}")
        super().adopt(pretrained)

    @property
    def state(self) -> dict[str, Any]:
        """``columns``: kind of each; ``numbers``, ``mean``, ``std``; ``categories``: values in order of their codes."""
        return {
            "columns": self._columns,
            "numbers": self._numbers,
            "mean": self._mean.tolist(),
            "std": self._std.tolist(),
            "with_missing": self._with_missing,
            "categories": self._categories,
        }

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        self._fitted = True
        self._columns = dict(state["columns"])
        self._numbers = list(state["numbers"])
        self._mean = np.array(state["mean"], dtype=np.float64)
        self._std = np.array(state["std"], dtype=np.float64)
        self._with_missing = list(state["with_missing"])
        self._categories = {k: list(v) for k, v in state["categories"].items()}

    @property
    def shape(self) -> ColumnsShape:
        """Kept numbers, and for each kept category its values and one code more for missing."""
        return ColumnsShape(len(self._numbers), tuple(len(v) + 1 for v in self._categories.values()))

    def prepare(self, frame: pd.DataFrame) -> Prepared:
        """Each distinct row once; a row with nothing known is missing (-1)."""
        numbers, codes = self._encode(frame)
        index, first = _distinct_rows(numbers, codes)
        return Prepared(ColumnParts(numbers[first], codes[first]), index)

    def _encode(self, frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """[rows, numbers] float32 standardised, [rows, categories] codes."""
        raw = frame[self._numbers].to_numpy(dtype=np.float64, na_value=np.nan)
        numbers = np.clip((raw - self._mean) / self._std, -_CLIP, _CLIP).astype(np.float32)
        codes = np.zeros((len(frame), len(self._categories)), dtype=np.int64)
        for j, (column, values) in enumerate(self._categories.items()):
            codes[:, j] = pd.Index(values, dtype=object).get_indexer(pd.Index(frame[column], dtype=object)) + 1
        return numbers, codes

    def profile(self, frame: pd.DataFrame) -> dict[str, np.ndarray]:
        """Every number in its own unit, the share of columns that are missing, and how many categories are new."""
        values = frame[self._numbers].to_numpy(dtype=np.float64, na_value=np.nan)
        known = frame[list(self._categories)].notna().to_numpy(dtype=bool)
        used = max(1, len(self._numbers) + len(self._categories))
        gone = np.isnan(values).sum(1) + (~known).sum(1)
        new = (known & (self._encode(frame)[1] == 0)).sum(1)
        own = dict(zip(self._numbers, values.T, strict=True))
        return own | {"share of columns missing": gone / used, "new categories": new.astype(np.float64)}

    def descriptors(self, frame: pd.DataFrame) -> Descriptors:
        """Standardised numbers (NaN = missing), what is missing where training rows lack values, one-hot categories
        (of each column the 100 commonest values)."""
        numbers, codes = self._encode(frame)
        where = [self._numbers.index(c) for c in self._with_missing]
        values = [numbers, np.isnan(numbers[:, where]).astype(np.float32)]
        names = self._numbers + [f"{c} missing" for c in self._with_missing]
        for j, (column, known) in enumerate(self._categories.items()):
            shown = known[:_MAX_ONE_HOT]
            values.append((codes[:, [j]] == np.arange(1, len(shown) + 1)).astype(np.float32))
            names += [f"{column} = {value}" for value in shown]
        return Descriptors(np.hstack(values), names)


def _coded(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """[rows, numbers] float32, [rows, categories] codes from 1; 0 = missing."""
    numbers = frame.select_dtypes("number").to_numpy(dtype=np.float32, na_value=np.nan)
    texts = frame.select_dtypes(exclude="number")
    codes = np.zeros(texts.shape, dtype=np.int64)
    for j, column in enumerate(texts.columns):
        codes[:, j] = pd.factorize(texts[column].to_numpy(dtype=object), sort=True)[0] + 1
    return numbers, codes


def _similar(frame: pd.DataFrame, least: float) -> tuple[np.ndarray, Similar]:
    """[rows] the number of each distinct row, which does not depend on the order of rows, and the similar ones."""
    numbers, codes = _coded(frame)
    index, first = _distinct_rows(numbers, codes)
    order = np.lexsort(np.hstack([codes, numbers])[first].T[::-1])
    place = np.append(np.argsort(order), -1)
    first = first[order]
    return place[index], copies(numbers[first].astype(np.float64), codes[first], least)


def _numbers_of(frame: pd.DataFrame, columns: Sequence[Hashable]) -> tuple[np.ndarray, list[Problem]]:
    """[rows, columns] float64; thousands of numeric columns are taken at once."""
    problems: list[Problem] = []
    part = frame[list(columns)]
    slow = [j for j, dtype in enumerate(part.dtypes) if dtype.kind not in "iufb"]
    if not slow:
        return part.to_numpy(dtype=np.float64, na_value=np.nan, copy=True), problems
    numbers = np.empty(part.shape, dtype=np.float64)
    fast = [j for j in range(part.shape[1]) if j not in set(slow)]
    numbers[:, fast] = part.iloc[:, fast].to_numpy(dtype=np.float64, na_value=np.nan)
    for j in slow:
        numbers[:, j], found = to_numbers(part.iloc[:, j])
        problems += found
    return numbers, problems


def _unseen(column: str, texts: np.ndarray, known: list[str], ids: pd.Index) -> list[Problem]:
    rows = np.flatnonzero(~pd.isna(texts) & ~np.isin(texts.astype(str), known))
    reasons = [f"'{texts[r]:.60}' was not among the training values: read as missing" for r in rows[:20]]
    return named(column, ids, rows, reasons)


def _distinct_rows(numbers: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[rows] the number of each distinct row (-1 = nothing known), and where each distinct row first stands."""
    numbers = np.ascontiguousarray(numbers, dtype=np.float32) + np.float32(0)  # -0.0 equals 0.0
    numbers[np.isnan(numbers)] = np.nan
    known = (~np.isnan(numbers)).any(1) | (codes > 0).any(1)
    rows = np.flatnonzero(known)
    keys = np.empty(len(rows), dtype=object)
    keys[:] = [numbers[row].tobytes() + codes[row].tobytes() for row in rows]
    found, _ = pd.factorize(keys)
    index = np.full(len(numbers), -1, dtype=np.int64)
    index[rows] = found
    first = np.full(int(found.max(initial=-1)) + 1, -1, dtype=np.int64)
    first[found[::-1]] = rows[::-1]
    return index, first
