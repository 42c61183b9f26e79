"""Predictions → files, in pieces."""

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from anlage.errors import AnlageError
from anlage.output import write_frames


def frames() -> list[pd.DataFrame]:
    """Three pieces; no row of the first and last could be used."""
    usable = pd.DataFrame({"y": ["a,b", None], "y.a": [0.1 + 0.2, None]}, index=["r2", "r3"])
    return [pd.DataFrame(index=["r1"]), usable, pd.DataFrame(index=["r4"])]


READ = {
    ".csv": pd.read_csv,
    ".tsv": lambda path: pd.read_csv(path, sep="\t"),
    ".parquet": pd.read_parquet,
    ".jsonl": lambda path: pd.DataFrame([json.loads(line) for line in path.read_text().splitlines()]),
}


@pytest.mark.parametrize("suffix", READ)
def test_pieces_become_one_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "new" / f"predictions{suffix}"
    assert write_frames(frames(), path) == 4
    table = READ[suffix](path)
    assert list(table.columns) == ["id", "y", "y.a"]
    assert list(table["id"]) == ["r1", "r2", "r3", "r4"]
    assert table["y"].tolist()[1] == "a,b"
    assert table["y.a"].isna().tolist() == [True, False, True, True]
    assert table["y.a"][1] == pytest.approx(0.3, abs=1e-15)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_nothing_half_written_stays(tmp_path: Path) -> None:
    def broken() -> Iterator[pd.DataFrame]:
        yield frames()[1]
        raise AnlageError("row 3 broke")

    path = tmp_path / "predictions.csv"
    path.write_text("older")
    with pytest.raises(AnlageError, match="row 3"):
        write_frames(broken(), path)
    assert path.read_text() == "older"
    assert [p.name for p in tmp_path.iterdir()] == ["predictions.csv"]


def test_an_unknown_suffix_and_a_folder_in_the_way(tmp_path: Path) -> None:
    with pytest.raises(AnlageError, match=r"\.csv, \.tsv, \.jsonl, \.parquet"):
        write_frames([], tmp_path / "predictions.xlsx")
    (tmp_path / "file").write_text("")
    with pytest.raises(AnlageError, match="cannot be written"):
        write_frames([], tmp_path / "file" / "predictions.csv")
