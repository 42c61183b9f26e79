"""JSON lines: one object a line, plain or gzip."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from anlage.errors import AnlageError, Problem
from anlage.samples.chunk import Chunk
from anlage.samples.lines import lines

NAME = "JSON lines"
SUFFIXES = (".jsonl", ".ndjson", ".json")
MAX_COLUMNS = 100_000


def recognises(path: Path, head: bytes) -> bool:
    """Starts with an object."""
    return path.is_file() and head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{")


def chunks(path: Path, rows: int) -> Iterator[Chunk]:
    """Frames of at most ``rows`` objects; absent keys are missing. Lines that are no JSON object are named.

    Raises:
        AnlageError: most lines are no JSON objects.
    """
    notes: list[str] = []
    records: list[dict[str, Any]] = []
    problems: list[Problem] = []
    good = bad = 0
    for number, text in lines(path, notes):
        if not text.strip():
            continue
        try:
            record = json.loads(text)
            if not isinstance(record, dict):
                raise ValueError("not a JSON object")
        except (ValueError, RecursionError) as error:
            bad += 1
            reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
            problems.append(Problem(f"line {number}", "(all)", f"{reason}: the row is left out"))
            continue
        good += 1
        records.append(record)
        if len(records) == rows:
            yield Chunk(_frame(path, records), problems, notes)
            records, problems, notes = [], [], []
    if bad > good:
        raise AnlageError(
            f"{path}: {bad} of {good + bad} lines are no JSON objects"
            + (f", first {problems[0].id} ({problems[0].reason.split(':')[0]})" if problems else "")
            + ": JSON lines hold one object {…} a line"
        )
    yield Chunk(_frame(path, records), problems, notes)


def _frame(path: Path, records: list[dict[str, Any]]) -> pd.DataFrame:
    names: dict[str, None] = {}
    for record in records:
        names.update(dict.fromkeys(record))
        if len(names) > MAX_COLUMNS or len(names) * len(records) > 500_000_000:
            raise AnlageError(f"{path}: more than {MAX_COLUMNS:,} different keys: not a table")
    return pd.DataFrame({n: pd.Series([r.get(n) for r in records], dtype=object) for n in names})
