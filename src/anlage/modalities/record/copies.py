"""Near copies of records: the same patient entered twice, with rounded numbers or a value or two changed.

Two rows agree in a column where their categories are equal, or their numbers differ by at most 1 % of the column's
interquartile range. Their similarity is the share of the columns in which they agree, of those that either one knows.
That alone would join strangers wherever columns are few or coarse. So agreement is weighed as in record linkage
(Fellegi & Sunter 1969): by the bits of information in sharing that value, -log2 of the share of rows that have it,
summed over columns, less what the most correlated earlier column has told already. A pair counts only where random
pairs make one expect at most 0.001 rows that share as much.

Pairs are proposed by blocking: rows that share coarse values of some columns, drawn anew a few dozen times, and within
large blocks those that stand side by side in order (Hernández & Stolfo 1995, the sorted neighbourhood).
"""

import numpy as np
import pandas as pd
from scipy.special import ndtri

from anlage.modalities.similar import CHANCE, Similar, best_share

_TOLERANCE, _COARSE = 0.01, 0.25
"""Shares of the interquartile range within which numbers agree, and that one bin of coarse values spans."""
_CELLS = 20_000_000
"""Cells that are looked at: of wide and long tables, some of the columns stand for all."""
_ROUNDS, _NEIGHBOURS = 30, 8
_SPARE = 4.0
"""Bits by which the columns of a block tell more than one row from all others."""
_RANDOM, _FEWEST = 3000, 100
"""Random pairs that show what chance gives, and how many of them there must be."""
_RANKED, _BLOCK = 2000, 2**22


def copies(numbers: np.ndarray, codes: np.ndarray, least: float) -> Similar:
    """Pairs of rows, each once, that agree in a share of ``least`` of the columns and beyond chance.

    Args:
        numbers: [rows, numbers] float, NaN = missing.
        codes: [rows, categories] int, 0 = missing.
    """
    table = _Table(numbers, codes)
    if len(numbers) < 2 or table.entropy.sum() < np.log2(len(numbers)):
        return Similar.none()
    limit = table.chance()
    one, other = table.proposed()
    share, bits = table.compare(one, other)
    holds = (share >= least - 1e-9) & (bits >= limit)
    return Similar(one[holds], other[holds], share[holds])


class _Table:
    """Rows as numbers alone: categories are their codes, which agree only where they are equal."""

    def __init__(self, numbers: np.ndarray, codes: np.ndarray):
        values = np.hstack([numbers, np.where(codes > 0, codes, np.nan)])
        numeric = np.arange(values.shape[1]) < numbers.shape[1]
        kept = np.arange(values.shape[1])[~np.isnan(values).all(axis=0)]
        if len(kept) > (most := max(1, _CELLS // max(1, len(values)))):
            kept = kept[np.linspace(0, len(kept) - 1, most).astype(np.int64)]
        self._values = values[:, kept]
        self._spread = np.where(numeric[kept], _spread(self._values), 0.0)
        size = np.nanmedian(np.abs(self._values), axis=0) if len(values) else self._spread
        self._tolerance = np.where(numeric[kept], np.maximum(_TOLERANCE * self._spread, 1e-6 * size), 0.25)
        self._bits = np.empty(self._values.shape, dtype=np.float32)
        shared = _shared(self._values)
        self.entropy = np.empty(len(kept))
        """[columns] bits of the coarse values"""
        for j in range(len(kept)):
            self._bits[:, j] = np.maximum(_surprise(self._values[:, j], self._tolerance[j]) - shared[j], 0)
            share = np.unique(self._coarse(j, 0.5), return_counts=True)[1] / len(values)
            self.entropy[j] = -(share * np.log2(share)).sum()

    def _coarse(self, column: int, offset: float) -> np.ndarray:
        """[rows] the bin of each value, where bins begin at a share of their width; missing values have their own."""
        step = _COARSE * self._spread[column] or 4 * self._tolerance[column] or 1.0
        return np.nan_to_num(np.floor(self._values[:, column] / step + offset), nan=-(2.0**52))

    def compare(self, one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[pairs] the share of columns that agree, and the bits of what is shared."""
        share, bits = np.zeros(len(one)), np.zeros(len(one))
        step = max(1, _BLOCK // self._values.shape[1])
        for begin in range(0, len(one), step):
            some = slice(begin, begin + step)
            left, right = self._values[one[some]], self._values[other[some]]
            agree = np.abs(left - right) <= self._tolerance
            known = ~(np.isnan(left) & np.isnan(right))
            share[some] = agree.sum(axis=1) / np.maximum(known.sum(axis=1), 1)
            rarer = np.minimum(self._bits[one[some]], self._bits[other[some]])
            bits[some] = np.where(agree, rarer, 0).sum(axis=1)
        return share, bits

    def chance(self) -> float:
        """The bits that 0.001 rows are expected to share with a row: at least those that tell one row from all, more
        where columns depend on one another, as the spread over random pairs shows (normal above the median, without the
        best)."""
        n = len(self._values)
        wanted = CHANCE / n
        random = np.random.default_rng(0)
        pairs = random.integers(0, n, (2, _RANDOM))
        pairs = np.unique(np.sort(pairs[:, pairs[0] != pairs[1]], axis=0), axis=1)
        least = -np.log2(wanted)
        if pairs.shape[1] < _FEWEST:
            return float(least)
        share = best_share(n)
        middle, high = np.quantile(self.compare(*pairs)[1], [0.5, 1 - share])
        return float(max(least, middle + (high - middle) * ndtri(wanted) / ndtri(share)))

    def proposed(self) -> tuple[np.ndarray, np.ndarray]:
        """[pairs] the smaller and the larger row of those that share a block, each pair once."""
        n = len(self._values)
        random = np.random.default_rng(0)
        found = np.zeros(0, dtype=np.int64)
        telling = np.flatnonzero(self.entropy > 0)
        for _ in range(_ROUNDS):
            columns = random.permutation(telling)
            enough = np.searchsorted(np.cumsum(self.entropy[columns]), np.log2(n) + _SPARE) + 1
            key = np.zeros(n, dtype=np.uint64)
            for column in columns[:enough].tolist():
                coarse = self._coarse(column, random.random()).astype(np.int64).astype(np.uint64)
                key = (key ^ coarse) * np.uint64(0x9E3779B97F4A7C15)
                key ^= key >> np.uint64(29)
            order = np.lexsort((self._values[:, columns[enough % len(columns)]], key))
            for apart in range(1, min(_NEIGHBOURS + 1, n)):
                equal = np.flatnonzero(key[order[apart:]] == key[order[:-apart]])
                ends = np.sort(np.stack([order[equal], order[equal + apart]]), axis=0)
                found = np.union1d(found, ends[0] * n + ends[1])
        return np.divmod(found, n)


def _spread(values: np.ndarray) -> np.ndarray:
    """[columns] interquartile range; where it is 0, the range of the middle 90 %, then of all."""
    if not len(values):
        return np.zeros(values.shape[1])
    low, first, third, high = np.nanquantile(values, [0.05, 0.25, 0.75, 0.95], axis=0)
    whole = np.nanmax(values, axis=0) - np.nanmin(values, axis=0)
    spread = np.where(third > first, third - first, np.where(high > low, high - low, whole))
    return np.where(np.isfinite(spread), spread, 0.0)


def _shared(values: np.ndarray) -> np.ndarray:
    """[columns] the bits that a column shares with the earlier one that is most correlated with it: -log2(1 - r^2) / 2,
    as between normal variables, with r by the ranks of some rows, less three standard errors."""
    some = values[:: max(1, len(values) // _RANKED)]
    ranks = pd.DataFrame(some).rank().to_numpy()
    ranks -= np.nanmean(ranks, axis=0)
    ranks = np.nan_to_num(ranks)
    ranks /= np.maximum(np.linalg.norm(ranks, axis=0), 1e-9)
    most = np.zeros(values.shape[1])
    for begin in range(0, len(most), 512):
        end = min(begin + 512, len(most))
        with_earlier = np.abs(ranks[:, begin:end].T @ ranks[:, :end])
        most[begin:end] = np.tril(with_earlier, begin - 1).max(axis=1, initial=0)
    z = np.arctanh(np.minimum(most, 1 - 1e-9)) - 3 / np.sqrt(max(len(some) - 3, 0.1))
    return -np.log2(1 - np.tanh(np.maximum(z, 0)) ** 2) / 2


def _surprise(values: np.ndarray, tolerance: float) -> np.ndarray:
    """[rows] -log2 of the share of the known values that agree with each one, at most the mean of the column: rare
    values tend to come together (all that a laboratory did not measure). 0 where it is missing."""
    known = ~np.isnan(values)
    ordered = np.sort(values[known])
    agree = np.searchsorted(ordered, values[known] + tolerance, "right")
    agree -= np.searchsorted(ordered, values[known] - tolerance, "left")
    out = np.zeros(len(values))
    bits = -np.log2(np.maximum(agree, 1) / max(1, len(ordered)))
    out[known] = np.minimum(bits, bits.mean() if len(bits) else 0)
    return out
