"""Groups by single linkage: two sequences above the threshold are always in one group, however long the chain.

Searching all against all is quadratic in large families, and a search with a limit on the targets of a query drops
pairs there without a word. So near-copies are first put behind one head; heads are searched with a limit, and a query
whose list may have been cut is searched again, outside of the group that it has reached by then (first where no such
group is, then in the other ones), until no list is cut: the pairs never looked at lie within one group.
"""

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from anlage.modalities.homology.hits import Engine, Hits, Threshold

_COPY = 0.95
"""Identity and coverage from which one sequence may stand for another in the search."""


def groups(engine: Engine, wanted: Threshold, known: Hits) -> np.ndarray:
    """[sequences] int64: the number of each sequence's group under ``wanted``, whose ``covers`` is "both". ``known``
    are pairs that reach it whatever the search says."""
    n = len(engine.lengths)
    copy = max(_COPY, wanted.identity)
    same = Threshold(copy, max(_COPY, wanted.coverage), "both", wanted.residues)
    head = _heads(engine.copies(same), n)
    heads = np.flatnonzero(head == np.arange(n))
    links = _Links(engine, wanted, edges=[np.stack([np.arange(n), head]), np.stack([known.query, known.target])])
    # Sequences behind two heads may be that much more alike than the heads are.
    narrow = links.connect(heads, heads, wanted.loosened(2 * (1 - _COPY)))
    behind = np.bincount(head, minlength=n) > 1
    label = links.labels()
    open_pair = (label[narrow.query] != label[narrow.target]) & (behind[narrow.query] | behind[narrow.target])
    if open_pair.any():
        left = np.flatnonzero(np.isin(head, narrow.query[open_pair]))
        right = np.flatnonzero(np.isin(head, narrow.target[open_pair]))
        links.connect(left, right, wanted)
    return links.labels()


def _heads(copies: Hits, n: int) -> np.ndarray:
    """[sequences] the sequence that stands for each: a direct near-copy of it, and one that stands for itself."""
    head = np.arange(n)
    order = np.lexsort((copies.target, copies.query))
    for query, target in zip(copies.query[order].tolist(), copies.target[order].tolist(), strict=True):
        if head[query] == query and head[target] == target and query < target:
            head[target] = query
    return head


class _Links:
    """Pairs found so far, and the groups that they make."""

    def __init__(self, engine: Engine, wanted: Threshold, edges: list[np.ndarray]):
        self._engine, self._wanted, self._edges = engine, wanted, edges

    def labels(self) -> np.ndarray:
        """[sequences] the group of each."""
        ends = np.concatenate(self._edges, axis=1)
        n = len(self._engine.lengths)
        graph = coo_matrix((np.ones(ends.shape[1], dtype=bool), (ends[0], ends[1])), shape=(n, n))
        return connected_components(graph, directed=False)[1].astype(np.int64)

    def connect(self, queries: np.ndarray, targets: np.ndarray, least: Threshold) -> Hits:
        """Link all pairs of a query with a target that reach the wanted threshold; returns the other hits that reach
        ``least``."""
        narrow: list[Hits] = []
        cut = self._look(queries, targets, least, narrow)
        while len(cut):
            label = self.labels()
            crowded = np.isin(label[targets], label[cut])
            again = [self._look(cut, targets[~crowded], least, narrow)]
            for group in np.unique(label[cut]).tolist():
                others = targets[crowded & (label[targets] != group)]
                again.append(self._look(cut[label[cut] == group], others, least, narrow))
            cut = np.unique(np.concatenate(again))  # each has found half a list of links beyond its group, or is out
        return Hits.join(narrow)

    def _look(self, queries: np.ndarray, targets: np.ndarray, least: Threshold, narrow: list[Hits]) -> np.ndarray:
        """One search; returns the queries whose lists may have been cut: half of their places led to a link, so that
        what was left out may be as good. (A list that is full of chance hits is not: the best stand first.)"""
        if not len(queries) or not len(targets):
            return queries[:0]
        limit = self._engine.limit
        hits = self._engine.search(queries, targets, least, limit)
        holds = self._wanted.holds(hits, self._engine.lengths)
        self._edges.append(np.stack([hits.query[holds], hits.target[holds]]))
        narrow.append(hits[~holds])
        links = np.bincount(hits.query[holds], minlength=len(self._engine.lengths))
        return queries[links[queries] >= max(1, limit // 2)]
