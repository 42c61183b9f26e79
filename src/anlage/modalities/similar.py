"""From pairs of similar values to groups of rows and to the nearest row: what all modalities share."""

from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from anlage.modalities.protocol import Nearest

CHANCE = 1e-3
"""Pairs as good that chance may give a row: the limit that BLAST and its kin set on E-values."""


def best_share(n: int) -> float:
    """The share of random pairs with one of ``n`` rows that copies may make up: four copies of each row, at least 2 %.
    What chance gives is judged by how far random pairs reach without that share."""
    return min(0.25, max(0.02, 4 / n))


class Similar(NamedTuple):
    """Pairs of distinct values that are similar, by their numbers; all arrays [pairs]."""

    query: np.ndarray
    target: np.ndarray
    similarity: np.ndarray

    @classmethod
    def none(cls) -> "Similar":
        """No pairs."""
        return cls(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0))

    def both_ways(self) -> "Similar":
        """Each pair from either end."""
        ends = (self.query, self.target)
        return Similar(np.concatenate(ends), np.concatenate(ends[::-1]), np.tile(self.similarity, 2))


def grouped(index: np.ndarray, pairs: Similar) -> np.ndarray:
    """[rows] int64: the group of each row by single linkage, numbered in the order of first rows. ``index`` [rows] is
    the number of each row's value; -1 = missing, and stays so."""
    n = int(index.max(initial=-1)) + 1
    links = coo_matrix((np.ones(len(pairs.query), dtype=bool), (pairs.query, pairs.target)), shape=(n, n))
    label = np.append(connected_components(links, directed=False)[1] if n else [], -1).astype(np.int64)[index]
    known = label >= 0
    _, first, inverse = np.unique(label[known], return_index=True, return_inverse=True)
    label[known] = np.argsort(np.argsort(first))[inverse]
    return label


def nearest(asked: np.ndarray, there: np.ndarray, pairs: Similar) -> Nearest:
    """For each row the most similar row of the reference, the first of equals. ``asked`` and ``there`` [rows] are the
    numbers of the rows' values, -1 = missing; equal values have similarity 1, others that of their ``pairs``."""
    n = max(asked.max(initial=-1), there.max(initial=-1)) + 1
    known, first = np.unique(there, return_index=True)
    row = np.full(n + 1, -1, dtype=np.int64)  # the last stands for missing values: number -1
    row[known[known >= 0]] = first[known >= 0]
    best = np.where(row >= 0, 1.0, np.nan)
    open_pair = (row[pairs.query] < 0) & (row[pairs.target] >= 0)
    query, target, similarity = (values[open_pair] for values in pairs)
    order = np.lexsort((row[target], -similarity, query))
    some, place = np.unique(query[order], return_index=True)
    best[some], row[some] = similarity[order][place], row[target[order][place]]
    return Nearest(row[asked], best[asked])
