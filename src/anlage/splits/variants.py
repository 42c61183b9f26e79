"""Splits of a variant library, whose sequences are mutants of one parent: by the number of mutations, or by where."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from anlage.errors import AnlageError
from anlage.splits.settings import MUTATIONS, SplitSettings
from anlage.splits.times import upper

_MOST_MUTATED = 0.5
"""Share of its positions in which a median variant may differ from the parent."""
_LISTED = 8
_LONG = 30
"""Letters from which on an identity is no chance (E-values, see ``modalities/homology``)."""


def parts(sequences: Sequence[str | None], settings: SplitSettings, seed: int) -> tuple[np.ndarray, str, list[str]]:
    """[rows] train or test, or none where a sequence has another length than most; how it was done; and notes.

    "mutations": about ``test_fraction`` of the rows, those with the most mutations, are tested. "positions": about as
    many, those with a mutation at any of some positions drawn at random, which no training row mutates. The parent is
    the consensus, position by position, of the sequences of the most common length.

    Raises:
        AnlageError: the sequences are no variants of one parent, or too much alike to divide.
    """
    option = f"--split {settings.split}"
    rows, parent, mutated = mutations(sequences, option)
    notes = []
    if len(rows) < len(sequences):
        notes.append(f"left out: {len(sequences) - len(rows):,} rows whose sequence has not the {len(parent)} letters "
                     "of most")  # fmt: skip
    if settings.split == MUTATIONS:
        counts = mutated.sum(axis=1)
        first = upper(counts, settings.test_fraction)
        if first is None:
            raise AnlageError(f"{option}: all rows have {counts[0]} mutations: there are none with more to test on")
        tested = counts >= first
        below = counts[~tested].max()
        how = f"by mutations: up to {below} are learned from, {int(first)} and more are tested"
    else:
        tested, places = _at_positions(mutated, settings.test_fraction, seed)
        shown = ", ".join(str(place + 1) for place in sorted(places)[:_LISTED]) + (
            ", …" if len(places) > _LISTED else ""
        )
        how = f"by positions: tested with a mutation at {shown} ({len(places)} in all), where no training row has one"
    part = np.full(len(sequences), "none", dtype=object)
    part[rows] = np.where(tested, "test", "train")
    return part, f"{how} (parent: the consensus of {len(rows):,} sequences of {len(parent)}), seed {seed}", notes


def mutations(sequences: Sequence[str | None], option: str) -> tuple[np.ndarray, str, np.ndarray]:
    """Numbers of the rows that have the most common length, their consensus, and [those rows, positions] bool: where
    they differ from it. AnlageError (naming ``option``) where these are no variants of one parent."""
    lengths = Counter(len(text) for text in sequences if text)
    if not lengths:
        raise AnlageError(f"{option}: there is no sequence")
    length, count = lengths.most_common(1)[0]
    rows = np.array([i for i, text in enumerate(sequences) if text and len(text) == length])
    letters = np.array([text for text in sequences if text and len(text) == length]).view("U1").reshape(count, length)
    alphabet, codes = np.unique(letters, return_inverse=True)
    codes = codes.reshape(letters.shape)
    parent = np.argmax([(codes == code).sum(axis=0) for code in range(len(alphabet))], axis=0)
    mutated = codes != parent
    if count <= 0.5 * lengths.total() or np.median(mutated.mean(axis=1)) > _MOST_MUTATED:
        raise AnlageError(
            f"{option}: these are no variants of one parent: {count / lengths.total():.0%} of the sequences have the "
            f"most common length, {length}, and half of those differ from their consensus at "
            f"{np.median(mutated.sum(axis=1)):.0f} or more positions"
        )
    return rows, "".join(alphabet[parent]), mutated


def family(sequences: Sequence[str | None], least: float) -> float:
    """The share of the sequences that are known, without a search, to form one similarity group: those so near to the
    consensus that any two of them are at least ``least`` (a share of their positions) identical. 0 = none is known."""
    known = [text for text in sequences if text]
    try:
        rows, parent, mutated = mutations(known, "")
    except AnlageError:
        return 0.0
    apart = 2 * mutated.sum(axis=1) / len(parent)
    return float((1 - apart >= least).sum() / len(known)) if len(parent) >= _LONG else 0.0


def _at_positions(mutated: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, list[int]]:
    """[rows] bool: has a mutation at one of the drawn positions, which are the second. Positions are added in random
    order as long as they bring the share of such rows nearer to ``fraction``."""
    ever = np.flatnonzero(mutated.any(axis=0))
    if len(ever) < 2:
        raise AnlageError(f"--split positions: {len(ever)} positions are mutated: at least 2 are needed")
    tested = np.zeros(len(mutated), dtype=bool)
    places: list[int] = []
    for place in np.random.default_rng([seed, 11]).permutation(ever):
        more = tested | mutated[:, place]
        if abs(more.mean() - fraction) < abs(tested.mean() - fraction):
            tested, places = more, [*places, int(place)]
    if not places:  # every position is mutated in more than twice as many rows as are wanted
        place = int(ever[np.argmin(mutated[:, ever].sum(axis=0))])
        tested, places = mutated[:, place], [place]
    return tested, places
