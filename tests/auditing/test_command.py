"""``anlage audit``, as a user calls it."""

import json
from pathlib import Path

import pandas as pd
import pytest
from planted import Planted, planted

from anlage.commands.audit import audit
from anlage.errors import AnlageError


@pytest.fixture
def table(tmp_path: Path) -> tuple[Path, Planted]:
    made = planted("record", telling_id=True)
    made.frame.to_csv(tmp_path / "cohort.csv", index=False)
    return tmp_path / "cohort.csv", made


def test_table_on_the_screen_rows_and_json_in_files(
    table: tuple[Path, Planted], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, made = table
    rows, found = tmp_path / "out" / "rows.csv", tmp_path / "out" / "audit.json"
    audit([str(path), "--target", "label", "--rows", str(rows), "--json", str(found)])
    shown = capsys.readouterr().out
    assert shown.startswith("LEAK: ") and "patient_id" in shown and "looked for" in shown
    examples = pd.read_csv(rows)
    assert set(examples[examples.finding == "duplicates"]["id"]) == made.duplicates
    assert {f["kind"] for f in json.loads(found.read_text())["findings"]} >= {"duplicates", "straddling groups"}
    assert not [i for i in made.frame["id"] if i in found.read_text() + shown]


def test_json_on_the_screen_is_all_there_is(table: tuple[Path, Planted], capsys: pytest.CaptureFixture[str]) -> None:
    audit([str(table[0]), "--target", "label", "--json", "-"])
    assert set(json.loads(capsys.readouterr().out)) == {"findings", "checked", "skipped"}


def test_without_a_table_and_into_no_folder(table: tuple[Path, Planted], tmp_path: Path) -> None:
    with pytest.raises(AnlageError, match="which table"):
        audit([])
    with pytest.raises(AnlageError, match="cannot be written"):
        audit([str(table[0]), "--target", "label", "--json", str(tmp_path / "cohort.csv" / "a.json")])
