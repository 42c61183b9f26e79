"""What a search finds, and when it counts as similar: the one rule that every search tool is held to."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np

Kind = Literal["protein", "nucleotide"]
Covers = Literal["both", "either"]
Say = Callable[[str], None]

CHANCE = 1e-3
"""Matches as good as a pair's that chance is expected to give at most: BLAST's E-value."""


@dataclass
class Hits:
    """Local alignments of a query with a target, all arrays [hits]; a pair may stand here more than once."""

    query: np.ndarray
    target: np.ndarray
    identity: np.ndarray
    """Equal letters / columns of the alignment, gaps included."""
    query_cover: np.ndarray
    """The share of the query between the alignment's first and last letter."""
    target_cover: np.ndarray
    bits: np.ndarray
    """Score in bits (Karlin & Altschul 1990)."""

    def __len__(self) -> int:
        return len(self.query)

    def __getitem__(self, which: np.ndarray) -> "Hits":
        return Hits(**{name: values[which] for name, values in vars(self).items()})

    @classmethod
    def join(cls, many: "list[Hits]") -> "Hits":
        """One after the other."""
        empty = cls(*(np.zeros(0, dtype=t) for t in (np.int64, np.int64, float, float, float, float)))
        return cls(**{name: np.concatenate([getattr(h, name) for h in [empty, *many]]) for name in vars(empty)})


@dataclass(frozen=True)
class Threshold:
    """From where on two sequences are similar: identity, coverage, and better than chance.

    The last matters for short sequences: 30 % of 40 residues agree by chance in unrelated proteins (Rost 1999), so
    a pair also needs an E-value, length of the shorter × ``residues`` × 2^-bits, of at most 0.001.
    """

    identity: float
    coverage: float
    covers: Covers
    """Of which sequence the alignment must span ``coverage``: of both, or of either (the shorter one is enough)."""
    residues: int
    """Letters of the whole collection that is searched: what is rare in ten sequences is common in a million."""

    def holds(self, hits: Hits, lengths: np.ndarray) -> np.ndarray:
        """[hits] bool: which reach the threshold. ``lengths`` [sequences] are of what query and target count."""
        least = np.minimum if self.covers == "both" else np.maximum
        covered = least(hits.query_cover, hits.target_cover) >= self.coverage - 1e-6
        shorter = np.minimum(lengths[hits.query], lengths[hits.target])
        rare = hits.bits >= np.log2(shorter * float(self.residues) / CHANCE)
        return covered & rare & (hits.identity >= self.identity - 1e-6)

    def loosened(self, by: float) -> "Threshold":
        """Lower in identity and coverage."""
        return replace(self, identity=max(0.0, self.identity - by), coverage=max(0.0, self.coverage - by))


class Engine(Protocol):
    """A search tool over one list of distinct sequences, which are named by their numbers."""

    lengths: np.ndarray
    """[sequences] letters"""
    limit: int
    """Targets of each query that a quick search looks at."""

    def search(self, queries: np.ndarray, targets: np.ndarray, least: Threshold, limit: int) -> Hits:
        """Hits that reach the threshold, from the ``limit`` most promising targets of each query; never a sequence
        with itself. A pair of two queries that are also targets comes once or twice."""

    def copies(self, least: Threshold) -> Hits:
        """Pairs that reach a high threshold, found in linear time: not all, but most sequences of a large set of
        near-copies are the target of a query that stands for many."""
