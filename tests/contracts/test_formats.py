"""What every file format must do. A new format fails here until ``good_files`` can write one."""

from pathlib import Path

import pandas as pd
import pytest
from samples.good_files import ROWS, WRITERS

from anlage.samples.formats.lookup import format_of, formats
from anlage.samples.hashing import data_hash
from anlage.samples.lines import head
from anlage.samples.read import read, stream


def test_every_format_has_a_good_file() -> None:
    assert set(WRITERS) == set(formats()), "write a good file of the new format in tests/samples/good_files.py"


@pytest.mark.parametrize("name", sorted(formats()))
def test_is_recognised_by_its_module_alone(name: str, tmp_path: Path) -> None:
    for path in WRITERS[name](tmp_path):
        start = head(path) if path.is_file() else b""
        assert format_of(path, start) is formats()[name]
        assert [n for n, f in formats().items() if f.recognises(path, start)] == [name]


@pytest.mark.parametrize("name", sorted(formats()))
def test_chunks_hold_at_most_the_rows_asked_for_and_all_of_them(name: str, tmp_path: Path) -> None:
    for path in WRITERS[name](tmp_path):
        frames = [c.frame for c in formats()[name].chunks(path, 3)]
        assert max(map(len, frames)) <= 3
        assert sum(map(len, frames)) == ROWS


@pytest.mark.parametrize("name", sorted(formats()))
def test_streaming_gives_the_rows_of_reading_at_once(name: str, tmp_path: Path) -> None:
    for path in WRITERS[name](tmp_path):
        whole = read(path)
        parts = [s.frame for s in stream(path, rows=3)]
        assert [i for part in parts for i in part.index] == list(whole.frame.index)
        assert whole.frame.index.is_unique and len(whole) == ROWS
        assert not whole.problems
        together = pd.concat([p.astype(object) for p in parts])
        for column in whole.frame:
            for one, other in zip(together[column], whole.frame[column], strict=True):
                assert str(one) == str(other) or (pd.isna(one) and pd.isna(other)) or float(one) == float(other)


@pytest.mark.parametrize("name", sorted(formats()))
def test_reading_twice_gives_the_same_hash(name: str, tmp_path: Path) -> None:
    for path in WRITERS[name](tmp_path):
        assert data_hash(read(path).frame) == data_hash(read(path).frame.iloc[::-1])
