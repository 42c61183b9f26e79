import io
import json
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from anlage.errors import AnlageError
from anlage.modalities.recognise import recognise
from anlage.samples.read import read
from anlage.splits.inspect import Inspection, inspect


def look(frame: pd.DataFrame | Path, *targets: str) -> Inspection:
    samples = read(frame)
    return inspect(samples, recognise(samples.frame), targets)


def show(found: Inspection) -> str:
    file = io.StringIO()
    Console(width=160, file=file).print(found.render())
    return file.getvalue()


def proteins() -> pd.DataFrame:
    base = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQ"
    sequences = [base[i:] + base[:i] for i in range(20)]
    sequences[1] = sequences[0].lower()  # equal after normalisation
    sequences[3] = sequences[2]
    sequences[5] = None
    sequences[6] = sequences[6][:5] + "1" + sequences[6][5:]
    labels = ["Nucleus", "Cytoplasm"] * 10
    labels[3] = labels[2]
    return pd.DataFrame({"sequence": sequences, "location": labels, "score": range(20)})


def test_what_is_found() -> None:
    found = look(proteins(), "location")
    columns = {c.name: c for c in found.columns}
    assert found.rows == 20
    assert columns["sequence"].modality == "protein" and columns["sequence"].missing == 1
    assert columns["sequence"].lengths == (33, 33, 34) and columns["sequence"].bad == 1
    assert columns["score"].numbers == (0, 9.5, 19)
    assert found.labels["location"] == {"Nucleus": 11, "Cytoplasm": 9}
    assert found.duplicates is not None
    assert (found.duplicates.groups, found.duplicates.rows) == (2, 4)
    assert found.duplicates.conflicts == {"location": 1}
    assert found.duplicates.examples == {"location": [["0", "1"]]}
    assert [p.id for p in found.problems if p.fatal] == ["6"]


def test_can_be_shown_and_stored() -> None:
    found = look(proteins(), "location")
    json.dumps(found.to_json())
    text = show(found)
    for word in ("20 rows", "protein", "33 / 33 / 34", "Nucleus", "conflicting labels: 1", "row 6"):
        assert word in text


def test_without_a_target() -> None:
    found = look(proteins())
    assert found.labels == {} and found.duplicates is not None and not found.duplicates.conflicts
    assert "20 rows" in show(found)


def test_markup_in_names_is_text() -> None:
    text = show(look(pd.DataFrame({"[red]a": range(9), "[/b]": ["x", "[/y]", "z"] * 3}), "[/b]"))
    assert "[red]a" in text and "[/y]" in text


def test_unknown_target() -> None:
    with pytest.raises(AnlageError, match="there are sequence"):
        look(proteins(), "locations")


def test_numbers_are_not_counted_one_by_one() -> None:
    frame = pd.DataFrame({"x": range(100), "y": [i / 7 for i in range(100)]})
    assert look(frame, "y").labels["y"] == {"(numbers)": 100, "(missing)": 0}


def test_deeploc(data: Path) -> None:
    found = look(data / "proteins/deeploc1.csv.gz", "location")
    assert found.rows == 13_861 and len(found.labels["location"]) == 11
    assert found.duplicates is not None and found.duplicates.rows == 18
