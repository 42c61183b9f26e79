"""Tables of predictions → a file, frame by frame, for tables larger than memory."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from anlage.errors import AnlageError

if TYPE_CHECKING:
    import pandas as pd

Write = Callable[["pd.DataFrame"], None]


def write_frames(frames: Iterable["pd.DataFrame"], path: Path) -> int:
    """Write ``frames`` (index = row ids, saved as the column ``id``) to a .csv, .tsv, .jsonl or .parquet file; returns
    the number of rows.

    The file appears under its name only when it is whole. A frame without columns (none of its rows could be used)
    gets empty cells in those of the others. Raises AnlageError for another suffix and where nothing can be written.
    """
    rows = 0
    check_suffix(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _FORMATS[path.suffix.lower()](part) as write:
            for frame in _alike(frames):
                write(frame.rename_axis("id").reset_index())
                rows += len(frame)
        part.replace(path)
    except OSError as error:
        raise AnlageError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        if part.exists():
            part.unlink()
    return rows


def check_suffix(path: Path) -> None:
    """Raise AnlageError where no format has this suffix, before any work is done."""
    if path.suffix.lower() not in _FORMATS:
        raise AnlageError(f"{path}: predictions can be written as {', '.join(_FORMATS)}")


def _alike(frames: Iterable["pd.DataFrame"]) -> Iterator["pd.DataFrame"]:
    """All frames with the columns of the first that has any; what comes before it joins it, to show its types."""
    import pandas as pd

    early: list[pd.DataFrame] = []
    columns = None
    for frame in frames:
        if columns is not None:
            yield frame.reindex(columns=columns)
            continue
        early.append(frame)
        if len(frame.columns):
            columns = frame.columns
            yield pd.concat(early)
            early = []
    yield from early


@contextmanager
def _text(path: Path, first: Callable[["pd.DataFrame"], str], more: Callable[["pd.DataFrame"], str]) -> Iterator[Write]:
    with path.open("w", encoding="utf-8", newline="") as stream:
        to_text = first

        def write(frame: "pd.DataFrame") -> None:
            nonlocal to_text
            stream.write(to_text(frame))
            to_text = more

        yield write


def _separated(by: str) -> Callable[[Path], AbstractContextManager[Write]]:
    return lambda path: _text(
        path,
        lambda frame: frame.to_csv(index=False, sep=by, lineterminator="\n"),
        lambda frame: frame.to_csv(index=False, sep=by, lineterminator="\n", header=False),
    )


def _json_lines(path: Path) -> AbstractContextManager[Write]:
    def lines(frame: "pd.DataFrame") -> str:
        return frame.to_json(orient="records", lines=True, double_precision=15) if len(frame) else ""

    return _text(path, lines, lines)


@contextmanager
def _parquet(path: Path) -> Iterator[Write]:
    import pyarrow as pa
    from pyarrow import parquet

    writer = None

    def write(frame: "pd.DataFrame") -> None:
        nonlocal writer
        table = pa.Table.from_pandas(frame, schema=writer.schema if writer else None, preserve_index=False)
        writer = writer or parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)

    try:
        yield write
    finally:
        if writer:
            writer.close()


_FORMATS: dict[str, Callable[[Path], AbstractContextManager[Write]]] = {
    ".csv": _separated(","),
    ".tsv": _separated("\t"),
    ".jsonl": _json_lines,
    ".parquet": _parquet,
}
