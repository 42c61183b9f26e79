"""Which biological sequences are similar: pairs, groups for splits, and what to keep out of a pretraining corpus.

**Identity** is that of a local alignment (BLOSUM62, affine gaps): equal letters over its columns. **Coverage** is the
share of a sequence that the alignment spans. A pair must also be better than chance (E-value at most 0.001 in the
collection), so that in those of 45 residues it takes about half of them: for so short ones 30 % means nothing (Rost
1999, Protein Eng. 12:85). Below about 15 residues only those are similar that are equal but for one letter.

For groups the alignment must cover **both** sequences (MMseqs2's ``--cov-mode 0``, as in UniRef and UniClust): else
chains of shared domains would join most of a proteome. To keep evaluation rows out of a corpus it is enough that it
covers **either**: a fragment of an evaluation protein, or a longer protein that holds all of it, shows a model the
answer as well. What shares a mere domain with an evaluation row stays in; ``coverage=0`` takes that out, too.

Nucleotides are compared on both strands.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from typing import Literal, NamedTuple

import numpy as np

from anlage.errors import AnlageError
from anlage.modalities import similar
from anlage.modalities.homology import letters, linkage, mmseqs, short, sketches
from anlage.modalities.homology.hits import Covers, Engine, Hits, Kind, Say, Threshold
from anlage.modalities.protocol import Nearest

Tool = Literal["auto", "mmseqs", "own"]
USUAL = {"protein": 0.3, "nucleotide": 0.8}
"""The field's thresholds of identity for sequences that one may learn from and test on."""
_MOST_PAIRS = 50_000_000
_FEW, _FEW_LETTERS = 200, 100_000
"""So few sequences are compared in 0.4 s at most, in which MMseqs2 has not started on proteins (2 s)."""
_INSTALL = "pip install 'anlage[homology]'"


class Pairs(NamedTuple):
    """Similar sequences of one set."""

    rows: np.ndarray
    """[pairs, 2] int64, the smaller row first, in rising order"""
    identity: np.ndarray
    """[pairs] float64, 1 for equal sequences"""


def similar_pairs(
    sequences: Sequence[str],
    kind: Kind,
    identity: float | None = None,
    coverage: float = 0.8,
    *,
    covers: Covers = "both",
    tool: Tool = "auto",
    say: Say = print,
) -> Pairs:
    """All pairs of rows at or above the thresholds. Their number grows with the square of a family: for groups of
    large families, :func:`similarity_groups` needs no pairs.

    Args:
        sequences: Texts in any case; gaps and stops at the end do not count. Empty ones are similar to none.
        kind: "protein" or "nucleotide" (DNA and RNA).
        identity: From 0 to 1. Default: 0.3 for proteins, 0.8 for nucleotides.
        coverage: From 0 to 1, of ``covers``: "both" sequences or "either".
        tool: "mmseqs", "own", or "auto": MMseqs2 where there is one and it is worth its start.
        say: Gets a line on what is done by which tool, and how long it may take.

    Raises:
        AnlageError: an item that is no text, a threshold out of range, a tool that is missing or fails, or more than
            50 million pairs.
    """
    wanted, distinct, (index,) = _prepare([sequences], kind, identity, coverage, covers)
    equal = _equal_rows(index)
    rows, values = [equal], [np.ones(len(equal))]
    if len(distinct) > 1:
        with _engine(distinct, wanted.residues, kind, tool, wanted, say) as engine:
            everything = np.arange(len(distinct))
            hits = engine.search(everything, everything, wanted, len(distinct))
        hits = Hits.join([hits, short.one_apart(distinct, kind, wanted)])
        ends = np.sort(np.stack([hits.query, hits.target], axis=1), axis=1)
        order = np.lexsort((-hits.identity, ends[:, 1], ends[:, 0]))
        ends, found = ends[order], hits.identity[order]
        first = np.flatnonzero((np.diff(ends, axis=0, prepend=-1) != 0).any(axis=1))
        expanded, times = _rows_of(ends[first], index)
        rows.append(expanded)
        values.append(np.repeat(found[first], times))
    joined, identities = np.sort(np.concatenate(rows), axis=1), np.concatenate(values)
    order = np.lexsort((joined[:, 1], joined[:, 0]))
    return Pairs(joined[order], identities[order])


def similarity_groups(
    sequences: Sequence[str],
    kind: Kind,
    identity: float | None = None,
    coverage: float = 0.8,
    *,
    tool: Tool = "auto",
    say: Say = print,
) -> np.ndarray:
    """[rows] int64: the group of each row by single linkage; -1 for empty sequences.

    Two rows above the thresholds (of both sequences' coverage) are always in one group, as far as the search finds
    them, and so are chains of such rows. Groups are numbered in the order of their first rows; which rows are together
    does not depend on the order. Arguments and errors as for :func:`similar_pairs`.
    """
    wanted, distinct, (index,) = _prepare([sequences], kind, identity, coverage, "both")
    label = np.arange(len(distinct))
    if len(distinct) > 1:
        with _engine(distinct, wanted.residues, kind, tool, wanted, say) as engine:
            label = linkage.groups(engine, wanted, short.one_apart(distinct, kind, wanted))
    return similar.grouped(np.append(label, -1)[index], similar.Similar.none())


def near(
    queries: Sequence[str],
    targets: Sequence[str],
    kind: Kind,
    identity: float | None = None,
    coverage: float = 0.8,
    *,
    covers: Covers = "either",
    tool: Tool = "auto",
    say: Say = print,
) -> np.ndarray:
    """[targets] bool: which targets are similar to any query. A corpus (the targets) must leave these out so that
    evaluation rows (the queries) are new to a model that was pretrained on it. Arguments and errors as for
    :func:`similar_pairs`."""
    wanted, distinct, (asked, there) = _prepare([queries, targets], kind, identity, coverage, covers)
    ours = np.unique(asked[asked >= 0])
    variants = _between(short.one_apart(distinct, kind, wanted), ours, there)
    found = np.union1d(ours, variants.target)
    left = np.setdiff1d(there[there >= 0], found)
    if len(ours) and len(left):
        with _engine(distinct, sum(len(distinct[i]) for i in ours), kind, tool, wanted, say) as engine:
            while len(ours) and len(left):
                hits = engine.search(ours, left, wanted, engine.limit)
                found, left = np.union1d(found, hits.target), np.setdiff1d(left, hits.target)
                # A list that hits have filled by half may have been cut: what it left out is searched again.
                ours = np.flatnonzero(np.bincount(hits.query) >= max(1, engine.limit // 2))
    return np.isin(there, found)


def nearest(
    queries: Sequence[str],
    targets: Sequence[str],
    kind: Kind,
    identity: float | None = None,
    coverage: float = 0.8,
    *,
    covers: Covers = "either",
    tool: Tool = "auto",
    say: Say = print,
) -> Nearest:
    """For each query the target of highest identity among those that reach the thresholds, the first of equals. Only
    the targets that look most promising are aligned, some hundreds for each query. Arguments and errors as for
    :func:`similar_pairs`."""
    wanted, distinct, (asked, there) = _prepare([queries, targets], kind, identity, coverage, covers)
    alone, those = np.setdiff1d(asked[asked >= 0], there), np.unique(there[there >= 0])
    hits = Hits.join([])
    if len(alone) and len(those):
        with _engine(distinct, sum(len(distinct[i]) for i in alone), kind, tool, wanted, say) as engine:
            hits = engine.search(alone, those, wanted, engine.limit)
        hits = Hits.join([hits, _between(short.one_apart(distinct, kind, wanted), alone, those)])
    return similar.nearest(asked, there, similar.Similar(hits.query, hits.target, hits.identity))


def _between(pairs: Hits, queries: np.ndarray, targets: np.ndarray) -> Hits:
    """Those pairs of which one end is a query and the other a target, in that order."""
    turned = replace(pairs, query=pairs.target, target=pairs.query)
    both = Hits.join([pairs, turned])
    return both[np.isin(both.query, queries) & np.isin(both.target, targets)]


def _prepare(
    lists: list[Sequence[str]], kind: Kind, identity: float | None, coverage: float, covers: Covers
) -> tuple[Threshold, list[str], list[np.ndarray]]:
    """The threshold, the distinct sequences (the longest first: the same list whatever the order of rows), and for
    each list the number of each row's sequence, -1 where it is empty."""
    if kind not in USUAL:
        raise AnlageError(f"kind {kind!r}: give 'protein' or 'nucleotide'")
    if covers not in ("both", "either"):
        raise AnlageError(f"covers {covers!r}: give 'both' or 'either'")
    identity = USUAL[kind] if identity is None else identity
    for name, value in (("identity", identity), ("coverage", coverage)):
        if not 0 <= value <= 1:
            raise AnlageError(f"{name} {value}: give a share from 0 to 1 (0.3 for 30 %)")
    texts = [letters.plain(sequences, kind) for sequences in lists]
    distinct = sorted({text for some in texts for text in some if text}, key=lambda text: (-len(text), text))
    number = {text: i for i, text in enumerate(distinct)}
    index = [np.array([number.get(text, -1) for text in some], dtype=np.int64) for some in texts]
    return Threshold(identity, coverage, covers, sum(map(len, distinct))), distinct, index


def _equal_rows(index: np.ndarray) -> np.ndarray:
    """[pairs, 2] rows that hold the same sequence."""
    order = np.argsort(index, kind="stable")[np.count_nonzero(index < 0) :]
    same = np.split(order, np.flatnonzero(np.diff(index[order])) + 1)
    _bounded(sum(len(rows) * (len(rows) - 1) // 2 for rows in same))
    pairs = [np.stack(np.triu_indices(len(rows), 1), axis=1) for rows in same]
    return np.concatenate([rows[ends] for rows, ends in zip(same, pairs, strict=True)])


def _bounded(pairs: int) -> None:
    """AnlageError where there are too many to hold."""
    if pairs > _MOST_PAIRS:
        raise AnlageError(f"{pairs:,} pairs of rows are similar, too many to list: ask for similarity_groups instead")


def _rows_of(pairs: np.ndarray, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of sequences → [pairs, 2] of all rows that hold them, and the number of row pairs of each."""
    rows = np.argsort(index, kind="stable")
    starts = np.searchsorted(index[rows], np.arange(index.max(initial=0) + 2))
    counts = np.diff(starts)[pairs]
    times = counts.prod(axis=1)
    total = int(times.sum())
    _bounded(total)
    place = np.arange(total) - np.repeat(np.cumsum(times) - times, times)
    left, right = np.divmod(place, np.repeat(counts[:, 1], times))
    first = np.repeat(starts[pairs], times, axis=0)
    return np.stack([rows[first[:, 0] + left], rows[first[:, 1] + right]], axis=1), times


@contextmanager
def _engine(distinct: list[str], asked: int, kind: Kind, tool: Tool, wanted: Threshold, say: Say) -> Iterator[Engine]:
    """The search tool over the distinct sequences, announced in a line; ``asked`` letters will be looked for."""
    if tool not in ("auto", "mmseqs", "own"):
        raise AnlageError(f"tool {tool!r}: give 'auto', 'mmseqs' or 'own'")
    few = len(distinct) <= _FEW and wanted.residues <= _FEW_LETTERS and len(distinct[0]) <= sketches.LONGEST
    if tool == "auto" and few and find_spec("pyopal"):
        yield sketches.Sketches(distinct, kind, 1)
        return
    program = None if tool == "own" else mmseqs.find()
    if tool == "mmseqs" and program is None:
        raise AnlageError(f"no MMseqs2 that runs here: {_INSTALL}, or use the tool 'own'")
    threads = _threads()
    module, name = (mmseqs, f"MMseqs2 {program[1][:8]}") if program else (sketches, "k-mers and pyopal")
    long = sum(len(text) > module.LONGEST for text in distinct)
    what = f"{len(distinct):,} distinct {kind} sequences at {wanted.identity:.0%} identity, {wanted.coverage:.0%} "
    took = _duration(module.seconds(asked, wanted.residues, kind) / threads)
    say(f"comparing {what}coverage with {name}: about {took}")
    if program is None and tool == "auto":
        say(f"MMseqs2 finds more remote pairs and is faster on large sets: {_INSTALL}")
    if long:
        say(f"{long:,} sequences are compared by their first {module.LONGEST:,} letters")
    if program is None:
        yield sketches.Sketches(distinct, kind, threads)
        return
    engine = mmseqs.Mmseqs(program[0], distinct, kind, threads)
    try:
        yield engine
    finally:
        engine.close()


def _duration(seconds: float) -> str:
    return f"{max(1.0, seconds):.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _threads() -> int:
    """Cores that this process may use, or OMP_NUM_THREADS where that is less."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(wanted)) if wanted.isdigit() and int(wanted) else cores
