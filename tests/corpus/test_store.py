"""The store on disk: the same tokens as in memory, duplicates once, whole or not there."""

import json
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from corpus.examples import LETTERS, fasta, texts

from anlage.corpus import store as stores
from anlage.corpus.build import CHUNK, SeenHashes, stored, windows
from anlage.corpus.store import Store, build_store, open_store
from anlage.corpus.values import text_hashes
from anlage.errors import AnlageError
from anlage.modalities.protein.modality import Protein


def store(source: Path | pd.DataFrame, cache: Path, longest: int = 1022, lines: list[str] | None = None) -> Store:
    say = (lines if lines is not None else []).append
    return stored(source, "sequence", Protein(max_length=longest), None, (), cache, say)


def test_stored_tokens_are_those_in_memory(tmp_path: Path) -> None:
    sequences = texts(200)
    parts = store(fasta(tmp_path / "a.fasta", sequences), tmp_path).parts
    memory = Protein().encode(sequences)
    assert len(parts) == 200 and np.array_equal(parts.sizes, memory.sizes)
    for which in (np.arange(200), np.array([17]), np.array([5, 199, 0, 5]), np.array([], dtype=np.int64)):
        one, two = parts.take(which), memory.take(which)
        for name in ("ids", "lengths", "spans"):
            assert torch.equal(getattr(one, name), getattr(two, name)), name
    assert np.array_equal(parts.digests(), memory.digests())
    assert parts.ids.dtype == np.uint8 and isinstance(parts.ids, np.memmap)
    assert parts.texts(Protein().tokens()) == sequences


def test_long_sequences_become_windows_that_lose_nothing(tmp_path: Path) -> None:
    sequences = [*texts(20, 5, 30), *texts(5, 50, 200, seed=1), "MKV"]
    built = store(fasta(tmp_path / "a.fasta", sequences), tmp_path, longest=40)
    assert built.facts["long"] == 5 and built.facts["letters"] == sum(map(len, sequences))
    parts = built.parts
    assert parts.sizes.max() <= 42 and (np.diff(parts.values) >= 0).all()
    assert parts.texts(Protein().tokens()) == sequences
    for part in range(len(parts)):
        taken = parts.take(np.array([part]))
        source = sequences[parts.values[part]]
        letters = "".join(Protein().tokens()[i] for i in taken.ids[1:-1])
        spans = taken.spans[1:-1]
        assert letters == source[int(spans[0, 0]) : int(spans[-1, 1])] and (spans[:, 1] - spans[:, 0] == 1).all()
        assert taken.spans[[0, -1]].eq(0).all()


@pytest.mark.parametrize(("length", "longest"), [(1, 5), (5, 5), (6, 5), (11, 5), (100, 7)])
def test_windows_are_of_near_equal_length(length: int, longest: int) -> None:
    text = "".join(LETTERS[i % 20] for i in range(length))
    pieces = windows(text, longest)
    sizes = [len(piece) for piece in pieces]
    assert "".join(pieces) == text and max(sizes) <= longest and max(sizes) - min(sizes) <= 1


def test_equal_sequences_are_kept_once_however_they_are_written(tmp_path: Path) -> None:
    sequences = texts(50)
    written = [
        *sequences,
        sequences[3].lower(),
        sequences[4] + "*",
        f"{sequences[5][:3]}-{sequences[5][3:]}",
        "M?K",
        "",
    ]
    lines: list[str] = []
    built = store(fasta(tmp_path / "a.fasta", written), tmp_path, lines=lines)
    assert built.facts["values"] == 50 and built.facts["duplicates"] == 3 and built.facts["unusable"] == 2
    assert np.array_equal(built.hashes, text_hashes(sequences))
    assert any("upper-cased" in note for note in built.facts["notes"])
    assert [p["id"] for p in built.facts["problems"]] == ["p53"]


def test_duplicates_are_found_over_all_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anlage.corpus.build.CHUNK", 7)
    sequences = texts(60)
    built = store(fasta(tmp_path / "a.fasta", [*sequences, *sequences[::-1]]), tmp_path)
    assert CHUNK > 120 and built.facts["duplicates"] == 60
    assert built.parts.texts(Protein().tokens()) == sequences


def test_seen_hashes_are_those_of_a_set() -> None:
    rng, seen, known = np.random.default_rng(0), SeenHashes(), set()
    for size in (5, 1, 0, 300, 7, 80, 80, 3):
        hashes = rng.integers(0, 400, size).astype(np.uint64)
        expected = []
        for value in hashes.tolist():
            expected.append(value not in known)
            known.add(value)
        assert seen.add(hashes).tolist() == expected


def test_a_store_is_used_again_until_content_or_settings_change(tmp_path: Path) -> None:
    path, lines = fasta(tmp_path / "a.fasta", texts(30)), []
    first = store(path, tmp_path, lines=lines)
    assert not lines
    again = store(path, tmp_path, lines=lines)
    assert again.folder == first.folder and "read before" in lines[-1]
    moved = fasta(tmp_path / "b.fasta", texts(30))
    assert store(moved, tmp_path).folder == first.folder  # the content decides
    others = {store(path, tmp_path, longest=30).folder, store(fasta(tmp_path / "c.fasta", texts(31)), tmp_path).folder}
    where = stored(path, "sequence", Protein(), None, ("kind=a",), tmp_path, print)
    assert where.facts["values"] == 15
    assert len({first.folder, where.folder, *others}) == 4


def test_a_killed_build_leaves_nothing_that_is_taken_for_a_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anlage.corpus.build.CHUNK", 10)
    path, encode, calls = fasta(tmp_path / "a.fasta", texts(50)), Protein.encode, []

    def killed(self: Protein, some: list[str]):  # noqa: ANN202
        calls.append(some)
        if len(calls) == 3:
            os._exit(9)  # as SIGKILL: nothing is cleaned up
        return encode(self, some)

    if (child := os.fork()) == 0:
        monkeypatch.setattr(Protein, "encode", killed)
        store(path, tmp_path)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    left = list((tmp_path / "corpora").iterdir())
    assert len(left) == 1 and left[0].name.startswith(".") and open_store(left[0]) is None
    built = store(path, tmp_path)
    assert built.parts.texts(Protein().tokens()) == texts(50)
    assert {p.name for p in (tmp_path / "corpora").iterdir()} == {left[0].name, built.folder.name}  # may be at work yet
    long_ago = time.time() - 2 * stores.ABANDONED
    for file in [*left[0].iterdir(), left[0]]:
        os.utime(file, (long_ago, long_ago))
    store(fasta(tmp_path / "b.fasta", texts(20, seed=2)), tmp_path)
    assert not left[0].exists()


def test_what_fails_in_the_middle_is_swept_away_at_once(tmp_path: Path) -> None:
    def fill(writer: stores.Writer) -> dict:
        writer.add(np.arange(4), np.array([4]), np.array([0]), np.array([1], dtype=np.uint64))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_store(tmp_path / "corpora" / "x", 30, fill)
    assert list((tmp_path / "corpora").iterdir()) == []


def test_two_builders_at_once_end_with_one_store(tmp_path: Path) -> None:
    path = fasta(tmp_path / "a.fasta", texts(30))

    def fill(writer: stores.Writer) -> dict:
        faster = build_store(tmp_path / "corpora" / "x", 30, lambda w: w.add(*one) or {"who": "the faster"})
        assert faster.facts == {"who": "the faster"}
        writer.add(*one)
        return {"who": "the slower"}

    one = (np.arange(4), np.array([4]), np.array([0]), np.array([1], dtype=np.uint64))
    assert build_store(tmp_path / "corpora" / "x", 30, fill).facts == {"who": "the faster"} and path.exists()
    assert len(list((tmp_path / "corpora").iterdir())) == 1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "ids").write_bytes(b"short"),
        lambda folder: (folder / "offsets").unlink(),
        lambda folder: (folder / "index.json").write_text("{"),
        lambda folder: (folder / "index.json").write_text(
            json.dumps({"arrays": {"../../etc/passwd": {"dtype": "uint8", "count": 1}}, "facts": {}})
        ),
        lambda folder: (folder / "index.json").write_text(
            (folder / "index.json").read_text().replace('"uint8"', '"object"')
        ),
    ],
)
def test_a_spoiled_store_is_named_in_one_line(tmp_path: Path, spoil) -> None:  # noqa: ANN001
    path = fasta(tmp_path / "a.fasta", texts(30))
    folder = store(path, tmp_path).folder
    spoil(folder)
    with pytest.raises(AnlageError, match="delete the folder") as error:
        store(path, tmp_path)
    assert str(folder) in str(error.value) and "\n" not in str(error.value)


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AnlageError, match="ANLAGE_CACHE"):
        store(fasta(tmp_path / "a.fasta", texts(30)), tmp_path / "file")
