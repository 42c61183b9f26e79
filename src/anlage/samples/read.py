"""From files or a DataFrame to Samples: one place where ids are made and every failure becomes one clear line."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from anlage.errors import AnlageError, Problem
from anlage.samples.chunk import Chunk
from anlage.samples.formats.images import IMAGES
from anlage.samples.formats.lookup import format_of
from anlage.samples.lines import head
from anlage.samples.samples import Samples
from anlage.samples.values import tidy

ID_NAMES = ("id", "ID", "Id")
_ROWS = 100_000
_REPEATED = 0.1


def read(source: str | Path | pd.DataFrame, id_column: str | None = None, where: Sequence[str] = ()) -> Samples:
    """Read a whole table.

    Args:
        source: a file, a folder of images, or a DataFrame (whose index holds the ids where no id column does).
        id_column: the column of row ids. Default: one called id, else row numbers from 0.
        where: COLUMN=VALUE[|VALUE...]; only rows that satisfy all of them are kept.

    Raises:
        AnlageError: nothing sound can be read; one line says from where and why.
    """
    samples = _finish(_gather(list(_chunks(source, _ROWS))), _name(source), _Ids(id_column))
    return keep(samples, where)


def read_parts(
    table: str | Path | pd.DataFrame,
    valid: str | Path | pd.DataFrame | None = None,
    test: str | Path | pd.DataFrame | None = None,
    id_column: str | None = None,
    where: Sequence[str] = (),
) -> Samples:
    """Read one table, or separate ones for training, validation and test, which become the values of a column
    ``split`` (train, valid, test). Where only one of the two others is given, the table's rows are all "train".

    Raises:
        AnlageError: as :func:`read`.
    """
    if valid is None and test is None:
        return read(table, id_column, where)
    chunks: list[Chunk] = []
    names: list[str] = []
    for part, source in (("train", table), ("valid", valid), ("test", test)):
        if source is None:
            continue
        chunk = _gather(list(_chunks(source, _ROWS)))
        if "split" in chunk.frame:
            chunk.notes.append(f"{_name(source)}: column split replaced by {part!r}, which the file stands for")
        chunks.append(Chunk(chunk.frame.assign(split=part), chunk.problems, chunk.notes))
        names.append(_name(source))
    for name, chunk in zip(names[1:], chunks[1:], strict=True):
        if not set(chunk.frame.columns).intersection(chunks[0].frame.columns) - {"split", *ID_NAMES}:
            raise AnlageError(f"{names[0]} and {name} have no column in common but ids")
    whole = _gather(chunks)
    if not isinstance(table, pd.DataFrame):
        # Numbers of rows would repeat from file to file.
        whole = Chunk(whole.frame.reset_index(drop=True), whole.problems, whole.notes)
    ids = _Ids(id_column)
    ids.decide(chunks[0].frame, whole.notes)
    samples = _finish(whole, names[0], ids)
    samples.sources = names
    samples.notes.append("column split: " + ", ".join(f"{n} = {c.frame['split'].iloc[0]}" for n, c in zip(
        names, chunks, strict=True) if len(c.frame)))  # fmt: skip
    return keep(samples, where)


def stream(
    source: str | Path | pd.DataFrame, rows: int = 10_000, id_column: str | None = None, where: Sequence[str] = ()
) -> Iterator[Samples]:
    """Read a table of any size, ``rows`` rows at a time; ids stay unique over all of them. ``where``: as :func:`read`,
    chunks without such a row come empty.

    Raises:
        AnlageError: as :func:`read`, at the latest when the broken place is reached.
    """
    ids = _Ids(id_column)
    start = kept = 0
    for chunk in _chunks(source, rows):
        if not isinstance(source, pd.DataFrame):
            chunk.frame.index = pd.RangeIndex(start, start + len(chunk.frame))
        start += len(chunk.frame)
        if len(chunk.frame) or chunk.problems:
            samples = _finish(chunk, _name(source), ids)
            for rule in where:
                samples.frame = samples.frame[_holds(samples.frame, rule)]
            kept += len(samples)
            yield samples
    if start == 0:
        raise AnlageError(f"{_name(source)}: holds no rows")
    if where and not kept:
        raise AnlageError(f"--where {' '.join(where)}: no row has it")


def keep(samples: Samples, where: Sequence[str]) -> Samples:
    """Only the rows that satisfy every COLUMN=VALUE[|VALUE...].

    Raises:
        AnlageError: no such column, or no row left.
    """
    for rule in where:
        rows = _holds(samples.frame, rule)
        if not rows.any():
            column = rule.partition("=")[0]
            listed = _listed(samples.frame[column].map(spelled).unique())
            raise AnlageError(f"--where {rule}: no row has it; {column} holds {listed}")
        notes = [*samples.notes, f"{rule}: {int(rows.sum()):,} of {len(rows):,} rows kept"]
        samples = Samples(samples.frame[rows], samples.sources, samples.id_column, samples.problems, notes)
    return samples


def _holds(frame: pd.DataFrame, rule: str) -> np.ndarray:
    """[rows] bool: which satisfy COLUMN=VALUE[|VALUE...]."""
    column, sign, wanted = rule.partition("=")
    if not sign:
        raise AnlageError(f"--where {rule}: write COLUMN=VALUE")
    if column not in frame:
        raise AnlageError(f"--where {rule}: no column {column}; there are {_listed(frame.columns)}")
    return frame[column].map(spelled).isin({spelled(v) for v in wanted.split("|")}).to_numpy()


class _Ids:
    """Makes ids unique, over all chunks of a source, and remembers which column they come from."""

    def __init__(self, column: str | None):
        self.column, self.decided = column, column is not None
        self.seen: set[str] = set()

    def decide(self, frame: pd.DataFrame, notes: list[str]) -> None:
        """Choose the id column, once: the first rows decide for all that follow."""
        if not self.decided:
            self.column, self.decided = self._choose(frame, notes), True

    def apply(self, frame: pd.DataFrame, name: str, problems: list[Problem], notes: list[str]) -> pd.DataFrame:
        self.decide(frame, notes)
        if self.column is not None and self.column not in frame:
            raise AnlageError(f"{name}: no id column {self.column}; there are {_listed(frame.columns)}")
        raw = frame[self.column] if self.column is not None else frame.index
        ids = [spelled(v) for v in raw]
        for i, value in enumerate(ids):
            if not value:
                ids[i] = value = f"row {i}"
                problems.append(Problem(value, str(self.column), "no id: the row number stands in", fatal=False))
            if value in self.seen:
                copy = 2
                while f"{value}#{copy}" in self.seen:
                    copy += 1
                ids[i] = f"{value}#{copy}"
                problems.append(Problem(ids[i], self.column or "id", f"id {value} stands more than once", fatal=False))
            self.seen.add(ids[i])
        if self.column is not None:
            frame = frame.drop(columns=self.column)
        return frame.set_axis(pd.Index(ids, dtype=object, name="id"), axis=0)

    @staticmethod
    def _choose(frame: pd.DataFrame, notes: list[str]) -> str | None:
        for name in ID_NAMES:
            if name in frame:
                distinct = frame[name].map(spelled).nunique()
                if distinct >= (1 - _REPEATED) * len(frame):
                    return name
                notes.append(
                    f"column {name} has {distinct:,} values in {len(frame):,} rows: not used as row id; "
                    f"--group {name} keeps its rows together"
                )
        return None


def spelled(value: object) -> str:
    """A value as ids, --where and --relabel write it: whole numbers without ".0", missing as ""."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    text = str(value)
    try:
        return str(int(number)) if (number := float(text)).is_integer() and text.endswith(".0") else text
    except (ValueError, OverflowError):
        return text


def _chunks(source: str | Path | pd.DataFrame, rows: int) -> Iterator[Chunk]:
    """The one place where whatever a parser raises becomes an AnlageError."""
    if isinstance(source, pd.DataFrame):
        if source.columns.nlevels > 1 or source.index.nlevels > 1:
            raise AnlageError("DataFrame: has a MultiIndex: flatten it first (reset_index)")
        frame = source.set_axis([str(c) for c in source.columns], axis=1)
        if frame.columns.has_duplicates:
            twice = frame.columns[frame.columns.duplicated()][0]
            raise AnlageError(f"DataFrame: column {twice} stands twice")
        for start in range(0, max(len(frame), 1), rows):
            yield Chunk(frame.iloc[start : start + rows])
        return
    path = Path(source)
    name = "a table"
    try:
        if not path.exists():
            raise AnlageError(f"{path}: no such file or folder")
        if path.is_file() and path.stat().st_size == 0:
            raise AnlageError(f"{path}: the file is empty")
        start_bytes = head(path) if path.is_file() else b""
        if path.is_file() and not start_bytes.strip():
            raise AnlageError(f"{path}: the file is empty")
        reader = format_of(path, start_bytes)
        name = reader.NAME
        for chunk in reader.chunks(path, rows):
            _resolve(chunk.frame, path)
            yield chunk
    except AnlageError:
        raise
    except Exception as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise AnlageError(f"{path}: not readable as {name}: {said}") from error


def _resolve(frame: pd.DataFrame, path: Path) -> None:
    """Image files named relative to the table are found beside it."""
    for column in frame.columns:
        if frame[column].dtype != object or not len(frame):
            continue
        first = next((v for v in frame[column] if isinstance(v, str) and v), "")
        if first.lower().endswith(IMAGES) and not Path(first).exists() and (path.parent / first).exists():
            frame[column] = [str(path.parent / v) if isinstance(v, str) and v else v for v in frame[column]]


def _gather(chunks: list[Chunk]) -> Chunk:
    if not chunks:
        return Chunk(pd.DataFrame({"(none)": []}))
    full = [c.frame for c in chunks if len(c.frame)] or [c.frame for c in chunks[:1]]
    frame = full[0] if len(full) == 1 else pd.concat(full, ignore_index=not _labelled(full))
    return Chunk(frame, [p for c in chunks for p in c.problems], [n for c in chunks for n in c.notes])


def _labelled(frames: list[pd.DataFrame]) -> bool:
    return any(not isinstance(f.index, pd.RangeIndex) for f in frames)


def _finish(chunk: Chunk, name: str, ids: _Ids) -> Samples:
    if not len(chunk.frame.columns):
        raise AnlageError(f"{name}: holds no columns")
    if not len(chunk.frame) and not chunk.problems:
        raise AnlageError(f"{name}: holds no " + ("images" if Path(name).is_dir() else "rows"))
    if not len(chunk.frame):
        raise AnlageError(f"{name}: no row can be read; first: {chunk.problems[0]}")
    problems, notes = list(chunk.problems), list(chunk.notes)
    frame = ids.apply(chunk.frame, name, problems, notes)
    frame, found = tidy(frame)
    return Samples(frame, [name], ids.column, problems + found, notes)


def _name(source: str | Path | pd.DataFrame) -> str:
    return "DataFrame" if isinstance(source, pd.DataFrame) else str(source)


def _listed(names: Sequence[str] | pd.Index | np.ndarray, most: int = 12) -> str:
    some = [str(n)[:40] for n in names[:most]]
    return ", ".join(some) + (f" … ({len(names)} in all)" if len(names) > most else "")
