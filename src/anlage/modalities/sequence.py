"""What proteins, DNA and RNA share: letters become packed tokens, ``<start> letters <end>``, nothing padded."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from anlage.errors import AnlageError, Problem
from anlage.modalities.cells import shown
from anlage.modalities.homology import search
from anlage.modalities.homology.hits import Kind
from anlage.modalities.protocol import Checked, Descriptors, Modality, Nearest, Recognition
from anlage.modalities.sequence_features import (
    kmer_frequencies,
    lookup_table,
    median_distance,
    one_hot,
    position_counts,
)
from anlage.parts import Prepared, TokenParts
from anlage.shapes import TokensShape

SPECIAL = ("<pad>", "<mask>", "<start>", "<end>", "<unknown>")
"""The first token ids; letters follow in the order of their alphabet."""
_MASK, _START, _END, _UNKNOWN = 1, 2, 3, 4
_START_MARK, _END_MARK = "\x02", "\x03"
_NEAR = 0.3
"""Sequences of one length that differ from their consensus at fewer positions (median) are variants of one parent."""
_SAMPLE = 1000


@dataclass
class SequenceModality(Modality):
    """Base of the modalities whose values are strings over a fixed alphabet."""

    layout: ClassVar[str] = "Tokens"
    similarity: ClassVar[str] = "identity over 80 % of the sequence"
    kind: ClassVar[Kind]
    """Whose scores align two sequences."""
    core: ClassVar[str]
    """The letters that descriptors count."""
    extra: ClassVar[str]
    """Ambiguity codes and other letters that are tokens of their own."""
    replaced: ClassVar[dict[str, str]] = {}
    """Letters that are written as another one (U in DNA)."""
    hints: ClassVar[tuple[str, ...]] = ()
    """Words in a column's name that speak for this modality."""

    max_length: int = 1022
    """Letters kept of a longer sequence: the first and the last half of these, since signals sit at the ends."""

    def __post_init__(self) -> None:
        if self.max_length < 2:
            raise AnlageError(f"{self.name}: max_length must be at least 2, not {self.max_length}")
        self._length: int | None = None
        self._positions: np.ndarray | None = None

    @classmethod
    def letters(cls) -> str:
        """The whole alphabet, in the order of the token ids."""
        return cls.core + cls.extra

    def tokens(self) -> tuple[str, ...]:
        """The vocabulary: token id → text."""
        return (*SPECIAL, *self.letters())

    # Recognition

    @classmethod
    def recognise(cls, name: str, values: pd.Series) -> Recognition | None:
        """Letters of this alphabet, long enough to be no label; a telling name lowers the demands."""
        sample = _sample_of_texts(values)
        if sample is None:
            return None
        allowed = re.compile(f"[{re.escape(cls.letters() + ''.join(cls.replaced))}.-]+", re.IGNORECASE | re.ASCII)
        fitting = [v for v in sample if allowed.fullmatch(v.strip())]
        if len(fitting) < 0.9 * len(sample):
            return None
        seen = pd.Series(Counter("".join(v[:1000] for v in fitting).upper()), dtype=float)
        score = cls._likeness(seen / seen.sum(), np.array([len(v) for v in fitting]), _hinted(name, cls.hints), fitting)
        if score is None:
            return None
        shown = "".join(sorted(seen.index))
        median = int(np.median([len(v) for v in fitting]))
        return Recognition(score, f'letters "{shown}" only, median length {median:,}')

    @classmethod
    def _likeness(cls, share: pd.Series, lengths: np.ndarray, hinted: bool, values: list[str]) -> float | None:
        """Score of values that all fit the alphabet, from the share of each letter; None = not this modality."""
        raise NotImplementedError

    # Normal form

    def check(self, frame: pd.DataFrame) -> Checked:
        """Upper case; no white space, no gaps, no stops at the end. What holds a strange character becomes None."""
        column = frame.columns[0]
        problems: list[Problem] = []
        codes, distinct = pd.factorize(_hashable(frame[column]))
        clean = np.empty(len(distinct) + 1, dtype=object)
        clean[-1] = None
        reasons: dict[int, tuple[str, bool]] = {}
        letters = self.letters() + "".join(self.replaced)
        strange = re.compile(f"[^{re.escape(letters + letters.lower())}\\s.-]", re.ASCII)
        for i, value in enumerate(distinct):
            clean[i], reason = self._clean(value, strange)
            if reason:
                reasons[i] = (reason, reason != _EMPTY)
        for row in np.flatnonzero(np.isin(codes, list(reasons))).tolist():
            reason, fatal = reasons[codes[row]]
            problems.append(Problem(str(frame.index[row]), str(column), reason, fatal))
        rows_of = np.bincount(codes[codes >= 0], minlength=len(distinct))
        notes = self._notes(str(column), distinct, clean[:-1], rows_of)
        return Checked(pd.DataFrame({column: clean[codes]}, index=frame.index), problems, notes)

    def _clean(self, value: Any, strange: re.Pattern[str]) -> tuple[str | None, str | None]:
        """The value in normal form, or None and why."""
        if isinstance(value, _NoText):
            return None, f"{value.shown} is no {self.name} sequence"
        if bad := strange.search(value):
            shown = bad.group() if bad.group().isprintable() else repr(bad.group())
            return None, f"character '{shown}' at position {bad.start() + 1:,} is no letter of {self.name}"
        text = re.sub(r"[\s.-]+", "", value).upper() if re.search(r"[\s.-]", value) else value.upper()
        for old, new in self.replaced.items():
            text = text.replace(old, new)
        text = text.rstrip("*")
        return (text, None) if text else (None, _EMPTY)

    def _notes(self, column: str, distinct: np.ndarray, clean: np.ndarray, rows_of: np.ndarray) -> list[str]:
        """What was found in how many rows."""
        good = [i for i, text in enumerate(clean) if text is not None]

        def rows(found: Any) -> int:
            return int(sum(rows_of[i] for i in good if found(distinct[i], clean[i])))

        old = "".join(self.replaced)
        swap = ", ".join(f"{a} → {b}" for a, b in self.replaced.items())
        extra = re.compile(f"[{re.escape(self.extra.replace('*', '') or ' ')}]")
        counted = {
            "had lower-case letters: upper-cased": rows(lambda raw, _: not raw.isupper()),
            "had white space: removed": rows(lambda raw, _: re.search(r"\s", raw)),
            "had gaps ('-' or '.'): removed": rows(lambda raw, _: "-" in raw or "." in raw),
            "ended in a stop '*': removed": rows(lambda raw, _: raw.rstrip("-. \t\r\n").endswith("*")),
            "have a stop '*' inside: kept as a token": rows(lambda _, text: "*" in text),
            "have ambiguity codes: kept as tokens of their own": rows(lambda _, text: extra.search(text)),
            f"are longer than {self.max_length:,}: their first and last halves of that are used": rows(
                lambda _, text: len(text) > self.max_length
            ),
        }
        if old:
            strange = re.compile(f"[{old}{old.lower()}]")
            counted[f"had other letters: {swap}"] = rows(lambda raw, _: strange.search(raw))
        return [f"column {column}: {n:,} sequences {what}" for what, n in counted.items() if n]

    # What the training rows teach

    def fit(self, frame: pd.DataFrame) -> Self:
        """Whether all lengths agree, and if these are variants of one parent, which positions vary."""
        texts = list(frame.iloc[:, 0].dropna().unique())
        if not texts:
            raise AnlageError(f"column {frame.columns[0]}: no usable {self.name} sequence among the training rows")
        lengths = {len(t) for t in texts}
        self._length = lengths.pop() if len(lengths) == 1 else None
        self._positions = None
        if self._length is not None and len(texts) > 1:
            counts = position_counts(texts, self.letters())
            if median_distance(texts, self.letters(), counts) < _NEAR:
                self._positions = np.flatnonzero((counts > 0) & (counts < len(texts)))
        return self

    def adopt(self, pretrained: Modality) -> None:
        """Nothing: token ids follow from the alphabet, and what is learned serves pooling and the baselines."""

    @property
    def state(self) -> dict[str, Any]:
        """``length`` of all training sequences, where they agree; ``positions``: numbers of (position, letter)."""
        positions = None if self._positions is None else self._positions.tolist()
        return {"length": self._length, "positions": positions}

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        self._length = state["length"]
        self._positions = None if state["positions"] is None else np.array(state["positions"], dtype=np.int64)

    @property
    def shape(self) -> TokensShape:
        """Vocabulary of fixed size; ``aligned`` where the training sequences are variants of one parent."""
        aligned = None
        if self._length is not None and self._positions is not None:
            aligned = min(self._length, self.max_length) + 2
        return TokensShape(len(self.tokens()), _MASK, self.max_length + 2, aligned)

    # Layout, descriptors, groups

    def prepare(self, frame: pd.DataFrame) -> Prepared:
        """Each distinct sequence once, as ``<start> letters <end>``; spans count letters of the uncropped value."""
        index, distinct = pd.factorize(frame.iloc[:, 0].to_numpy(dtype=object))
        return Prepared(self.encode(list(distinct)), index)

    def encode(self, texts: list[str]) -> TokenParts:
        """Checked sequences → packed token ids and spans."""
        head = (self.max_length + 1) // 2
        tail = self.max_length - head
        full = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
        long = np.flatnonzero(full > self.max_length)
        kept = list(texts)
        for i in long:
            kept[i] = texts[i][:head] + texts[i][-tail:]
        joined = "".join([f"{_START_MARK}{t}{_END_MARK}" for t in kept]).encode("ascii", "replace")
        table = lookup_table(self.letters(), first=len(SPECIAL), other=_UNKNOWN)
        table[ord(_START_MARK)], table[ord(_END_MARK)] = _START, _END
        ids = table[np.frombuffer(joined, dtype=np.uint8)]
        sizes = np.minimum(full, self.max_length) + 2
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        first = np.arange(len(ids), dtype=np.int32) - np.repeat(offsets[:-1].astype(np.int32), sizes) - 1
        for i in long:
            first[offsets[i] + 1 + head : offsets[i + 1] - 1] += full[i] - self.max_length
        spans = np.stack([first, first + 1], axis=1)
        spans[offsets[:-1]] = 0
        spans[offsets[1:] - 1] = 0
        return TokenParts(ids, offsets, spans)

    def descriptors(self, frame: pd.DataFrame) -> Descriptors:
        """One-hot positions of a variant library, else what :meth:`composition` counts."""
        index, distinct = pd.factorize(frame.iloc[:, 0].to_numpy(dtype=object))
        texts = [*distinct, ""]  # the last row stands for missing values: index -1
        if self._positions is not None:
            letters = self.letters()
            names = [f"{letters[c % len(letters)]} at {c // len(letters) + 1}" for c in self._positions]
            return Descriptors(one_hot(texts, letters, self._positions)[index], names)
        values, names = self.composition(texts)
        values[-1] = np.nan
        return Descriptors(values[index], names)

    def composition(self, texts: list[str]) -> tuple[np.ndarray, list[str]]:
        """[texts, features] float32 and the names of the features."""
        raise NotImplementedError

    def profile(self, frame: pd.DataFrame) -> dict[str, np.ndarray]:
        """Length, letters outside the core alphabet, and the variety of letters: the entropy of their shares."""
        index, distinct = pd.factorize(frame.iloc[:, 0].to_numpy(dtype=object))
        texts = [*distinct, ""]  # the last row stands for missing values: index -1
        share = kmer_frequencies(texts, self.core, 1).astype(np.float64)
        length = np.array([len(t) for t in texts], dtype=np.float64)
        counted = {
            "length": length,
            "share of other letters": np.array([sum(map(t.count, self.extra)) / max(len(t), 1) for t in texts]),
            "variety of letters (bits)": -np.where(share > 0, share * np.log2(np.maximum(share, 1e-12)), 0).sum(1),
        } | self._composition(share)
        return {name: np.where(length > 0, values, np.nan)[index] for name, values in counted.items()}

    def _composition(self, share: np.ndarray) -> dict[str, np.ndarray]:
        """What the shares of the core letters [texts, letters] add to the profile."""
        return {}

    def groups(self, frame: pd.DataFrame) -> np.ndarray:
        """Equal sequences are one group."""
        return pd.factorize(frame.iloc[:, 0].to_numpy(dtype=object))[0].astype(np.int64)

    def similarity_groups(self, frame: pd.DataFrame, least: float, say: Callable[[str], None]) -> np.ndarray:
        """By identity of local alignments over 80 % of both sequences, of bases on either strand."""
        return search.similarity_groups(_texts(frame), self.kind, least, say=say)

    def nearest(
        self, frame: pd.DataFrame, reference: pd.DataFrame, least: float, say: Callable[[str], None]
    ) -> Nearest:
        """As for groups, but 80 % of either sequence: a fragment of a training sequence gives answers away, too."""
        return search.nearest(_texts(frame), _texts(reference), self.kind, least, say=say)


def _texts(frame: pd.DataFrame) -> list[str]:
    """The sequences, "" where missing."""
    return [text if isinstance(text, str) else "" for text in frame.iloc[:, 0]]


@dataclass(frozen=True)
class _NoText:
    """Stands for a cell that is no text."""

    shown: str


def _hashable(values: pd.Series) -> np.ndarray:
    """The cells as texts, None where missing, and what else there is as _NoText."""
    missing = values.isna().to_numpy()
    out = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):
        if not missing[i]:
            out[i] = value if isinstance(value, str) else _NoText(shown(value))
    return out


_EMPTY = "zero-length sequence: read as missing"


def _sample_of_texts(values: pd.Series) -> list[str] | None:
    """Up to 1,000 values spread over the column; None where they are not texts."""
    if not (pd.api.types.is_object_dtype(values) or pd.api.types.is_string_dtype(values)):
        return None
    present = values.dropna()
    step = max(1, len(present) // _SAMPLE)
    sample = list(present.iloc[::step].iloc[:_SAMPLE])
    if not sample or not all(isinstance(v, str) for v in sample):
        return None
    return sample


def _hinted(name: str, hints: tuple[str, ...]) -> bool:
    """Does a word of the column's name begin with (short hints: equal) one of the hints?"""
    words = re.split(r"[^a-z]+", name.lower())
    return any(word == hint or (len(hint) > 2 and word.startswith(hint)) for word in words for hint in hints)
