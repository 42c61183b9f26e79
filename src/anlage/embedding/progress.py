"""How far an embedding is: rows and elements a second, and the time that is left."""

import gzip
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pandas as pd
from pyarrow.parquet import ParquetFile

from anlage.samples.formats.lookup import format_of
from anlage.samples.lines import head, is_gzip

EVERY = 30.0
"""Seconds between two lines where nobody watches a bar."""
_BLOCK = 2**22


class Progress:
    """Shows a bar (``interactive``), or says a line from time to time. Rows that were there before count as done, not
    as fast."""

    def __init__(self, total: int | None, unit: str, say: Callable[[str], None], interactive: bool):
        """``total``: rows of the table, where they could be counted; ``unit``: what an element is called."""
        self.total, self.unit, self.say, self.interactive = total, unit, say, interactive
        self.before = self.rows = self.elements = 0
        self.part_rows, self.part_elements, self.part_done = 0, 1, 0
        self.bar: Any = None
        self.started = self.said = time.monotonic()

    def __enter__(self) -> Self:
        if self.interactive:
            from rich import progress as rich_progress
            from rich.console import Console

            columns = rich_progress.BarColumn(), rich_progress.TextColumn("{task.fields[state]}")
            self.bar = rich_progress.Progress(*columns, console=Console(stderr=True))
            self.bar.start()
            self.task = self.bar.add_task("", total=self.total, state="")
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, where: TracebackType | None) -> None:
        if self.bar:
            self.bar.stop()

    def found(self, rows: int) -> None:
        """These rows were computed before."""
        self.before += rows
        self._show()

    def begin(self, rows: int, elements: int) -> None:
        """The next part: ``elements`` (tokens, images, records) are to be encoded for its ``rows``."""
        self.part_rows, self.part_elements, self.part_done = rows, max(1, elements), 0

    def encoded(self, elements: int) -> None:
        """So many of them are."""
        self.part_done += elements
        self._show()

    def end(self) -> None:
        """The part is written."""
        self.rows, self.elements = self.rows + self.part_rows, self.elements + self.part_done
        self.begin(0, 0)
        self._show()

    def state(self) -> str:
        """Rows, speed and the time that is left, in words."""
        seconds = max(time.monotonic() - self.started, 1e-9)
        now = self.rows + self.part_rows * min(1.0, self.part_done / self.part_elements)
        done, pace = self.before + now, now / seconds
        text = f"{done:,.0f}" + (f" of {self.total:,}" if self.total else "") + " rows"
        if pace:
            elements = (self.elements + self.part_done) / seconds
            text += f", {pace:,.1f} rows/s, {elements:,.0f} {self.unit}/s"
            if self.total and self.total > done:
                text += f", {_time((self.total - done) / pace)} left"
        return text

    def _show(self) -> None:
        if self.bar:
            self.bar.update(self.task, completed=self.before + self.rows, state=self.state())
        elif time.monotonic() - self.said > EVERY:
            self.said = time.monotonic()
            self.say(self.state())


def count_rows(source: str | Path | pd.DataFrame) -> int | None:
    """Rows of a table at a glance, to tell the time that is left: exact for DataFrames and Parquet, counted by headers
    in FASTA and by line ends in other text; None where a glance does not tell."""
    if isinstance(source, pd.DataFrame):
        return len(source)
    path = Path(source)
    if not path.is_file():
        return None
    try:
        kind = format_of(path, head(path)).NAME
        if kind == "Parquet":
            with ParquetFile(path) as file:
                return file.metadata.num_rows
        if kind == "FASTA":
            return _occurrences(path, b">")
        lines = _occurrences(path, b"\n")
    except (OSError, EOFError, zlib.error):  # whoever reads the rows will say it better
        return None
    return {"delimited text": max(0, lines - 1), "JSON lines": lines}.get(kind)


def _occurrences(path: Path, letter: bytes) -> int:
    with gzip.open(path) if is_gzip(path) else path.open("rb") as stream:
        return sum(block.count(letter) for block in iter(lambda: stream.read(_BLOCK), b""))


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
