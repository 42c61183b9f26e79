"""A split by time: what is learned on the past is tested on what came after."""

import re

import numpy as np
import pandas as pd

from anlage.errors import AnlageError
from anlage.samples.read import spelled
from anlage.splits.settings import SplitSettings

_SHOWN = 5
_DAY_AND_MONTH = re.compile(r"\s*(\d{1,2})[./-](\d{1,2})[./-](\d{4}|\d{2})\b")


def parts(frame: pd.DataFrame, settings: SplitSettings) -> tuple[np.ndarray, str, list[str]]:
    """[rows] train, valid, test, or none where the time cannot be read; how it was done; and notes that name those.

    About ``test_fraction`` of the rows are tested, and about ``valid_fraction`` of the others validate; rows of one
    time stay together. AnlageError where the column is missing, dates are ambiguous, or there are too few times."""
    column = str(settings.time)
    if column not in frame:
        raise AnlageError(f"--time {column}: no such column; columns: {', '.join(map(str, frame.columns[:20]))}")
    times = read_times(frame[column])
    known = pd.notna(times)
    part = np.full(len(frame), "none", dtype=object)
    part[known] = "train"
    begins = {}
    for name, fraction, others in (("test", settings.test_fraction, 2), ("valid", settings.valid_fraction, 1)):
        rows = np.flatnonzero(part == "train")
        first = upper(times[rows], fraction, others)
        if first is None:
            raise AnlageError(
                f"--time {column}: {len(np.unique(times[known]))} distinct times are too few to divide by"
            )
        part[rows[times[rows] >= first]] = name
        begins[name] = _shown(first)
    notes = []
    if not known.all():
        unread = frame[column][~known].astype(object).map(spelled)
        named = [repr(text[:40]) for text in dict.fromkeys(unread) if text]
        listed = f": {', '.join(named[:_SHOWN])}{', …' if len(named) > _SHOWN else ''}" if named else ""
        empty = int((unread == "").sum())
        notes.append(
            f"left out, because '{column}' says no time: {(~known).sum()} rows ({empty} of them empty){listed}"
        )
    how = f"by time: '{column}' from {begins['test']} on is tested, from {begins['valid']} on validates"
    return part, how, notes


def read_times(column: pd.Series) -> np.ndarray:
    """[rows] float64 where all values are numbers, else datetime64[ns]; NaN or NaT where there is no time to read.

    AnlageError where days and months cannot be told apart."""
    if pd.api.types.is_datetime64_any_dtype(column):
        return pd.to_datetime(column, utc=True).dt.tz_localize(None).to_numpy(dtype="datetime64[ns]")
    present = column.notna() & (column.astype(object).map(spelled) != "")
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    numbers[~np.isfinite(numbers)] = np.nan
    if np.isfinite(numbers[present]).mean() > 0.5:
        return numbers
    text = column.where(present).astype(object).map(lambda v: str(v).strip(), na_action="ignore")
    found = pd.to_datetime(text, errors="coerce", format="mixed", utc=True, dayfirst=_day_first(column.name, text))
    return found.dt.tz_localize(None).to_numpy(dtype="datetime64[ns]")


def _day_first(name: object, text: pd.Series) -> bool:
    """Does 3/4/2021 mean the third of April? Some value above 12 must tell."""
    matches = [m for m in map(_DAY_AND_MONTH.match, text.dropna()) if m]
    first, second = (max((int(m[k]) for m in matches), default=0) for k in (1, 2))
    if matches and first <= 12 and second <= 12:
        raise AnlageError(
            f"--time {name}: {matches[0][0]!r} may be day or month first, and no row tells: write dates as 2021-04-03"
        )
    return first > 12


def upper(values: np.ndarray, fraction: float, others: int = 1) -> float | np.datetime64 | None:
    """The value from which on about this fraction of the ``values`` (none missing) lie, with at least so many
    ``others`` below it that differ. None where there are too few."""
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) <= others:
        return None
    share = np.cumsum(counts[::-1])[::-1] / len(values)
    return distinct[others + int(np.argmin(np.abs(share[others:] - fraction)))]


def _shown(time: float | np.datetime64) -> str:
    if isinstance(time, np.datetime64):
        stamp = pd.Timestamp(time)
        return str(stamp.date()) if stamp == stamp.normalize() else str(stamp)
    return spelled(time)
