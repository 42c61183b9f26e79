"""Short sequences that differ by one letter: variant libraries, peptides, guides.

Below some twenty letters no alignment is better than chance by its score, which charges for every place where it may
begin and end. That two whole sequences of one length agree in all letters but one is far rarer, and is counted here.
"""

import numpy as np

from anlage.modalities.homology.hits import CHANCE, Hits, Kind, Threshold
from anlage.modalities.homology.letters import complement

_LONGEST = 40
"""Letters of the sequences that are looked at: in longer ones an alignment shows it."""
_LETTERS = {"protein": 18.0, "nucleotide": 4.0}
"""Letters of an alphabet in which all are equally common and as surprising as here: 2^4.19 for proteins."""


def one_apart(sequences: list[str], kind: Kind, least: Threshold) -> Hits:
    """Pairs of distinct sequences of equal length that differ in one place (bases: on either strand), each once, where
    chance is expected to give at most 0.001 such neighbours to a sequence of that length; ``bits`` are infinite.

    Each sequence is hashed once without each of its letters, so the time is linear in the letters.
    """
    lengths = np.array([len(s) for s in sequences], dtype=np.int64)
    found = [np.zeros((2, 0), dtype=np.int64)]
    for length in np.unique(lengths[lengths <= _LONGEST]).tolist():
        owner = np.flatnonzero(lengths == length)
        texts = [sequences[i] for i in owner.tolist()]
        if kind == "nucleotide":
            texts, owner = texts + [complement(s) for s in texts], np.tile(owner, 2)
        letters = _LETTERS[kind]
        chance = len(texts) * length * (letters - 1) / letters**length
        if len(texts) > 1 and chance <= CHANCE and (length - 1) / length >= least.identity - 1e-6:
            found.append(owner[_neighbours(texts, length)])
    ends = np.sort(np.concatenate(found, axis=1), axis=0)
    ends = np.unique(ends[:, ends[0] != ends[1]], axis=1)
    ones = np.ones(ends.shape[1])
    return Hits(ends[0], ends[1], 1 - 1 / lengths[ends[0]], ones, ones, np.full(len(ones), np.inf))


def _neighbours(texts: list[str], length: int) -> np.ndarray:
    """[2, pairs] the numbers of texts of one length that are equal but for one letter, or altogether."""
    codes = np.frombuffer("".join(texts).encode(), dtype=np.uint8).reshape(-1, length)
    table = np.random.default_rng(0).integers(0, 2**64, (length, 256), dtype=np.uint64)
    terms = table[np.arange(length), codes]
    whole = terms.sum(axis=1, dtype=np.uint64)
    pairs = [np.zeros((2, 0), dtype=np.int64)]
    for place in range(length):
        without = whole - terms[:, place]
        order = np.argsort(without, kind="stable")
        ordered = without[order]
        for apart in range(1, len(texts)):  # a run is as long as the alphabet at most
            equal = np.flatnonzero(ordered[apart:] == ordered[:-apart])
            if not len(equal):
                break
            pairs.append(np.stack([order[equal], order[equal + apart]]))
    return np.concatenate(pairs, axis=1)
