"""Columns that say whose a row is (patient_id, donor, slide): rows of one owner are no independent samples."""

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd

OWNERS = frozenset(
    [
        *("patient", "subject", "donor", "individual", "participant", "person", "animal", "case", "mrn"),
        *("slide", "specimen", "sample", "biopsy", "exam", "scan", "volume"),
        *("document", "doc", "pmid", "admission", "hadm", "stay", "encounter", "visit"),
    ]
)
"""Words of a column name that say whose rows they are …"""
BESIDE = frozenset(["id", "ids", "identifier", "uid", "barcode", "number", "no", "nr", "num", "code", "key", "name"])
"""… and those that may stand beside them."""
_FEWEST = 5
"""So many values make a column of bare "case" or "sample" one of ids, not of kinds."""
_ALMOST_UNIQUE = 0.99
"""From this share of distinct values on a few rows were entered twice."""


def says_whose(column: str) -> bool:
    """patient_id, PatientID, subjects, doc_id; but not patient_age, sample_type. A column called id is one, too: where
    ids are unique they have become the names of the rows."""
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", column).lower())
    words = [w[:-2] if w.endswith("id") and w[:-2] in OWNERS else w for w in words]
    words = [w[:-1] if w.endswith("s") and w[:-1] in OWNERS else w for w in words]
    return words == ["id"] or (any(w in OWNERS for w in words) and all(w in OWNERS | BESIDE for w in words))


def repeating(columns: Mapping[str, pd.Series]) -> dict[str, int]:
    """Of these columns those that hold repeating ids by their names and their values, and how many different ones."""
    found = {}
    for name, values in columns.items():
        known = values.dropna()
        if not says_whose(name) or not len(known) or not isinstance(known.iloc[0], str | int | float | np.generic):
            continue
        if pd.api.types.is_float_dtype(known) and not (known == known.round()).all():
            continue
        distinct = known.nunique()
        fewest = 2 if set(re.findall(r"[a-z]+", name.lower())) & BESIDE or name.lower().endswith("id") else _FEWEST
        if fewest <= distinct < _ALMOST_UNIQUE * len(known):
            found[name] = int(distinct)
    return found
