"""A table of any size → one file of vectors: part by part, each computed once however often it is interrupted."""

import hashlib
import os
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import pandas as pd

from anlage.embedding import vectors_file
from anlage.embedding.part import PartEncoder, Problems
from anlage.embedding.pca_map import check_map, draw_map
from anlage.embedding.progress import Progress, count_rows
from anlage.embedding.settings import EmbedSettings
from anlage.embedding.shards import Counts, Shards
from anlage.embedding.source import Source, fitted, from_pretrained, from_run
from anlage.errors import AnlageError
from anlage.run import Run
from anlage.samples.hashing import data_hash
from anlage.samples.read import stream
from anlage.samples.samples import Samples

READ_ROWS = 1024
"""Rows that are read together, and by which columns are recognised."""
ROWS, ROWS_OF_MANY = 1024, 64
"""Rows of a part by default: where each is one vector; where each is an image, or many vectors."""
UNITS = {"Tokens": "tokens", "Grid": "images"}
"""By layout, what is counted to tell the speed."""
Say = Callable[[str], None]


class Job:
    """The vectors that ``source`` makes of all rows of ``table``, on their way to the file ``out``."""

    def __init__(
        self,
        source: str | Run,
        table: str | Path | pd.DataFrame,
        out: Path,
        settings: EmbedSettings,
        overwrite: bool,
        say: Say,
    ):
        """Read the first rows and load the model. AnlageError, before any work is done, for whatever does not fit."""
        vectors_file.check_suffix(out)
        check_map(settings)
        if out.exists() and not overwrite:
            raise AnlageError(f"{out} is there already: name another -o, or say --overwrite")
        self.table, self.out, self.settings, self.say = table, out, settings, say
        run, text = fitted(source), str(source.path) if isinstance(source, Run) else source
        self.id_column = settings.id or (run.fit_settings.data.id if run else None)
        later = stream(table, READ_ROWS, self.id_column)
        first = next(later)
        self.chunks = chain([first], later)
        self.source = (
            from_run(run, settings.column) if run else from_pretrained(text, settings.column, first.frame, say)
        )
        self.source.preparation.check(first.frame.iloc[:1])  # names an input column that is not there
        self.layouts = {item.modality.layout for item in self.source.preparation.inputs}
        self.rows = settings.rows or (ROWS_OF_MANY if settings.level == "element" or "Grid" in self.layouts else ROWS)
        self.problems = Problems(say)
        self.encoder = PartEncoder(self.source, settings, self.problems)
        self.made_by = {**self.source.identity, "level": settings.level, "dtype": settings.dtype,
                        "precision": settings.precision, "source": text}  # fmt: skip
        decisive = {name: value for name, value in self.made_by.items() if name != "source"}
        self.shards = Shards(out, {**decisive, "rows": self.rows, "id": self.id_column}, overwrite)

    def run(self, interactive: bool) -> Counts:
        """Compute the parts that are not there yet and join all of them. Once."""
        total, parts = Counts(), 0
        unit = UNITS.get(*self.layouts, "records") if len(self.layouts) == 1 else "parts"  # type: ignore[call-overload]
        with Progress(count_rows(self.table), unit, self.say, interactive) as progress:
            for frame in _cut(self.chunks, self.source, self.rows, self.problems):
                total, parts = total + self._part(parts, frame, progress), parts + 1
        self.problems.end()
        if not total.vectors:
            raise AnlageError(
                f"{self.table if isinstance(self.table, str | Path) else 'DataFrame'}: no row of it could be used"
            )
        vectors_file.write(self.shards.batches(parts), self.encoder.schema, total.vectors, self.made_by, self.out)
        self.shards.remove()
        self.say(f"{total.vectors:,} vectors of {self.encoder.coder.width:,} numbers: {self.out}")
        if total.cropped:
            self.say(f"{total.cropped:,} rows were longer than max_length: only both their ends were read")
        if total.left_out:
            self.say(f"{total.left_out:,} of {total.rows:,} rows could not be used: they are left out")
        if self.settings.map:
            draw_map(self.out, self.table, self.settings.color, self.id_column, self.settings.map)
        return total

    def _part(self, number: int, frame: pd.DataFrame, progress: Progress) -> Counts:
        """What part ``number``, made from these rows, holds: as it was found, or computed now."""
        digest = _digest(frame, self.source)
        counts = self.shards.done(number, digest)
        if counts is not None:
            progress.found(len(frame))
            return counts
        counts = Counts(rows=len(frame))
        self.shards.write(number, digest, self.encoder(frame, counts, progress), self.encoder.schema, counts)
        progress.end()
        return counts


def _cut(chunks: Iterator[Samples], source: Source, rows: int, problems: Problems) -> Iterator[pd.DataFrame]:
    """Frames of exactly ``rows`` rows (the last may have fewer), however many the readers yield at once."""
    columns = [name for item in source.preparation.inputs for name in item.columns]
    waiting: list[pd.DataFrame] = []
    for samples in chunks:
        problems.tell(samples.problems)
        # a column that the first rows have may be absent from some others (JSON lines): missing there
        waiting.append(samples.frame.reindex(columns=columns))
        while sum(map(len, waiting)) >= rows:
            whole = pd.concat([f for f in waiting if len(f)])
            yield whole.iloc[:rows]
            waiting = [whole.iloc[rows:]]
    if sum(map(len, waiting)):
        yield pd.concat([f for f in waiting if len(f)])


def _digest(frame: pd.DataFrame, source: Source) -> str:
    """A hash of all that these rows bring to their vectors: ids and inputs, in order; of image files, when they were
    changed and how large they are."""
    digest = hashlib.sha256("\0".join(frame.index).encode("utf-8", "surrogatepass"))
    digest.update(data_hash(frame).encode())
    for item in source.preparation.inputs:
        if item.modality.layout == "Grid":
            for cell in frame[item.columns[0]]:
                if isinstance(cell, str) and os.path.exists(cell):
                    file = os.stat(cell)
                    digest.update(f"{file.st_size} {file.st_mtime_ns}\n".encode())
    return digest.hexdigest()
