"""The search that needs no program: shared k-mers propose pairs, exact alignment decides.

Measured on planted homologues it finds at least 95 % of the pairs at 40 % identity and more; MMseqs2 finds more of the
remote ones and is faster on large sets.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.sparse as sp

from anlage.modalities.homology.alignment import LONGEST, Aligner
from anlage.modalities.homology.hits import Hits, Kind, Threshold
from anlage.modalities.homology.letters import complement

_LETTERS = {"protein": "ACDEFGHIKLMNPQRSTVWY", "nucleotide": "ACGT"}
_WORD = {"protein": 3, "nucleotide": 8}
"""Letters of the k-mers that propose pairs: short, so that they survive 60 % (proteins) and 20 % of changes."""
_COPY_WORD = {"protein": 10, "nucleotide": 14}
_COPY_WORDS = 20
"""k-mers of a sequence, those of the smallest hashes, that propose near-copies (Steinegger & Söding 2018, Linclust)."""
_BEST = 500
"""Targets of a query, those that share most k-mers, that are aligned in any case where they share more than chance."""
_EXCESS, _STRONG = 1.0, 3.0
"""Shared k-mers beyond those expected, in standard deviations: to be among the best, and to be aligned beyond them."""
_BLOCK = 2**24
"""Cells of the matrix of shared k-mers that are looked at at once."""


def seconds(asked: int, residues: int, kind: Kind) -> float:
    """About how long one core searches ``asked`` letters in ``residues``, for the line that says so."""
    return asked * (2e-5 + residues * 1.2e-12) if kind == "protein" else asked * residues * 2e-11


class Sketches:
    """Implements :class:`anlage.modalities.homology.hits.Engine`."""

    limit = _BEST

    def __init__(self, sequences: list[str], kind: Kind, threads: int):
        self.lengths = np.array([len(s) for s in sequences], dtype=np.int64)
        self._aligner = Aligner(sequences, kind)
        self._kind, self._threads = kind, threads
        texts = [s[:LONGEST] for s in sequences]
        self._strands = [texts] if kind == "protein" else [texts, [complement(s) for s in texts]]
        self._words = [_words(strand, kind) for strand in self._strands]
        self._chance = _chance(texts, kind)

    def search(self, queries: np.ndarray, targets: np.ndarray, least: Threshold, limit: int) -> Hits:
        """See :class:`Engine`."""
        there = self._words[0][targets].T.tocsr()
        sizes = np.asarray(there.sum(axis=0)).ravel()
        step = max(1, _BLOCK // max(1, len(targets)))

        def proposed() -> Iterable[tuple[int, str, np.ndarray]]:
            for strand, words in zip(self._strands, self._words, strict=True):
                for begin in range(0, len(queries), step):
                    some = queries[begin : begin + step]
                    shared = (words[some] @ there).toarray()
                    expected = np.outer(words[some] @ self._chance, sizes)
                    shared -= expected
                    shared /= np.sqrt(expected + 0.5)
                    for query, excess in zip(some.tolist(), shared, strict=True):
                        yield query, strand[query], self._promising(query, targets, excess, least, limit)

        return self._align(proposed(), least)

    def _promising(
        self, query: int, targets: np.ndarray, excess: np.ndarray, least: Threshold, limit: int
    ) -> np.ndarray:
        """The targets of one query that are worth an alignment."""
        fits = (excess > _EXCESS) & (targets != query)
        if least.covers == "both":
            one, other = self.lengths[query], self.lengths[targets]
            fits &= np.minimum(one, other) >= least.coverage * np.maximum(one, other)
        here = np.flatnonzero(fits)
        if len(here) > _BEST:
            here = here[np.argsort(-excess[here], kind="stable")]
            here = here[: max(_BEST, min(limit, int((excess[here] > _STRONG).sum())))]
        return targets[here]

    def copies(self, least: Threshold) -> Hits:
        """See :class:`Engine`. The first sequence with a k-mer stands for all others with it."""
        k = _COPY_WORD[self._kind]
        codes, owner = _codes(self._strands[0], self._kind, k)
        hashed = codes * np.uint64(0x9E3779B97F4A7C15)
        hashed ^= hashed >> np.uint64(32)
        order = np.lexsort((hashed, owner))
        rank = np.arange(len(order)) - np.searchsorted(owner[order], owner[order])
        order = order[rank < _COPY_WORDS]
        order = order[np.lexsort((owner[order], hashed[order]))]
        first = np.flatnonzero(np.diff(hashed[order], prepend=~hashed[order[:1]]) != 0)
        centre = np.repeat(owner[order][first], np.diff(np.append(first, len(order))))
        pairs = np.unique(np.stack([centre, owner[order]], axis=1)[centre != owner[order]], axis=0)
        starts = np.flatnonzero(np.diff(pairs[:, 0], prepend=-1, append=-1))
        members = [pairs[a:b, 1] for a, b in zip(starts[:-1], starts[1:], strict=True)]
        centres = pairs[starts[:-1], 0].tolist()
        return self._align(((c, self._strands[0][c], m) for c, m in zip(centres, members, strict=True)), least)

    def _align(self, proposed: Iterable[tuple[int, str, np.ndarray]], least: Threshold) -> Hits:
        """The hits among the proposed pairs; alignments leave the interpreter's lock, so threads share them."""
        work: Callable[[tuple[int, str, np.ndarray]], Hits] = lambda job: self._aligner.align(*job, least)  # noqa: E731
        jobs = (job for job in proposed if len(job[2]))
        if self._threads == 1:
            return Hits.join([work(job) for job in jobs])
        with ThreadPoolExecutor(self._threads) as pool:
            return Hits.join(list(pool.map(work, jobs)))


def _codes(texts: list[str], kind: Kind, k: int) -> tuple[np.ndarray, np.ndarray]:
    """[k-mers] the number of every k-mer of plain letters as uint64, and the number of its sequence."""
    letters = _LETTERS[kind]
    table = np.full(256, 255, dtype=np.uint8)
    table[np.frombuffer(letters.encode(), dtype=np.uint8)] = np.arange(len(letters))
    flat = table[np.frombuffer(("".join(f"{t}\n" for t in texts)).encode(), dtype=np.uint8)]
    owner = np.repeat(np.arange(len(texts)), [len(t) + 1 for t in texts])
    if len(flat) < k:
        return np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.int64)
    size = len(flat) - k + 1
    codes, plain = np.zeros(size, dtype=np.uint64), np.ones(size, dtype=bool)
    for i in range(k):
        codes = codes * np.uint64(len(letters)) + flat[i : i + size]
        plain &= flat[i : i + size] != 255
    return codes[plain], owner[:size][plain]


def _words(texts: list[str], kind: Kind) -> sp.csr_matrix:
    """[sequences, k-mers] float32: 1 where a sequence holds the k-mer."""
    codes, owner = _codes(texts, kind, _WORD[kind])
    shape = (len(texts), len(_LETTERS[kind]) ** _WORD[kind])
    found = sp.csr_matrix((np.ones(len(codes), dtype=np.float32), (owner, codes.astype(np.int64))), shape=shape)
    found.data[:] = 1
    return found


def _chance(texts: list[str], kind: Kind) -> np.ndarray:
    """[k-mers] the share of each among k-mers of letters drawn at random, each as often as in the collection. (The
    share of the k-mers themselves would take what a family shares for chance.)"""
    counts = np.array([sum(text.count(letter) for text in texts) for letter in _LETTERS[kind]], dtype=np.float32)
    share = single = (counts + 1) / (counts + 1).sum()
    for _ in range(_WORD[kind] - 1):
        share = np.outer(share, single).ravel()
    return share
