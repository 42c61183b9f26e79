"""Exact nearest neighbours by cosine, over files of vectors larger than memory."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from anlage.embedding.vectors_file import VectorsFile
from anlage.errors import AnlageError, require

QUERIES = 4096
"""Queries that are compared together: the file of vectors is read once for each such block."""
NUMBERS = 2**24
"""Similarities, and numbers of vectors, that are held in memory at once."""


def search_files(
    vectors: str | Path, queries: str | Path, k: int, say: Callable[[str], None]
) -> Iterator[pd.DataFrame]:
    """For each query, in the order of its file, its ``k`` nearest vectors: frames with the query's id as index and the
    columns ``hit`` (id), ``rank`` (from 1) and ``cosine``. Equally near ones stand in the order of their file. Vectors
    without direction (all zero, or not finite) are no hits and have none. AnlageError where a file does not fit."""
    require(k >= 1, "k", k, "1 or more")
    store, asked = VectorsFile(vectors), VectorsFile(queries)
    if store.width != asked.width:
        raise AnlageError(
            f"{vectors} holds vectors of {store.width} numbers, {queries} of {asked.width}: take both from one model"
        )
    lost = 0
    for block in asked.blocks(min(QUERIES, max(1, NUMBERS // store.width))):
        unit, usable = _directions(block.vectors)
        lost += int((~usable).sum())
        ids, cosines = _nearest(store, unit[usable], k)
        found = (cosines > -np.inf).ravel()
        index = pd.Index(np.repeat(block.ids[usable], cosines.shape[1])[found], dtype=object, name="id")
        ranks = np.tile(np.arange(1, cosines.shape[1] + 1), len(cosines))[found]
        yield pd.DataFrame({"hit": ids.ravel()[found], "rank": ranks, "cosine": cosines.ravel()[found]}, index=index)
    if lost:
        say(f"{lost:,} queries have no direction (all zero, or not finite): they have no hits")


def _nearest(
    store: VectorsFile, queries: Float[np.ndarray, "queries width"], k: int
) -> tuple[np.ndarray, Float[np.ndarray, "queries k"]]:
    """Ids and cosines of the best, best first; -inf where the file holds fewer than k."""
    k = min(k, store.rows)
    best = np.full((len(queries), k), -np.inf, dtype=np.float32)
    ids = np.full((len(queries), k), None, dtype=object)
    rows = max(1, NUMBERS // max(len(queries), store.width))
    for block in store.blocks(rows):
        unit, usable = _directions(block.vectors)
        cosines = queries @ unit.T
        cosines[:, ~usable] = -np.inf
        which, where = _better(cosines, best)
        _merge(best, ids, which, cosines[which, where], block.ids[where])
    return ids, best


def _better(
    cosines: Float[np.ndarray, "queries rows"], best: Float[np.ndarray, "queries k"]
) -> tuple[Int[np.ndarray, " found"], Int[np.ndarray, " found"]]:
    """(query, row) of all that could be among the best: those that beat the worst of them so far, and the k-th best of
    their own block. An equal one that comes later does not."""
    k = best.shape[1]
    bar = best[:, -1]
    beaten = cosines > bar[:, None]
    crowded = np.flatnonzero(beaten.sum(1) > 4 * k)
    if len(crowded):
        floor = -np.partition(-cosines[crowded], k - 1, axis=1)[:, k - 1]
        beaten[crowded] &= cosines[crowded] >= floor[:, None]
    which, where = np.nonzero(beaten)
    return which, where


def _merge(best: np.ndarray, ids: np.ndarray, which: np.ndarray, cosines: np.ndarray, names: np.ndarray) -> None:
    """Put what was found into ``best`` and ``ids``, in place. ``which`` is ascending."""
    k = best.shape[1]
    changed, first = np.unique(which, return_index=True)
    old = np.repeat(changed, k)
    query = np.concatenate([old, which])
    value = np.concatenate([best[changed].ravel(), cosines])
    name = np.concatenate([ids[changed].ravel(), names])
    order = np.lexsort((-value, query))  # stable: of equals the earlier one stays before
    starts = np.searchsorted(query[order], changed)
    kept = order[starts[:, None] + np.arange(k)]
    best[changed], ids[changed] = value[kept], name[kept]


def _directions(vectors: np.ndarray) -> tuple[Float[np.ndarray, "rows width"], np.ndarray]:
    """float32 vectors of length 1, and which rows have a direction."""
    exact = vectors.astype(np.float32)
    lengths = np.sqrt(np.einsum("ij,ij->i", exact, exact, dtype=np.float64))
    usable = np.isfinite(lengths) & (lengths > 0)
    return (exact / np.where(usable, lengths, 1)[:, None]).astype(np.float32), usable
