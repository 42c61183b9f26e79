"""A split that the table brings along: which column names it, and what its values mean."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from anlage.errors import AnlageError
from anlage.samples.read import spelled
from anlage.splits.settings import WORDS, SplitSettings

NAMES = ("split", "set", "partition", "subset", "fold")
PARTS = {
    "train": "train", "training": "train", "valid": "valid", "val": "valid", "validation": "valid", "dev": "valid",
    "devel": "valid", "development": "valid", "test": "test", "testing": "test",
}  # fmt: skip
_LISTED = 10


def find(frame: pd.DataFrame) -> str | None:
    """The column that names each row's part: called split, set, …, with training rows and others among its values."""
    for name in NAMES:
        for column in frame.columns:
            if str(column).lower() != name:
                continue
            known = set(frame[column].dropna().astype(str).str.lower().map(PARTS).dropna())
            if "train" in known and len(known) > 1:
                return str(column)
    return None


def column(frame: pd.DataFrame, settings: SplitSettings) -> str | None:
    """The column whose values decide every row's part; None where the parts are drawn, or follow from time."""
    if settings.folds or settings.time is not None or settings.split in WORDS:
        return None
    return settings.split or find(frame)


def validation_flag(frame: pd.DataFrame) -> str | None:
    """FLIP's second column: True where a training row is meant for validation."""
    for column in frame.columns:
        if str(column).lower() == "validation":
            values = set(frame[column].dropna().astype(str).str.lower())
            if values and values <= {"true", "false"}:
                return str(column)
    return None


def parts(frame: pd.DataFrame, column: str, mapping: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """[rows] train, valid, test or none, and notes. ``mapping`` has "VALUE=PART" entries, where * stands
    for all values that are not named.

    AnlageError where the column is missing, a mapping cannot be read, or no row is left to train on."""
    if column not in frame:
        raise AnlageError(f"no column '{column}' to split by; columns: {', '.join(map(str, frame.columns[:20]))}")
    given: dict[str, str] = {}
    for entry in (piece for text in mapping for piece in text.split(",")):
        value, _, part = entry.rpartition("=")
        if part not in ("train", "valid", "test", "none") or not value:
            raise AnlageError(f"--map {entry}: write VALUE=PART with PART one of train, valid, test, none")
        given[value] = part
    others = given.pop("*", None)
    values = frame[column].astype(object).map(spelled)
    meant = values.map(given) if given or others else values.str.lower().map(PARTS)
    if others:
        meant = meant.where(meant.notna() | (values == ""), others)
    notes = []
    if absent := given.keys() - set(values):
        notes.append(f"no row has what --map names: {', '.join(sorted(absent))}")
    unknown = values[meant.isna()].value_counts()
    if len(unknown):
        listed = ", ".join(f"{value or '(missing)'} ({count} rows)" for value, count in unknown.iloc[:_LISTED].items())
        listed += f", … ({len(unknown)} values in all)" if len(unknown) > _LISTED else ""
        notes.append(f"left out, because '{column}' says neither train, valid nor test: {listed}")
    result = meant.fillna("none").to_numpy(dtype=object)
    flag = validation_flag(frame)
    if flag and flag != column:
        chosen = frame[flag].astype(str).str.lower().eq("true").to_numpy() & (result == "train")
        result[chosen] = "valid"
        if chosen.any():
            notes.append(f"{chosen.sum()} training rows are for validation, as column '{flag}' says")
    if not (result == "train").any():
        raise AnlageError(f"column '{column}' names no training rows: say what its values mean with --map VALUE=train")
    return result, notes
