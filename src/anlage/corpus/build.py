"""Sequences of any file → a store: read in chunks, checked, each distinct one once, long ones cut into windows."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from anlage.corpus.store import ADDED, Store, Writer, build_store, open_store
from anlage.corpus.values import among, text_hashes
from anlage.errors import AnlageError, Problem
from anlage.modalities.sequence import SequenceModality
from anlage.samples.hashing import data_hash
from anlage.samples.read import stream

SCHEMA = 1
"""Part of a store's name: stores of another layout are built anew."""
CHUNK = 10_000
LISTED = 20
"""Problems that a store remembers; the others are counted."""
_UNCUT = 2**31 - 1
Say = Callable[[str], None]


def stored(
    source: str | Path | pd.DataFrame,
    column: str,
    modality: SequenceModality,
    id_column: str | None,
    where: tuple[str, ...],
    cache: Path,
    say: Say,
) -> Store:
    """The store of one column of ``source``, built where ``cache`` does not hold it already.

    Its facts: ``rows`` read, ``unusable``, ``duplicates``, ``values``, ``letters``, ``long`` (values cut into
    windows), ``parts``, ``notes``, ``problems`` (the first ones)."""
    folder = cache / "corpora" / _key(source, column, modality, id_column, where)
    found = open_store(folder)
    if found is not None:
        say(f"corpus: read before, taken from {folder}")
        return found

    def fill(writer: Writer) -> dict[str, Any]:
        samples = stream(source, CHUNK, id_column, where)
        return _fill(writer, ((s.frame, s.problems, s.notes) for s in samples), column, modality, say)

    return build_store(folder, modality.shape.vocabulary, fill)


def _key(
    source: str | Path | pd.DataFrame, column: str, modality: SequenceModality, id_column: str | None, where: Any
) -> str:
    described = [SCHEMA, content_hash(source), column, modality.name, asdict(modality), modality.tokens(), id_column]
    return hashlib.sha256(json.dumps([*described, list(where)]).encode()).hexdigest()[:32]


def content_hash(source: str | Path | pd.DataFrame) -> str:
    """SHA-256 (hex) of a file's bytes, or of a DataFrame's cells."""
    if isinstance(source, pd.DataFrame):
        return data_hash(source.rename(columns=str))
    try:
        with Path(source).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise AnlageError(f"{source}: cannot be read ({error.strerror})") from None


def _fill(
    writer: Writer,
    chunks: Iterator[tuple[pd.DataFrame, list[Problem], list[str]]],
    column: str,
    modality: SequenceModality,
    say: Say,
) -> dict[str, Any]:
    whole = replace(modality, max_length=_UNCUT)  # what is cut into windows is not to be told as cropped
    seen, notes = SeenHashes(), Notes()
    listed: list[Problem] = []
    facts = dict.fromkeys(("rows", "unusable", "duplicates", "values", "letters", "long", "parts"), 0)
    for number, (frame, problems, told) in enumerate(chunks):
        if column not in frame:
            raise AnlageError(f"the rows from {facts['rows']:,} on have no column '{column}'")
        checked = whole.check(frame[[column]])
        known = checked.frame[column].dropna()
        values = text_hashes(list(known))
        new = seen.add(values)
        texts = [text for text, fresh in zip(known, new, strict=True) if fresh]
        pieces = [windows(text, modality.max_length) for text in texts]
        parts = modality.encode([piece for some in pieces for piece in some])
        counts = np.array([len(some) for some in pieces], dtype=np.int64)
        writer.add(parts.ids, parts.sizes, np.repeat(facts["values"] + np.arange(len(texts)), counts), values[new])
        found = {
            "rows": len(frame), "unusable": len(frame) - len(known), "duplicates": len(known) - len(texts),
            "values": len(texts), "parts": len(parts), "letters": len(parts.ids) - ADDED * len(parts),
            "long": int((counts > 1).sum()),
        }  # fmt: skip
        facts = {name: facts[name] + count for name, count in found.items()}
        notes.add([*told, *checked.notes])
        listed += [*problems, *checked.problems][: max(0, LISTED - len(listed))]
        if number % 50 == 49:
            say(f"corpus: {facts['rows']:,} rows read, {facts['letters']:,} letters so far")
    return facts | {"notes": notes.lines(), "problems": [asdict(problem) for problem in listed]}


def windows(text: str, longest: int) -> list[str]:
    """A text as consecutive pieces of near-equal length, each at most ``longest``: nothing is lost, no crumb is left.

    >>> windows("abcdefg", 3)
    ['abc', 'de', 'fg']
    """
    pieces = -(-len(text) // longest)
    ends = [-(-len(text) * (i + 1) // pieces) for i in range(pieces)]
    return [text[a:b] for a, b in zip([0, *ends], ends, strict=False)]


class SeenHashes:
    """Which hashes came before, in sorted arrays: 8 bytes each, where a set takes sixty."""

    def __init__(self) -> None:
        self._sorted: list[np.ndarray] = []

    def add(self, hashes: np.ndarray) -> np.ndarray:
        """[hashes] bool: True for the first of each that was not added before."""
        fresh, first = np.unique(hashes, return_index=True)
        unknown = ~np.any([among(fresh, old) for old in self._sorted], axis=0) if self._sorted else fresh == fresh
        new = np.zeros(len(hashes), dtype=bool)
        new[first[unknown]] = True
        self._sorted.append(fresh[unknown])
        while len(self._sorted) > 1 and len(self._sorted[-1]) * 2 > len(self._sorted[-2]):
            last = self._sorted.pop()
            self._sorted[-1] = np.sort(np.concatenate([self._sorted[-1], last]))
        return new


class Notes:
    """Notes of many chunks as one: what differs in its first number only is added up."""

    def __init__(self) -> None:
        self._counts: dict[str, int | None] = {}

    def add(self, notes: list[str]) -> None:
        """The notes of one chunk."""
        for note in notes:
            match = _FIRST_NUMBER.search(note)
            if match is None:
                self._counts[note] = None
            else:
                pattern = f"{note[: match.start()]}\0{note[match.end() :]}"
                self._counts[pattern] = (self._counts.get(pattern) or 0) + int(match[0].replace(",", ""))

    def lines(self) -> list[str]:
        """The notes, each once."""
        return [text if n is None else text.replace("\0", f"{n:,}") for text, n in self._counts.items()]


_FIRST_NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?= sequences )")
