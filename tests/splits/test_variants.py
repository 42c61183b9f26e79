"""Variants of one parent are divided by how many mutations they have, or by where."""

from itertools import combinations

import numpy as np
import pytest

from anlage.errors import AnlageError
from anlage.splits import variants
from anlage.splits.settings import SplitSettings

PARENT = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRV"


def library() -> tuple[list[str | None], list[tuple[int, ...]]]:
    """The parent, all single mutants of 20 positions and all doubles of them."""
    places: list[tuple[int, ...]] = [(), *((p,) for p in range(20)), *combinations(range(20), 2)]
    made: list[str | None] = []
    for where in places:
        letters = list(PARENT)
        for place in where:
            letters[place] = "W"
        made.append("".join(letters))
    return made, places


def test_few_mutations_train_and_many_test() -> None:
    sequences, places = library()
    part, how, notes = variants.parts([*sequences, "MKT", None], SplitSettings(split="mutations"), 0)
    counts = np.array([len(where) for where in places])
    assert (part[: len(counts)][counts <= 1] == "train").all() and (part[: len(counts)][counts == 2] == "test").all()
    assert list(part[-2:]) == ["none", "none"]
    assert "up to 1" in how and "2 and more" in how and "of 40" in how
    assert notes == ["left out: 2 rows whose sequence has not the 40 letters of most"]


@pytest.mark.parametrize("seed", range(4))
def test_no_training_row_is_mutated_where_test_rows_are(seed: int) -> None:
    sequences, places = library()
    part, how, _ = variants.parts(sequences, SplitSettings(split="positions", test_fraction=0.3), seed)
    learned = {place for where, name in zip(places, part, strict=True) if name == "train" for place in where}
    tested = [set(where) for where, name in zip(places, part, strict=True) if name == "test"]
    assert all(where - learned for where in tested)
    assert 0.2 < (part == "test").mean() < 0.4
    assert (part == variants.parts(sequences, SplitSettings(split="positions", test_fraction=0.3), seed)[0]).all()


def test_where_every_position_is_crowded_the_rarest_is_tested() -> None:
    wild, other, both = PARENT, "W" + PARENT[1:], "WW" + PARENT[2:]
    second = PARENT[0] + "W" + PARENT[2:]
    part, how, _ = variants.parts([wild] * 6 + [other] * 4 + [both, second, second],
                                  SplitSettings(split="positions", test_fraction=0.05), 0)  # fmt: skip
    assert list(np.flatnonzero(part == "test")) == [10, 11, 12] and "mutation at 2 (1 in all)" in how


def test_the_parent_is_the_consensus() -> None:
    sequences, places = library()
    rows, parent, mutated = variants.mutations(sequences, "--split mutations")
    assert parent == PARENT and list(rows) == list(range(len(sequences)))
    assert (mutated.sum(axis=1) == [len(where) for where in places]).all()


def test_a_family_is_known_without_a_search() -> None:
    sequences, _ = library()
    assert variants.family(sequences, 0.9) == 1.0  # doubles are at most 4 of 40 apart
    assert variants.family(sequences, 0.95) == pytest.approx(21 / 211)
    assert variants.family([*sequences, *["MKT"] * 211], 0.9) == 0.0
    assert variants.family([], 0.3) == 0.0


@pytest.mark.parametrize(
    ("sequences", "split", "message"),
    [
        (["ACDEFG", "GHIKLM", "NPQRST", "VWYACD"], "mutations", "no variants of one parent"),
        (["ACDEFG", "ACDEFGH", "ACDEFGHI"], "positions", "no variants of one parent"),
        (["ACDEFG"] * 4, "mutations", "0 mutations"),
        (["ACDEFG"] * 4, "positions", "0 positions"),
        ([None], "positions", "no sequence"),
    ],
)
def test_what_cannot_be_divided(sequences: list[str | None], split: str, message: str) -> None:
    with pytest.raises(AnlageError, match=message):
        variants.parts(sequences, SplitSettings(split=split), 0)
