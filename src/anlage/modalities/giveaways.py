"""Columns that a model had better not see: ids, split marks, comments, constants, and what gives the answer away."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from anlage.modalities.recognise import Recognised
from anlage.samples.values import PARTS

_SPLITS = re.compile(
    r"((is|in)_)?(split|set|subset|fold|folds|partition|validation|valid|val|train|training|test|cv|cv_fold|dataset)"
    r"|split_.*|.*_split|.*_fold"
)
_IDS = re.compile(
    r"id|ids|identifier|accession|uniprot|index|row|rownames|name|names|header|locus|variant|sample|barcode|patient"
    r"|subject|mrn|unnamed_.*|.*_(id|ids|accession|identifier|barcode)"
    r"|(record|patient|subject|sample|case|person|row|study|stay|icustay|visit|hadm|mol|doc|uniprot|chembl|c|s|pm)id"
)
_COMMENTS = re.compile(r"comments?|notes?|remarks?|description|title|free_text|text")
_PREDICTIONS = re.compile(r"(.*_)?(pred|preds|predicted|predictions?|yhat|y_hat|model_score|calc|calculated)(_.*)?")
_COUNTS = re.compile(
    r"(n_|num_|number_of_|no_of_)?(mutations?|mutants?|substitutions)(_count|_number)?|n_mut|hamming(_distance)?"
)
_OUTCOMES = re.compile(
    r"length_of_stay|los|los_.*|survival|survival_.*|.*_survival|time_to_(event|death|relapse|progression)|mortality"
    r"|(in_?hospital_|hospital_)?(death|died|mortality)|deceased|dead|date_of_death|discharge_(location|disposition)"
    r"|(os|dfs|pfs|rfs|dss|dmfs|efs)(_|\.)?(time|event|status|months|days|years|censor.*)"
)
_TIMES = ("duration", "futime", "follow_up", "followup", "follow_up_time", "time", "survtime", "days", "months", "t")
_EVENTS = ("event", "status", "fustat", "death", "censored", "censor", "cens", "delta", "dead", "e")
_ALONE = 0.99


@dataclass
class Suspicion:
    """What the rules look at: the table, the kinds of its columns, the targets."""

    frame: pd.DataFrame
    recognised: Mapping[str, Recognised]
    targets: Sequence[str]

    @cached_property
    def has_sequence(self) -> bool:
        """Is there a column (no target, no id) of packed tokens?"""
        return any(
            (m := self.recognised[c].modality) is not None and m.layout == "Tokens"
            for c in self.frame.columns
            if c not in self.targets and not _IDS.fullmatch(plain(c))
        )

    @cached_property
    def times_and_events(self) -> list[str]:
        """The columns of a time-to-event outcome, where both its time and its event are here."""
        times = [c for c in self.frame.columns if plain(c) in _TIMES]
        events = [c for c in self.frame.columns if plain(c) in _EVENTS]
        return times + events if times and events else []


def plain(name: str) -> str:
    """A column name in lower case with underscores: In-hospital_death, inHospitalDeath → in_hospital_death."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", str(name))
    return re.sub(r"[\s\-./]+", "_", spaced.strip()).lower()


def suspicion(column: str, context: Suspicion) -> str | None:
    """Why this column is left out by default, in words for the user; None: nothing speaks against it."""
    values, name = context.frame[column], plain(column)
    modality = context.recognised[column].modality
    if (
        modality is not None
        and not all(isinstance(v, str) for v in values.dropna().iloc[:100])
        and not (modality.joins_columns)
    ):
        return None  # arrays and lists: images, vectors
    distinct = values.nunique()
    if distinct == 0:
        return "holds no value"
    if _SPLITS.fullmatch(name) or _names_parts(values, distinct):
        return "names the split"
    if _PREDICTIONS.fullmatch(name):
        return "is somebody's prediction: it gives the answer away"
    if _OUTCOMES.fullmatch(name) or column in context.times_and_events:
        return "an outcome, known only afterwards: it gives the answer away"
    if _IDS.fullmatch(name):
        return "an id"
    if modality is not None and not modality.joins_columns:
        return None
    if _COMMENTS.fullmatch(name) and values.dtype == object:
        return "free text"
    if distinct == 1:
        return f"constant ({values.dropna().iloc[0]!s:.30}" + (" or missing)" if values.isna().any() else ")")
    if values.dtype == object:
        present = int(values.notna().sum())
        if present >= 20 and distinct > 0.5 * present:
            return f"text that hardly repeats ({distinct:,} values in {present:,} rows): an id or free text"
    if modality is None:
        return context.recognised[column].evidence
    if context.has_sequence and _COUNTS.fullmatch(name):
        return "counts the mutations of the sequence: it stands for the way the rows were chosen"
    return next((r for t in context.targets if (r := _alone(values, distinct, context.frame[t], t))), None)


def _names_parts(values: pd.Series, distinct: int) -> bool:
    if values.dtype != object or not 2 <= distinct <= 6:
        return False
    words = {str(v).strip().lower() for v in values.dropna().unique()}
    return len(words & PARTS.keys()) >= 2


def _alone(values: pd.Series, distinct: int, target: pd.Series, name: str) -> str | None:
    """Does this column say the target by itself: one to one, as a linear copy, or by a threshold?"""
    rows = (values.notna() & target.notna()).to_numpy()
    n = int(rows.sum())
    if n < 50 or n < 0.5 * len(values):
        return None
    x, y = values[rows], target[rows]
    labels = y.nunique()
    if labels < 2:
        return None
    if distinct <= min(4 * labels, 0.5 * n):
        x_codes, y_codes = pd.factorize(x)[0], pd.factorize(y)[0]
        pairs = pd.Series(x_codes * np.int64(labels) + y_codes).value_counts()
        most = pairs.groupby(pairs.index // labels).max().sum()
        back = pairs.groupby(pairs.index % labels).max().sum()
        if most > _ALONE * n and back > _ALONE * n:
            return f"goes one to one with {name} in {min(most, back) / n:.1%} of the rows: it gives the answer away"
    if x.dtype == object or y.dtype == object and labels > 2:
        return None
    xs = x.to_numpy(dtype=np.float64)
    if labels == 2 and distinct > 2 and n >= 200:
        low, high = (xs[pd.factorize(y)[0] == k] for k in (0, 1))
        if max(len(low), len(high)) < n - 20 and (low.max() <= high.min() or high.max() <= low.min()):
            return f"one threshold on it tells {name} without an error: it gives the answer away"
    elif labels > 20:
        ys = y.to_numpy(dtype=np.float64)
        if np.isfinite(xs).all() and np.isfinite(ys).all() and xs.std() > 0 and ys.std() > 0:
            r = float(np.corrcoef(xs, ys)[0, 1])
            if abs(r) > 0.9999:
                return f"is {name} in other units (correlation {r:.5f}): it gives the answer away"
    return None
