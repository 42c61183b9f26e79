"""Exact nearest neighbours, however the files are cut into blocks."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

import anlage
from anlage.embedding import search as searching
from anlage.errors import AnlageError


def save(path: Path, vectors: np.ndarray, ids: list[Any] | None = None) -> Path:
    """A file of vectors as another program would write it."""
    ids = ids or [f"{path.stem}{i}" for i in range(len(vectors))]
    if path.suffix == ".parquet":
        pd.DataFrame({"id": ids, "vector": list(vectors)}).to_parquet(path, row_group_size=37)
    else:
        with h5py.File(path, "w") as file:
            file["ids"], file["vectors"] = [str(i) for i in ids], vectors
    return path


@pytest.fixture
def arrays() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.normal(size=(500, 24)).astype(np.float32), random.normal(size=(60, 24)).astype(np.float32)


def expected(store: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    unit = [v.astype(np.float64) / np.linalg.norm(v, axis=1, keepdims=True) for v in (store, queries)]
    return np.argsort(-(unit[1] @ unit[0].T), axis=1, kind="stable")[:, :k]


@pytest.mark.parametrize("suffix", [".parquet", ".h5"])
@pytest.mark.parametrize(("numbers", "queries"), [(2**24, 4096), (960, 17), (24 * 37, 60)])
def test_exact_in_blocks_of_any_size(
    arrays: tuple[np.ndarray, np.ndarray], tmp_path: Path, suffix: str, numbers: int, queries: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(searching, "NUMBERS", numbers)
    monkeypatch.setattr(searching, "QUERIES", queries)
    files = save(tmp_path / f"v{suffix}", arrays[0]), save(tmp_path / f"q{suffix}", arrays[1])
    hits = anlage.search(*files, k=7)
    assert list(hits.columns) == ["hit", "rank", "cosine"] and hits.index.name == "id"
    assert list(hits.index) == [f"q{i}" for i in range(60) for _ in range(7)]
    assert list(hits["rank"]) == list(range(1, 8)) * 60
    assert list(hits["hit"]) == [f"v{i}" for i in expected(*arrays, 7).ravel()]
    row = hits.iloc[3]
    a, b = arrays[0][int(row["hit"][1:])], arrays[1][0]
    assert row["cosine"] == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), abs=1e-6)


@pytest.mark.parametrize("numbers", [2**24, 200])
def test_equally_near_ones_stand_in_the_order_of_their_file(
    tmp_path: Path, numbers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "NUMBERS", numbers)
    vectors = np.tile(np.eye(4, dtype=np.float32), (60, 1))  # every fourth one is the same
    hits = anlage.search(save(tmp_path / "v.parquet", vectors), save(tmp_path / "q.parquet", np.eye(4)[:2]), k=5)
    assert list(hits["hit"]) == [f"v{i}" for i in (0, 4, 8, 12, 16, 1, 5, 9, 13, 17)]
    assert (hits["cosine"] == 1).all()


def test_vectors_without_direction(tmp_path: Path) -> None:
    vectors = np.array([[1, 0], [0, 0], [np.nan, 1], [-1, 0.5]], dtype=np.float32)
    store = save(tmp_path / "v.parquet", vectors)
    said: list[str] = []
    hits = anlage.search(store, store, k=10, say=said.append)
    assert [(i, h) for i, h in zip(hits.index, hits["hit"], strict=True)] == [
        ("v0", "v0"), ("v0", "v3"), ("v3", "v3"), ("v3", "v0")]  # fmt: skip
    assert said == ["2 queries have no direction (all zero, or not finite): they have no hits"]


def test_float16_and_numbers_as_ids(arrays: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    half = arrays[0].astype(np.float16)
    hits = anlage.search(save(tmp_path / "v.h5", half), save(tmp_path / "q.parquet", half[:9], list(range(9))), k=1)
    assert list(hits.index) == [str(i) for i in range(9)] and list(hits["hit"]) == [f"v{i}" for i in range(9)]
    assert hits["cosine"].min() > 0.999999


def test_what_embed_wrote_finds_itself(fitted: anlage.Run, proteins: Any, tmp_path: Path) -> None:
    table = proteins(30)
    vectors = anlage.embed(fitted, table, out=tmp_path / "v.parquet", rows=7, say=print)
    hits = anlage.search(vectors, anlage.embed(fitted, table[:5], out=tmp_path / "q.h5", say=print), k=2)
    first = hits[hits["rank"] == 1]
    assert list(first["hit"]) == list(first.index) == [f"p{i}" for i in range(5)]


def test_files_that_do_not_fit_are_one_line(
    fitted: anlage.Run, proteins: Any, arrays: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    good = save(tmp_path / "good.parquet", arrays[0])
    elements = [
        anlage.embed(fitted, proteins(4), out=tmp_path / f"e{suffix}", level="element", say=print)
        for suffix in (".parquet", ".h5")
    ]
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no PAR1")
    (tmp_path / "broken.h5").write_bytes(b"\x89HDF\r\n\x1a\n no")
    pd.DataFrame({"id": [1], "x": [2]}).to_parquet(tmp_path / "other.parquet")
    pd.DataFrame({"id": ["a", "b", "c"], "vector": [[1.0, 2.0], [1.0], [1.0, 2.0, 3.0]]}).to_parquet(
        tmp_path / "ragged.parquet"
    )
    pd.DataFrame({"id": ["a", "b"], "vector": [[1.0] * 24, None]}).to_parquet(tmp_path / "null.parquet")
    pd.DataFrame({"id": ["a"], "vector": [["x"] * 24]}).to_parquet(tmp_path / "text.parquet")
    pd.DataFrame({"id": [], "vector": []}).to_parquet(tmp_path / "empty.parquet")
    with h5py.File(tmp_path / "flat.h5", "w") as file:
        file["ids"], file["vectors"] = ["a"], np.zeros(3)
    save(tmp_path / "whole.h5", np.zeros((2, 24), dtype=np.int64))
    wrong = {
        tmp_path / "no.parquet": "no such file",
        tmp_path / "broken.parquet": "not readable as a file of vectors",
        tmp_path / "broken.h5": "not readable as a file of vectors",
        tmp_path / "other.parquet": "needs the columns id and vector; it has id, x",
        tmp_path / "ragged.parquet": "not every row holds 2 numbers",
        tmp_path / "null.parquet": "not every row holds 24 numbers",
        tmp_path / "text.parquet": "column vector holds list<.*string>, not lists of numbers",
        tmp_path / "whole.h5": "dataset vectors holds int64, not numbers with fractions",
        tmp_path / "empty.parquet": "holds no vectors",
        tmp_path / "flat.h5": "needs the datasets ids and vectors",
        save(tmp_path / "narrow.parquet", arrays[0][:, :5]): "holds vectors of 5 numbers, .* of 24: take both from one",
        elements[0]: "holds vectors of elements",
        elements[1]: "holds vectors of elements",
    }
    for path, message in wrong.items():
        with pytest.raises(AnlageError, match=message) as caught:
            anlage.search(path, path if path.stem == "ragged" else good)
        assert "\n" not in str(caught.value)
    with pytest.raises(AnlageError, match="--k 0: give 1 or more"):
        anlage.search(good, good, k=0)
