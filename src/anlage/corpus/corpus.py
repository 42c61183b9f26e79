"""A corpus: the distinct values of one input, without those that must not be in it, ready to be prepared.

Sequences come from a store on disk; images, records and vectors are held in memory.
"""

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from anlage.corpus.build import stored
from anlage.corpus.exclude import Excluded, equal_rows, excluded_tables
from anlage.corpus.settings import CorpusSettings
from anlage.corpus.store import Store
from anlage.corpus.values import among, hashes, text_hashes
from anlage.errors import AnlageError, Problem
from anlage.modalities.inputs import Input, choose_inputs
from anlage.modalities.recognise import recognise
from anlage.modalities.sequence import SequenceModality
from anlage.parts import Prepared
from anlage.samples.read import read, stream

FEWEST = 20
"""Distinct values that a corpus must have."""
COVERAGE = 0.8
"""Of the shorter sequence that must lie in an alignment, for what is left out as similar."""
KINDS = {"protein": "protein", "dna": "nucleotide", "rna": "nucleotide"}
Say = Callable[[str], None]


@dataclass
class Corpus(ABC):
    """What a corpus is, whatever holds it. Its values are numbered; those that are left out keep their numbers."""

    item: Input
    evidence: str
    sources: list[str]
    facts: dict[str, int]
    """Numbers to be told: rows read, unusable, duplicates, …"""
    notes: list[str]
    problems: list[Problem]
    kept: np.ndarray
    """[values] bool: False for what is left out."""
    left_out: list[tuple[str, str]] = field(default_factory=list)
    """Columns that are not learned from, and why."""

    def summary(self) -> str:
        """What was read, in words."""
        facts = self.facts
        pieces = [f"{facts['values']:,} distinct values in {facts['rows']:,} rows"]
        pieces += [f"{facts['duplicates']:,} duplicates removed"] if facts["duplicates"] else []
        pieces += [f"{facts['unusable']:,} unusable"] if facts["unusable"] else []
        pieces += [f"{facts['letters']:,} letters"] if "letters" in facts else []
        pieces += [f"{facts['long']:,} long sequences cut into windows"] if facts.get("long") else []
        return f"corpus: {', '.join(pieces)}"

    @abstractmethod
    def equal(self, excluded: pd.DataFrame) -> np.ndarray:
        """[values] bool: which equal one of these checked rows."""

    @abstractmethod
    def near(self, excluded: pd.DataFrame, identity: float, say: Say) -> np.ndarray:
        """[values] bool: which are similar to one of these checked rows."""

    @abstractmethod
    def fit(self, train: np.ndarray) -> None:
        """Fit the modality on the values numbered by ``train``."""

    @abstractmethod
    def prepare(self) -> tuple[Prepared, np.ndarray]:
        """All values that are kept: a row for each part, and [rows] the number of the value that it is, or is a piece
        of. After :meth:`fit`."""

    @abstractmethod
    def hashes(self) -> np.ndarray:
        """[values] uint64. After :meth:`prepare`."""


@dataclass
class StoredCorpus(Corpus):
    """Sequences in a store."""

    store: Store = field(kw_only=True)

    def equal(self, excluded: pd.DataFrame) -> np.ndarray:
        return among(self.hashes(), np.sort(text_hashes(list(excluded.iloc[:, 0]))))

    def near(self, excluded: pd.DataFrame, identity: float, say: Say) -> np.ndarray:
        """Kept beside the store, so that a resumed run does not search again."""
        from anlage.modalities.homology.search import near

        queries = sorted(set(excluded.iloc[:, 0]))
        asked = hashlib.sha256(repr((queries, identity, COVERAGE)).encode()).hexdigest()[:32]
        path = self.store.folder / f"near-{asked}"
        if path.is_file() and path.stat().st_size == len(self.kept):
            return np.fromfile(path, dtype=bool)
        modality = self.item.modality
        texts = self.store.parts.texts(modality.tokens())
        found = near(queries, texts, KINDS[modality.name], identity, COVERAGE, say=say)  # type: ignore[arg-type]
        beside = path.with_name(f"{path.name}.{os.getpid()}")
        found.tofile(beside)
        os.replace(beside, path)
        return found

    def fit(self, train: np.ndarray) -> None:
        # Token ids follow from the alphabet alone; whether the corpus is a library of variants is not asked, since an
        # encoder that is to read other tables must not rely on it.
        self.item.modality.state = {"length": None, "positions": None}

    def prepare(self) -> tuple[Prepared, np.ndarray]:
        parts = self.store.parts
        rows = np.flatnonzero(self.kept[parts.values])
        return Prepared(parts, rows), np.asarray(parts.values[rows])

    def hashes(self) -> np.ndarray:
        return self.store.hashes


@dataclass
class MemoryCorpus(Corpus):
    """Everything but sequences: a frame of distinct checked rows."""

    frame: pd.DataFrame = field(kw_only=True)

    def equal(self, excluded: pd.DataFrame) -> np.ndarray:
        return equal_rows(self.item, self.frame, excluded)

    def near(self, excluded: pd.DataFrame, identity: float, say: Say) -> np.ndarray:
        raise AnlageError(f"--exclude-identity compares sequences, not {self.item.modality.name}: leave it away")

    def fit(self, train: np.ndarray) -> None:
        self.item.modality.fit(self.frame.iloc[train])

    def prepare(self) -> tuple[Prepared, np.ndarray]:
        prepared = self.item.modality.prepare(self.frame)
        rows = np.flatnonzero(self.kept & (prepared.index >= 0))
        return Prepared(prepared.parts, prepared.index[rows]), rows

    def hashes(self) -> np.ndarray:
        return hashes(self.item.modality, self.frame)[0]


def gather(source: str | Path | pd.DataFrame, settings: CorpusSettings, cache: Path, say: Say) -> Corpus:
    """Read a corpus and leave out what is to be excluded; tells what was found. ``cache``: the folder for what can be
    made again. AnlageError where there is nothing to learn from."""
    item, evidence, left_out = _choose(source, settings, say)
    name = "DataFrame" if isinstance(source, pd.DataFrame) else str(source)
    tables = excluded_tables(settings.exclude, settings.exclude_parts, item)
    corpus: Corpus
    if isinstance(item.modality, SequenceModality):
        store = stored(source, item.columns[0], item.modality, settings.id, settings.where, cache, say)
        facts = {k: v for k, v in store.facts.items() if isinstance(v, int)}
        problems = [Problem(**problem) for problem in store.facts["problems"]]
        notes, values = list(store.facts["notes"]), len(store.hashes)
        corpus = StoredCorpus(
            item, evidence, [name], facts, notes, problems, np.ones(values, dtype=bool), left_out, store=store
        )
    else:
        corpus = _in_memory(source, settings, item, evidence, left_out)
    for note in corpus.notes:
        say(note)
    say(corpus.summary())
    for table in tables:
        _exclude(corpus, table, settings.exclude_identity, say)
    if corpus.kept.sum() < FEWEST:
        raise AnlageError(f"{name}: {corpus.kept.sum()} distinct values are left to learn from: {FEWEST} at least")
    return corpus


def _choose(
    source: str | Path | pd.DataFrame, settings: CorpusSettings, say: Say
) -> tuple[Input, str, list[tuple[str, str]]]:
    """The one input, as the first rows show it."""
    first = next(s for s in stream(source, id_column=settings.id, where=settings.where) if len(s))
    recognised = recognise(first.frame, settings.column)
    roles = choose_inputs(first, recognised, [], settings.input, settings.drop)
    if len(roles.inputs) > 1:
        listed = ", ".join(f"{item.name} ({item.modality.name})" for item in roles.inputs)
        raise AnlageError(f"one column at a time is pretrained: name it with --input; there are {listed}")
    (item,) = roles.inputs
    evidence = recognised[item.columns[0]].evidence
    beside = f"metadata beside {item.name}"
    left_out = [(column, beside if why.startswith(beside) else why) for column, why in roles.left_out]
    shown = f" ({len(item.columns)} columns)" if len(item.columns) > 1 else ""
    say(f"input {item.name}{shown}: {item.modality.name}, {evidence}")
    return item, evidence, left_out


def _in_memory(
    source: Any, settings: CorpusSettings, item: Input, evidence: str, left_out: list[tuple[str, str]]
) -> MemoryCorpus:
    samples = read(source, settings.id, settings.where)
    checked = item.modality.check(samples.frame[item.columns])
    known = checked.frame.notna().any(axis=1).to_numpy()
    frame = checked.frame[known]
    _, first = np.unique(item.modality.groups(frame), return_index=True)
    distinct = frame.iloc[np.sort(first)]
    facts = {
        "rows": len(samples), "unusable": int((~known).sum()), "duplicates": len(frame) - len(distinct),
        "values": len(distinct), "parts": len(distinct),
    }  # fmt: skip
    notes, problems = [*samples.notes, *checked.notes], [*samples.problems, *checked.problems]
    every = np.ones(len(distinct), dtype=bool)
    return MemoryCorpus(item, evidence, samples.sources, facts, notes, problems, every, left_out, frame=distinct)


def _exclude(corpus: Corpus, table: Excluded, identity: float | None, say: Say) -> None:
    """Leave out what stands in ``table``, and count it."""
    gone = corpus.equal(table.frame)
    line = f"excluded: {(gone & corpus.kept).sum():,} values that stand in {table.name} ({table.what})"
    if identity is not None and len(table.frame):
        similar = corpus.near(table.frame, identity, say) & ~gone
        line += f", and {(similar & corpus.kept).sum():,} that are similar from {identity:.0%} identity on"
        gone |= similar
    corpus.facts["excluded"] = corpus.facts.get("excluded", 0) + int((gone & corpus.kept).sum())
    corpus.kept &= ~gone
    corpus.notes.append(line)
    say(line)
