"""Tables with delimiters: CSV and TSV, plain or gzip."""

import csv
import re
from collections.abc import Iterator
from itertools import dropwhile, islice
from pathlib import Path

import numpy as np
import pandas as pd

from anlage.errors import AnlageError, Problem
from anlage.samples.chunk import Chunk
from anlage.samples.lines import MAX_LINE, lines

NAME = "delimited text"
SUFFIXES = (".csv", ".tsv", ".tab")
DELIMITERS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar"}
MAX_NAME = 1000
"""Characters. A longer column name is a damaged header, or data where the header should be."""


def recognises(path: Path, head: bytes) -> bool:
    """Text that starts neither like FASTA nor like JSON."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    control = sum(head.count(bytes([c])) for c in range(32) if c not in b"\t\n\r\f\x1a")
    return path.is_file() and not start.startswith((b">", b"{", b"[{")) and control <= 0.01 * len(head)


def chunks(path: Path, rows: int) -> Iterator[Chunk]:
    """Frames of at most ``rows`` rows of raw strings. Rows with too many or too few cells are named and left out.

    Raises:
        AnlageError: no header, an unknown delimiter, a quote that is never closed, most rows ragged.
    """
    # The limit of the csv module is global; ours is higher than its default, and bounded all the same.
    csv.field_size_limit(MAX_LINE)
    notes: list[str] = []
    numbered = dropwhile(lambda line: not line[1].strip(), lines(path, notes))
    first = list(islice(numbered, 20))
    if not first:
        raise AnlageError(f"{path}: has no header line")
    delimiter = _delimiter(path, [text for _, text in first], notes)
    reader = _Rows(path, first, numbered, delimiter)
    names = _names(path, next(reader)[1], notes)
    good = bad = 0
    table: list[list[str]] = []
    problems: list[Problem] = []
    for number, cells in reader:
        if len(cells) != len(names) and not any(cells[len(names) :]):
            cells = cells[: len(names)]
        if len(cells) == len(names):
            table.append(cells)
            good += 1
        elif cells:
            bad += 1
            reason = f"{len(cells)} cells where the header has {len(names)}: the row is left out"
            problems.append(Problem(f"line {number}", "(all)", reason))
        if len(table) == rows:
            yield Chunk(_frame(table, names), problems + reader.problems, notes)
            table, problems, reader.problems, notes = [], [], [], []
    problems += reader.problems
    if bad > good and problems:
        raise AnlageError(
            f"{path}: {bad} of {good + bad} rows do not have the {len(names)} cells of the header, first "
            f"{problems[0].id}: is {DELIMITERS[delimiter]} the delimiter?"
        )
    yield Chunk(_frame(table, names), problems, notes)


class _Rows:
    """The csv module over numbered lines: yields (number of the first line of a row, cells), skips blank lines."""

    def __init__(self, path: Path, first: list[tuple[int, str]], rest: Iterator[tuple[int, str]], delimiter: str):
        self.path, self.problems = path, list[Problem]()
        self.number = 0
        self.started: int | None = None
        self.reader = csv.reader(self._texts(first, rest), delimiter=delimiter, strict=True)

    def _texts(self, first: list[tuple[int, str]], rest: Iterator[tuple[int, str]]) -> Iterator[str]:
        for source in (first, rest):
            for self.number, text in source:
                if self.started is None:
                    self.started = self.number
                yield text + "\n"

    def __iter__(self) -> "_Rows":
        return self

    def __next__(self) -> tuple[int, list[str]]:
        while True:
            self.started = None
            try:
                cells = next(self.reader)
            except csv.Error as error:
                if "unexpected end" in str(error) or "limit" in str(error):
                    reason = "a quote that opens here is never closed: close it, or double quotes inside a cell"
                    raise AnlageError(f"{self.path}: line {self.started}: {reason}") from error
                self.problems.append(Problem(f"line {self.started}", "(all)", f"{error}: the row is left out"))
                continue
            if cells and (len(cells) > 1 or cells[0].strip()):
                return self.started or self.number, cells


def _delimiter(path: Path, texts: list[str], notes: list[str]) -> str:
    """The suffix's own where the header has it, else the one that cuts header and rows into most cells alike."""
    own = "," if ".csv" in path.suffixes else "\t" if {".tsv", ".tab"} & set(path.suffixes) else None
    texts = [t for t in texts if t.strip()]

    def cells(delimiter: str) -> list[int]:
        counts = []
        for row in csv.reader((t + "\n" for t in texts), delimiter=delimiter):
            counts.append(len(row))
        return counts

    counts = {d: cells(d) for d in DELIMITERS}
    agreeing = {d: sum(n == c[0] for n in c) / len(c) for d, c in counts.items()}
    if own and counts[own][0] > 1 and agreeing[own] >= 0.5:
        return own
    best = max(DELIMITERS, key=lambda d: (counts[d][0] > 1, agreeing[d] >= 0.5, counts[d][0]))
    if counts[best][0] > 1:
        if best != own:
            notes.append(f"{path.name}: delimiter {DELIMITERS[best]} ({best!r}) recognised")
        return best
    for odd in (r" +", ":", r"\^", "~", "/"):
        numbers = {len(re.split(odd, t.strip())) for t in texts}
        if len(texts) > 1 and len(numbers) == 1 and numbers != {1}:
            raise AnlageError(
                f"{path}: only one column found ({texts[0][:60]!r}): the delimiter must be one of "
                + ", ".join(DELIMITERS.values())
            )
    return own or ","


def _names(path: Path, header: list[str], notes: list[str]) -> list[str]:
    names: dict[str, None] = {}
    renamed = []
    for position, raw in enumerate(header, start=1):
        name = raw.strip() or f"unnamed_{position}"
        if len(name) > MAX_NAME:
            raise AnlageError(
                f"{path}: the name of column {position} has {len(name):,} characters ({name[:30]}…): "
                "is the first line a header?"
            )
        if name in names:
            renamed.append(name)
            copy = 2
            while f"{name}#{copy}" in names:
                copy += 1
            name = f"{name}#{copy}"
        names[name] = None
    if renamed:
        listed = ", ".join(sorted(set(renamed))[:5])
        notes.append(f"{path.name}: {len(renamed)} column names stand twice ({listed}): renamed to NAME#2 …")
    return list(names)


def _frame(table: list[list[str]], names: list[str]) -> pd.DataFrame:
    cells = np.empty((len(table), len(names)), dtype=object)
    if table:
        cells[:] = table
    return pd.DataFrame(cells, columns=names)
