"""Similar samples are one group: what the user asks for, what is kept on disk, and what cannot be divided so."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from anlage.errors import AnlageError
from anlage.modalities.inputs import Input
from anlage.modalities.protein.modality import Protein
from anlage.modalities.vector.modality import Vector
from anlage.splits import similarity

LETTERS = np.array(list("ACDEFGHIKLMNPQRSTVWY"))


def silent(line: str) -> None:
    pass


def protein(random: np.random.Generator, length: int = 90) -> str:
    return "".join(random.choice(LETTERS, length))


def mutant(text: str, count: int, random: np.random.Generator) -> str:
    letters = list(text)
    for place in random.choice(len(text), count, replace=False):
        letters[place] = random.choice(LETTERS[letters[place] != LETTERS])
    return "".join(letters)


@dataclass
class Plain(Vector):
    """A modality that can tell equality alone."""

    similarity = ""


def inputs() -> list[Input]:
    return [Input("a", Protein(), ["a"]), Input("b", Protein(), ["b"]), Input("c", Plain(), ["c"])]


@pytest.mark.parametrize(
    ("asked", "least"),
    [
        ((), {"a": 0.3, "b": 0.3}),
        (("off",), {}),
        (("0.5",), {"a": 0.5, "b": 0.5}),
        (("a=0.5",), {"a": 0.5, "b": 0.3}),
        (("off", "b=0.9"), {"b": 0.9}),
        (("a=off",), {"b": 0.3}),
    ],
)
def test_what_is_asked_for(asked: tuple[str, ...], least: dict[str, float]) -> None:
    assert similarity.wanted(asked, inputs()) == least


@pytest.mark.parametrize(
    ("asked", "message"),
    [("30", "0.3 for 30 %"), ("a=high", "0.3 for 30 %"), ("d=0.5", "no input 'd'"), ("c=0.5", "for equality")],
)
def test_what_cannot_be_asked_for(asked: str, message: str) -> None:
    with pytest.raises(AnlageError, match=message):
        similarity.wanted((asked,), inputs())


def families() -> pd.DataFrame:
    """Ten families of three homologues (a third of the residues differ), and a missing value."""
    random = np.random.default_rng(0)
    parents = [protein(random) for _ in range(10)]
    return pd.DataFrame({"a": [mutant(p, k, random) for p in parents for k in (0, 15, 30)] + [None]})


def test_homologues_are_one_group_and_equality_does_not_see_them(tmp_path: Path) -> None:
    item, frame = inputs()[0], families()
    found, least, notes = similarity.drawn_groups([item], {"a": frame}, (), tmp_path, silent)
    assert least == {"a": 0.3}
    (label,) = found
    assert label[-1] == -1 and len(np.unique(label[:-1])) == 10
    assert (label[:-1].reshape(10, 3) == label[:-1:3, None]).all()
    assert "10 groups of 30 rows" in notes[0] and "30 %" in notes[0]
    assert "30 %" in similarity.words(least)
    (label,), least, _ = similarity.drawn_groups([item], {"a": frame}, ("off",), tmp_path, silent)
    assert least == {} and len(np.unique(label[:-1])) == 30 and similarity.words(least) == "duplicates"


def test_a_variant_library_is_grouped_by_equality_unless_a_threshold_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(1)
    parent = protein(random)
    frame = pd.DataFrame({"a": [mutant(parent, 3, random) for _ in range(40)] + [protein(random) for _ in range(4)]})
    for search in (True, False):
        if not search:  # families are told by a search as well as by the distance to the consensus
            monkeypatch.setattr(similarity.variants, "family", lambda sequences, least: 0.0)
        (label,), least, notes = similarity.drawn_groups([inputs()[0]], {"a": frame}, (), tmp_path, silent)
        assert least == {} and len(np.unique(label)) == 44
        assert "variant library" in notes[-1] and "91%" in notes[-1] and "--split mutations" in notes[-1]
    (label,), least, _ = similarity.drawn_groups([inputs()[0]], {"a": frame}, ("0.9",), tmp_path, silent)
    assert least == {"a": 0.9} and len(np.unique(label)) == 5


def test_groups_are_kept_and_a_broken_file_is_searched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    item, frame, searches = inputs()[0], families(), []
    plain = Protein.similarity_groups

    def counted(self: Protein, *arguments: object) -> np.ndarray:
        searches.append(arguments)
        return plain(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Protein, "similarity_groups", counted)
    monkeypatch.setattr(similarity, "SLOW", 0.0)
    first = similarity.groups(item, frame, 0.3, tmp_path, silent)
    assert (similarity.groups(item, frame, 0.3, tmp_path, silent) == first).all() and len(searches) == 1
    similarity.groups(item, frame, 0.4, tmp_path, silent)
    back = similarity.groups(item, frame[::-1], 0.3, tmp_path, silent)
    assert len(searches) == 3 and len(np.unique(back)) == len(np.unique(first))
    path = min((tmp_path / "groups").iterdir(), key=lambda one: one.stat().st_mtime_ns)
    content = bytearray(path.read_bytes())
    for broken in (content[:-4], content[:-1] + bytes([content[-1] ^ 1])):
        path.write_bytes(broken)
        lines: list[str] = []
        similarity.groups(item, frame, 0.3, tmp_path, lines.append)
        similarity.groups(item, frame, 0.4, tmp_path, lines.append)
        similarity.groups(item, frame[::-1], 0.3, tmp_path, lines.append)
        assert sum("is broken" in line for line in lines) == 1
    assert len(searches) == 5


def test_the_folder_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similarity, "SLOW", 0.0)
    monkeypatch.setattr(similarity, "_MOST_FILES", 3)
    for least in (0.3, 0.4, 0.5, 0.6, 0.7):
        similarity.groups(inputs()[0], families()[:5], least, tmp_path, silent)
    assert len(list((tmp_path / "groups").iterdir())) == 3


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similarity, "SLOW", 0.0)
    (tmp_path / "groups").write_text("a file")
    lines: list[str] = []
    assert len(similarity.groups(inputs()[0], families(), 0.3, tmp_path, lines.append)) == 31
    assert any("ANLAGE_CACHE" in line for line in lines)
