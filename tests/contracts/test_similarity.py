"""What every modality's similarity must keep to. A new folder in modalities/ needs an entry in PLANTED."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import anlage.modalities
from anlage.modalities import lookup

NAMES = sorted(p.parent.name for p in Path(anlage.modalities.__path__[0]).glob("*/modality.py"))
STRANGERS, COPIES = 40, 10


def quiet(line: str) -> None:
    """Nobody listens."""


def _column(cells: list) -> pd.DataFrame:
    return pd.DataFrame({"x": pd.Series(cells, dtype=object)})


def _sequences(alphabet: str, change: float, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    letters = np.array(list(alphabet))
    rows = [random.choice(letters, random.integers(120, 200)) for _ in range(STRANGERS)]
    copies = [np.where(random.random(len(r)) < change, random.choice(letters, len(r)), r) for r in rows[:COPIES]]
    return _column(["".join(row) for row in rows + copies])


def _images() -> pd.DataFrame:
    random = np.random.default_rng(3)
    coarse = random.integers(0, 256, (STRANGERS, 9, 9)).astype(float)
    cells = [np.kron(image, np.ones((4, 4))) for image in coarse]
    cells += [np.roll(image, 2, axis=1) * 0.8 + random.normal(20, 3, image.shape) for image in cells[:COPIES]]
    return _column([image.clip(0, 255).astype(np.uint8) for image in cells])


def _records() -> pd.DataFrame:
    random = np.random.default_rng(4)
    frame = pd.DataFrame(random.normal(50, 9, (STRANGERS, 12)), columns=[f"lab{i}" for i in range(12)])
    frame["stage"] = random.choice(["I", "II", "III"], STRANGERS)
    copies = frame.iloc[:COPIES].copy()
    copies.iloc[:, :12] = copies.iloc[:, :12].round(1)
    copies["lab3"] = random.normal(50, 9, COPIES)
    return pd.concat([frame, copies])


def _vectors() -> pd.DataFrame:
    random = np.random.default_rng(5)
    rows = random.normal(size=(STRANGERS, 30))
    return _column([*rows, *(rows[:COPIES] * (1 + 1e-3 * random.normal(size=(COPIES, 30))))])


# Raw columns: 40 strangers, then near copies of the first ten, none of them equal.
PLANTED: dict[str, Callable[[], pd.DataFrame]] = {
    "protein": lambda: _sequences("ACDEFGHIKLMNPQRSTVWY", 0.5, 0),
    "dna": lambda: _sequences("ACGT", 0.1, 1),
    "rna": lambda: _sequences("ACGU", 0.1, 2),
    "image": _images,
    "record": _records,
    "vector": _vectors,
}


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def planted(name: str) -> pd.DataFrame:
    """Checked: strangers, near copies, then the first row again, and a row where all is missing."""
    if name not in PLANTED:
        pytest.fail(f"modality '{name}' has no near copies in PLANTED of {Path(__file__).name}: add some")
    frame = PLANTED[name]()
    frame = pd.concat([frame, frame.iloc[[0, 0]]]).astype(object)
    frame.iloc[-1, :] = None
    frame.index = pd.Index([f"id{i}" for i in range(len(frame))])
    return lookup.get(name)().check(frame).frame


def groups(name: str, frame: pd.DataFrame) -> np.ndarray:
    modality = lookup.get(name)()
    return modality.similarity_groups(frame, modality.usual_similarity, quiet)


def test_every_modality_has_near_copies() -> None:
    assert sorted(PLANTED) == NAMES, "PLANTED must have one entry for each folder in modalities/"


def test_near_copies_are_one_group_and_strangers_are_not(name: str) -> None:
    frame = planted(name)
    equal = lookup.get(name)().groups(frame)
    assert len(set(equal[:-2])) == STRANGERS + COPIES, "the near copies must not be equal"
    found = groups(name, frame)
    assert found.dtype == np.int64 and len(found) == len(frame)
    assert (found[STRANGERS : STRANGERS + COPIES] == found[:COPIES]).all()
    assert len(set(found[:STRANGERS])) == STRANGERS
    assert found[-2] == found[0] and found[-1] == -1 and (found[:-1] >= 0).all()


def test_groups_of_similar_rows_contain_those_of_equal_rows(name: str) -> None:
    frame = planted(name)
    equal, similar = lookup.get(name)().groups(frame), groups(name, frame)
    together = equal[:, None] == equal
    assert (similar[:, None] == similar)[together].all() and ((equal < 0) == (similar < 0)).all()


def test_groups_do_not_depend_on_the_order_of_rows(name: str) -> None:
    frame = planted(name)
    back = np.random.default_rng(0).permutation(len(frame))
    found, again = groups(name, frame), groups(name, frame.iloc[back])
    assert ((found[:, None] == found)[np.ix_(back, back)] == (again[:, None] == again)).all()


def test_nearest_finds_the_source(name: str) -> None:
    frame = planted(name)
    modality = lookup.get(name)()
    least = modality.usual_similarity
    reference, asked = frame.iloc[:STRANGERS], frame.iloc[STRANGERS:]
    assert modality.similarity and 0 < least < 1
    found = modality.nearest(asked, reference, least, quiet)
    assert found.rows.tolist() == [*range(COPIES), 0, -1]
    assert (found.similarity[:-1] >= least).all() and (found.similarity[:COPIES] <= 1).all()
    assert found.similarity[-2] == 1 and np.isnan(found.similarity[-1])
    strangers = modality.nearest(frame.iloc[:20], frame.iloc[20:STRANGERS], least, quiet)
    assert (strangers.rows == -1).all() and np.isnan(strangers.similarity).all()
    assert strangers.rows.dtype == np.int64


def test_few_or_no_rows_at_all(name: str) -> None:
    frame = planted(name)
    modality = lookup.get(name)()
    least = modality.usual_similarity
    for some in (frame.iloc[:0], frame.iloc[-1:], frame.iloc[:1], frame.iloc[[0, -2]], frame.iloc[[0, 1, -1]]):
        assert len(modality.similarity_groups(some, least, quiet)) == len(some)
        assert len(modality.nearest(some, frame.iloc[:0], least, quiet).rows) == len(some)
        assert len(modality.nearest(frame.iloc[:0], some, least, quiet).rows) == 0
        itself = modality.nearest(some, some, least, quiet)
        assert (itself.similarity[itself.rows >= 0] == 1).all() and (
            (itself.rows < 0) == (modality.groups(some) < 0)
        ).all()
    pair = modality.nearest(frame.iloc[[0, -1]], frame.iloc[[-1, 0]], least, quiet)
    assert pair.rows.tolist() == [1, -1] and pair.similarity[0] == 1
