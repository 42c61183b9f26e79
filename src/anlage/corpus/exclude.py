"""Rows that must not be in a corpus: what a model will be judged by later."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from anlage.errors import AnlageError
from anlage.modalities.inputs import Input
from anlage.modalities.recognise import recognise
from anlage.samples.read import read
from anlage.splits import given

Say = Callable[[str], None]


@dataclass
class Excluded:
    """The values of one table that count, in normal form."""

    name: str
    frame: pd.DataFrame
    what: str
    """Which rows of which column, in words."""


def excluded_tables(tables: Sequence[str], parts: Sequence[str], item: Input) -> list[Excluded]:
    """The checked values of each FILE or FILE:COLUMN. AnlageError where a table has no such column, or several."""
    return [_table(text, parts, item) for text in tables]


def _table(text: str, parts: Sequence[str], item: Input) -> Excluded:
    file, mark, column = text.rpartition(":")
    if not mark or Path(text).exists():
        file, column = text, ""
    samples = read(file)
    frame = samples.frame
    columns = [column] if column else _columns(frame, item, text)
    for name in columns:
        if name not in frame:
            raise AnlageError(f"--exclude {text}: no column '{name}'; columns: {', '.join(frame.columns[:20])}")
    shown = ", ".join(columns)
    split = given.find(frame)
    what = f"all {len(frame):,} rows of column {shown}"
    if split is not None:
        part, _ = given.parts(frame, split, ())
        counts = np.isin(part, parts) | (part == "none")  # of values that name no part nobody knows what they are for
        frame = frame[counts]
        what = f"{len(frame):,} rows of column {shown}, the {' and '.join(parts)} part by its column {split}"
    checked = item.modality.check(frame[columns].set_axis(item.columns, axis=1)).frame
    return Excluded(Path(file).name, checked[checked.notna().any(axis=1)], what)


def _columns(frame: pd.DataFrame, item: Input, text: str) -> list[str]:
    """The columns of a table that hold what the corpus holds."""
    if all(column in frame for column in item.columns):
        return item.columns
    if item.modality.joins_columns:
        lacking = [column for column in item.columns if column not in frame]
        raise AnlageError(f"--exclude {text}: lacks the column '{lacking[0]}' of the corpus")
    found = [
        name
        for name, seen in recognise(frame).items()
        if seen.modality is not None and seen.modality.name == item.modality.name
    ]
    if len(found) != 1:
        several = f"has several columns of {item.modality.name}" if found else f"has no column of {item.modality.name}"
        listed = ", ".join(found or frame.columns[:20])
        raise AnlageError(f"--exclude {text}: {several}: name one of {listed} as {text}:COLUMN")
    return found


def equal_rows(item: Input, frame: pd.DataFrame, excluded: pd.DataFrame) -> np.ndarray:
    """[rows of frame] bool: which equal any of the excluded rows."""
    both = pd.concat([frame, excluded]) if len(excluded) else frame
    groups = item.modality.groups(both)
    return np.isin(groups[: len(frame)], groups[len(frame) :]) & (groups[: len(frame)] >= 0)
