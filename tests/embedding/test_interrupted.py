"""Killed at any moment, an embedding goes on where it stopped, and parts of another job are never taken for its own."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyarrow import parquet

import anlage
from anlage.embedding import shards
from anlage.embedding.encode import Coder
from anlage.errors import AnlageError


class Watch:
    """Counts the rows that are encoded, and interrupts in a part of its choice."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.stop_at: int | None = None


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    seen, real = Watch(), Coder.samples

    def samples(self: Coder, table: Any, done: Any) -> Any:
        if len(seen.rows) == seen.stop_at:
            raise KeyboardInterrupt
        seen.rows.append(len(table))
        return real(self, table, done)

    monkeypatch.setattr(Coder, "samples", samples)
    return seen


def start(run: anlage.Run, table: Any, out: Path, **options: Any) -> list[str]:
    said: list[str] = []
    anlage.embed(run, table, out=out, say=said.append, **{"rows": 8, **options})
    return said


def interrupted(watch: Watch, run: anlage.Run, table: Any, out: Path, **options: Any) -> None:
    """Three parts of five are done."""
    watch.stop_at = 3
    with pytest.raises(KeyboardInterrupt):
        start(run, table, out, **options)
    watch.stop_at = None
    watch.rows.clear()


def test_no_part_is_computed_twice_and_the_file_is_the_same(
    fitted: anlage.Run, proteins: Any, tmp_path: Path, watch: Watch
) -> None:
    whole, out = tmp_path / "whole.parquet", tmp_path / "v.parquet"
    start(fitted, proteins(40), whole)
    watch.rows.clear()
    interrupted(watch, fitted, proteins(40), out)
    assert not out.exists() and (tmp_path / "v.parquet.parts").is_dir()
    start(fitted, proteins(40), out)
    assert watch.rows == [8, 8]
    assert out.read_bytes() == whole.read_bytes()
    assert not (tmp_path / "v.parquet.parts").exists()


def test_a_part_counts_when_it_is_safe(
    fitted: anlage.Run, proteins: Any, tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vectors are written, the process dies before the note that they are: they are computed again."""
    out, real = tmp_path / "v.parquet", os.fsync
    synced: list[int] = []

    def dies(file: int) -> None:
        synced.append(file)
        if len(synced) == 6:  # job, vectors, note, vectors, note, vectors
            raise KeyboardInterrupt
        real(file)

    monkeypatch.setattr(shards.os, "fsync", dies)
    with pytest.raises(KeyboardInterrupt):
        start(fitted, proteins(40), out)
    assert len(watch.rows) == 3
    (out.parent / "v.parquet.parts" / "000002.arrow").write_bytes(b"half")
    watch.rows.clear()
    start(fitted, proteins(40), out)
    assert watch.rows == [8, 8, 8]
    assert len(pd.read_parquet(out)) == 40


def test_killed_while_joining(
    fitted: anlage.Run, proteins: Any, tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, real = tmp_path / "v.parquet", shards.Shards.batches

    def dies(self: shards.Shards, parts: int) -> Iterator[Any]:
        yield next(real(self, parts))
        raise KeyboardInterrupt

    monkeypatch.setattr(shards.Shards, "batches", dies)
    with pytest.raises(KeyboardInterrupt):
        start(fitted, proteins(40), out)
    assert [path.name for path in tmp_path.iterdir()] == ["v.parquet.parts"]
    monkeypatch.setattr(shards.Shards, "batches", real)
    watch.rows.clear()
    start(fitted, proteins(40), out)
    assert watch.rows == [] and len(pd.read_parquet(out)) == 40


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"precision": "bf16"}, "precision"),
        ({"dtype": "float16"}, "dtype"),
        ({"level": "element"}, "level"),
        ({"rows": 9}, "rows"),
    ],
)
def test_parts_of_another_job_are_refused(
    fitted: anlage.Run, proteins: Any, tmp_path: Path, watch: Watch, options: dict[str, Any], named: str
) -> None:
    out = tmp_path / "v.parquet"
    interrupted(watch, fitted, proteins(40), out)
    with pytest.raises(AnlageError, match=rf"holds parts of another job \(other {named}\).*--overwrite"):
        start(fitted, proteins(40), out, **options)
    start(fitted, proteins(40), out, overwrite=True, **options)
    assert len(pd.read_parquet(out).groupby("id")) == 40


def test_parts_of_another_model_are_refused(
    fitted: anlage.Run, fused: anlage.Run, proteins: Any, tmp_path: Path, watch: Watch
) -> None:
    out = tmp_path / "v.parquet"
    interrupted(watch, fitted, proteins(40), out)
    with pytest.raises(AnlageError, match=r"other sha256"):
        start(fused, proteins(40), out)


def test_a_table_that_has_changed_is_noticed(fitted: anlage.Run, proteins: Any, tmp_path: Path, watch: Watch) -> None:
    out, table, changed = tmp_path / "v.parquet", proteins(40), proteins(40)
    changed.loc["p9", "sequence"] = "MKV" + changed.loc["p9", "sequence"][3:]
    swapped = table.iloc[[1, 0, *range(2, 40)]]
    file = tmp_path / "t.csv"
    table.to_csv(file)
    interrupted(watch, fitted, file, out)
    for other in (changed, swapped):
        other.to_csv(file)
        os.utime(file, (0, 0))
        with pytest.raises(AnlageError, match="made from other rows than the table has now"):
            start(fitted, file, out)
    changed.to_csv(file)
    start(fitted, file, out, overwrite=True)
    assert watch.rows == [8, 8, 8]  # the second part, and the two that were not there
    start(fitted, changed, tmp_path / "whole.parquet")
    assert parquet.read_table(out).equals(parquet.read_table(tmp_path / "whole.parquet"))


def test_image_files_that_have_changed_are_noticed(
    pictures: tuple[anlage.Run, pd.DataFrame], tmp_path: Path, watch: Watch
) -> None:
    Image = pytest.importorskip("PIL.Image", reason="image files need pip install 'anlage[images]'")
    run, table = pictures
    folder = tmp_path / "images"
    folder.mkdir()
    for i, pixels in enumerate(table["image"]):
        Image.fromarray(pixels).save(folder / f"{i:02d}.png")
    interrupted(watch, run, folder, tmp_path / "v.parquet")
    Image.fromarray(255 - table["image"][0]).save(folder / "00.png")
    with pytest.raises(AnlageError, match="made from other rows"):
        start(run, folder, tmp_path / "v.parquet")


def test_a_file_that_is_there_is_kept(fitted: anlage.Run, proteins: Any, tmp_path: Path, watch: Watch) -> None:
    out = tmp_path / "v.parquet"
    out.write_text("mine")
    with pytest.raises(AnlageError, match="v.parquet is there already: name another -o, or say --overwrite"):
        start(fitted, proteins(10), out)
    assert out.read_text() == "mine" and watch.rows == []
    start(fitted, proteins(10), out, overwrite=True)
    assert len(pd.read_parquet(out)) == 10


def test_damaged_parts_and_places_that_cannot_be_written(
    fitted: anlage.Run, proteins: Any, tmp_path: Path, watch: Watch
) -> None:
    out = tmp_path / "v.parquet"
    interrupted(watch, fitted, proteins(40), out)
    folder = tmp_path / "v.parquet.parts"
    kept = (folder / "000001.arrow").read_bytes()
    (folder / "000001.arrow").write_bytes(kept[: len(kept) // 2])
    with pytest.raises(AnlageError, match="000001.arrow is damaged .* and start again"):
        start(fitted, proteins(40), out)
    (folder / "job.json").write_text("{")
    with pytest.raises(AnlageError, match="job.json is damaged"):
        start(fitted, proteins(40), out)
    with pytest.raises(AnlageError, match="job.json.* cannot be written|cannot be written"):
        start(fitted, proteins(40), tmp_path / "v.parquet.parts" / "job.json" / "v.parquet")


def test_the_note_says_what_was_counted(fitted: anlage.Run, proteins: Any, tmp_path: Path, watch: Watch) -> None:
    """Rows that were left out or cropped in parts of before are counted when the job goes on."""
    out, table = tmp_path / "v.parquet", proteins(40)
    table.loc["p1", "sequence"] = "?"
    long = int((table["sequence"].str.len() > 60).sum())
    interrupted(watch, fitted, table, out)
    assert json.loads((tmp_path / "v.parquet.parts" / "000000.json").read_text())["counts"]["left_out"] == 1
    said = start(fitted, table, out)
    assert "1 of 40 rows could not be used: they are left out" in said
    assert f"{long} rows were longer than max_length: only both their ends were read" in said
    assert np.isfinite(np.stack(pd.read_parquet(out)["vector"])).all()
