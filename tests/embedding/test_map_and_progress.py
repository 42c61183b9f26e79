"""The picture of the vectors, the command line, and what is said on the way."""

import gzip
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

import anlage
from anlage import cli
from anlage.embedding import pca_map, progress
from anlage.embedding.progress import Progress, count_rows
from anlage.errors import AnlageError


def colors(path: Path) -> np.ndarray:
    """[colors, 3] those of the picture's pixels, 0 to 255."""
    pixels = (imread(path)[..., :3].reshape(-1, 3) * 255).round().astype(np.int64)
    codes = np.unique(pixels @ [1 << 16, 1 << 8, 1])
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], 1)


def test_the_map_has_the_colors_of_its_column(fitted: anlage.Run, proteins: Any, tmp_path: Path) -> None:
    table = proteins(40)
    table["many"] = [f"class {i % 11}" for i in range(40)]
    table["gaps"] = table["place"].where(np.arange(40) > 5, None)
    for column, wanted, absent in (
        (None, pca_map._PALETTE[:1], pca_map._PALETTE[1:3]),
        ("place", pca_map._PALETTE[:2], pca_map._PALETTE[2:4]),
        ("many", [*pca_map._PALETTE, pca_map._OTHERS], []),
        ("gaps", [*pca_map._PALETTE[:2], pca_map._MISSING], pca_map._PALETTE[2:4]),
        ("size", [], pca_map._PALETTE[:3]),
    ):
        path = tmp_path / f"{column}.png"
        anlage.embed(fitted, table, out=tmp_path / "v.parquet", map=path, color=column, overwrite=True, say=print)
        drawn = colors(path)
        assert all(_nearest(color, drawn) < 70 for color in wanted)  # points are a little transparent
        assert all(_nearest(color, drawn) > 25 for color in absent)


def _nearest(color: str, drawn: np.ndarray) -> float:
    return float(np.linalg.norm(drawn - [int(color[i : i + 2], 16) for i in (1, 3, 5)], axis=1).min())


def test_a_map_of_many_rows_draws_some(
    fitted: anlage.Run, proteins: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pca_map, "MOST_POINTS", 10)
    vectors = anlage.embed(fitted, proteins(40), out=tmp_path / "v.h5", say=print, rows=6)
    ids, points = pca_map._some(pca_map.VectorsFile(vectors))
    assert list(ids) == [f"p{int(i)}" for i in np.linspace(0, 39, 10)]
    assert points.shape == (10, fitted.model.fusion.width)
    anlage.embed(fitted, proteins(40), out=vectors, say=print, map=tmp_path / "m.svg", color="place", overwrite=True)
    drawing = (tmp_path / "m.svg").read_text()
    assert drawing.startswith("<?xml") and drawing.count("<use ") >= 10


def test_maps_that_cannot_be_drawn(fitted: anlage.Run, proteins: Any, tmp_path: Path) -> None:
    for options, message in (
        ({"map": tmp_path / "m.html"}, "pictures are written as .png, .svg, .pdf"),
        ({"map": tmp_path / "m.png", "level": "element"}, "one point for each row"),
        ({"map": tmp_path / "m.png", "color": "colour"}, "--color colour: no such column; there are sequence, size"),
    ):
        with pytest.raises(AnlageError, match=message):
            anlage.embed(fitted, proteins(10), out=tmp_path / "v.parquet", say=print, overwrite=True, **options)
    with pytest.raises(AnlageError, match="a map needs three vectors"):
        anlage.embed(fitted, proteins(2), out=tmp_path / "w.parquet", say=print, map=tmp_path / "m.png")


def test_the_commands(fitted: anlage.Run, proteins: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, vectors, hits = tmp_path / "t.csv", tmp_path / "v.parquet", tmp_path / "hits.csv"
    proteins(30).to_csv(table)
    cli.main(["embed", str(fitted.path), str(table), "-o", str(vectors), "--dtype", "float16", "--id", "id"])
    assert capsys.readouterr().out == f"vectors: {vectors}\n"
    cli.main(["search", str(vectors), str(vectors), "-k", "3", "-o", str(hits)])
    found = pd.read_csv(hits)
    assert list(found.columns) == ["id", "hit", "rank", "cosine"] and len(found) == 90
    cli.main(["search", str(vectors), str(vectors)])
    shown = capsys.readouterr()
    assert "p1" in shown.out and "-o FILE writes all hits" in shown.err
    for words, message in (
        (["embed", str(fitted.path), str(table), "-o", str(vectors)], "is there already"),
        (["embed", "nowhere", str(table), "-o", str(tmp_path / "w.h5")], "nowhere: no bundle"),
        (["search", str(vectors), str(tmp_path / "no.parquet")], "no such file"),
    ):
        with pytest.raises(SystemExit, match="2"):
            cli.main(words)
        said = capsys.readouterr().err.splitlines()
        assert said[-1].startswith("anlage: ") and message in said[-1]


def test_an_interrupted_command_says_how_to_go_on(
    fitted: anlage.Run,
    proteins: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    proteins(10).to_csv(tmp_path / "t.csv")
    monkeypatch.setattr("anlage.embedding.encode.Coder.samples", stop)
    with pytest.raises(SystemExit, match="130"):
        cli.main(["embed", str(fitted.path), str(tmp_path / "t.csv"), "-o", str(tmp_path / "v.parquet")])
    assert capsys.readouterr().err.endswith("anlage: interrupted. The same command goes on where it stopped\n")


def test_rows_are_counted_at_a_glance(proteins: Any, tmp_path: Path) -> None:
    table = proteins(25)
    table.to_csv(tmp_path / "t.csv")
    table.reset_index().to_parquet(tmp_path / "t.parquet")
    table.reset_index().to_json(tmp_path / "t.jsonl", orient="records", lines=True)
    with gzip.open(tmp_path / "t.fasta.gz", "wt") as file:
        file.write("".join(f">{i}\n{text}\n" for i, text in table["sequence"].items()))
    for name in ("t.csv", "t.parquet", "t.jsonl", "t.fasta.gz"):
        assert count_rows(tmp_path / name) == 25
    assert count_rows(table) == 25
    assert count_rows(tmp_path) is None
    whole = (tmp_path / "t.fasta.gz").read_bytes()
    (tmp_path / "cut.fasta.gz").write_bytes(whole[:-30])
    assert count_rows(tmp_path / "cut.fasta.gz") is None


def test_speed_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, said = [1000.0], list[str]()
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    with Progress(5000, "tokens", said.append, interactive=False) as shown:
        shown.found(1000)
        shown.begin(1000, 200_000)
        clock[0] += 10
        shown.encoded(50_000)
        assert shown.state() == "1,250 of 5,000 rows, 25.0 rows/s, 5,000 tokens/s, 2 min left"
        assert not said
        clock[0] += 30
        shown.encoded(150_000)
        shown.end()
        assert shown.state() == "2,000 of 5,000 rows, 25.0 rows/s, 5,000 tokens/s, 2 min left"
        assert said == [shown.state()]
        shown.begin(3000, 600_000)
        clock[0] += 120
        shown.encoded(600_000)
        shown.end()
        assert shown.state() == "5,000 of 5,000 rows, 25.0 rows/s, 5,000 tokens/s"
    assert Progress(None, "images", print, False).state() == "0 rows"


def test_a_bar_where_somebody_watches(
    fitted: anlage.Run,
    proteins: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    anlage.embed(fitted, proteins(20), out=tmp_path / "v.parquet", rows=5, say=lambda line: None)
    assert "20 of 20 rows" in capsys.readouterr().err.replace("\n", " ")
