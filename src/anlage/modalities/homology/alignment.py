"""Exact local alignment of one sequence with many (Smith-Waterman, affine gaps), by pyopal."""

import math
from typing import Any

import numpy as np

from anlage.errors import AnlageError
from anlage.modalities.homology.hits import Hits, Kind, Threshold

LONGEST = 5_000
"""Letters of a sequence that are aligned: the way back through 5,000 × 5,000 cells takes 300 MB."""

_STATISTICS = {"protein": (0.267, 0.041), "nucleotide": (0.625, 0.41)}
"""Lambda and K of gapped local alignment under the scores below, from BLAST's tables (blast_stat.c)."""


class Aligner:
    """Scores and alignments under the scores of MMseqs2 and BLAST: BLOSUM62 with gaps of 11 + 1 a residue for
    proteins, +2 / -3 with gaps of 5 + 2 a base for nucleotides.

    Raises:
        AnlageError: pyopal is not installed.
    """

    def __init__(self, sequences: list[str], kind: Kind):
        try:
            import pyopal
            from scoring_matrices import ScoringMatrix
        except ImportError as error:
            raise AnlageError("comparing sequences needs MMseqs2 or pyopal: pip install 'anlage[homology]'") from error
        self._aligner: Any
        if kind == "protein":
            self._aligner = pyopal.Aligner("BLOSUM62", gap_open=12, gap_extend=1)
        else:
            scores = ScoringMatrix(_BASE_SCORES, alphabet="ACGTN")
            self._aligner = pyopal.Aligner(scores, gap_open=7, gap_extend=2)
        self._lambda, self._k = _STATISTICS[kind]
        self._sequences = [s[:LONGEST] for s in sequences]
        self._database: Any = pyopal.Database(self._sequences, alphabet=self._aligner.alphabet)
        self._lengths = np.array([len(s) for s in self._sequences], dtype=np.int64)

    def align(self, query: int, text: str, targets: np.ndarray, least: Threshold) -> Hits:
        """Sequence ``text``, which counts as number ``query``, with the targets. Alignments are traced only where the
        score alone does not rule the pair out."""
        scored = self._aligner.align(text[:LONGEST], self._database.extract(targets.tolist()), mode="score")
        raw = np.array([r.score for r in scored], dtype=float)
        bits = (self._lambda * raw - math.log(self._k)) / math.log(2)
        certain = np.ones(len(targets))
        hits = Hits(np.full(len(targets), query), targets, certain, certain, certain, bits)
        hits = hits[least.holds(hits, self._lengths)]
        if not len(hits):
            return hits
        found = self._aligner.align(text[:LONGEST], self._database.extract(hits.target.tolist()), mode="full")
        columns = [r.alignment for r in found]
        hits.identity = np.array([c.count("M") / len(c) for c in columns])
        hits.query_cover = np.array([r.query_end + 1 - r.query_start for r in found]) / self._lengths[query]
        hits.target_cover = np.array([r.target_end + 1 - r.target_start for r in found]) / self._lengths[hits.target]
        return hits[least.holds(hits, self._lengths)]


_BASE_SCORES = [[2.0 if a == b else -3.0 for b in range(4)] + [-3.0] for a in range(4)] + [[-3.0] * 5]
