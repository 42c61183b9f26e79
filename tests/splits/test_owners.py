"""Columns of repeating ids are told by their names and their values."""

import numpy as np
import pandas as pd
import pytest

from anlage.splits.owners import repeating, says_whose

IDS = pd.Series(np.arange(100) // 4)


@pytest.mark.parametrize(
    "name",
    ["patient_id", "PatientID", "patientid", "Patient ID", "subject", "subjects", "donor_id", "slide", "doc_id", "id",
     "Sample.Name", "case_number", "patient_barcode"],
)  # fmt: skip
def test_names_that_say_whose(name: str) -> None:
    assert says_whose(name) and repeating({name: IDS}) == {name: 25}


@pytest.mark.parametrize(
    "name", ["patient_age", "sample_type", "idea", "casein", "outpatient", "slide_scanner", "donor_sex", "acid", "grid"]
)
def test_names_that_do_not(name: str) -> None:
    assert not says_whose(name) and not repeating({name: IDS})


@pytest.mark.parametrize(
    "values",
    [
        np.arange(100),  # no value repeats
        np.minimum(np.arange(1000), 998),  # one row was entered twice
        np.zeros(100),
        np.arange(100) % 4,  # four kinds of cases
        np.repeat(np.linspace(0.05, 1, 25), 4),  # a measurement
        [np.zeros(2)] * 100,
        [None] * 100,
    ],
)
def test_values_that_are_no_repeating_ids(values: object) -> None:
    assert not repeating({"case": pd.Series(list(values))})  # type: ignore[call-overload]


def test_few_donors_are_ids_where_the_name_says_so() -> None:
    assert repeating({"donor_id": pd.Series(["d1", "d2", "d3"] * 30)}) == {"donor_id": 3}
