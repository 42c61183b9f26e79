"""Rows that belong together stay together, strata stay alike, and the same seed gives the same split."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anlage.errors import AnlageError
from anlage.splits import given as given_split
from anlage.splits.assign import Folds, assign, cross_validation, join_groups
from anlage.splits.settings import SplitSettings


def table(n: int) -> pd.DataFrame:
    return pd.DataFrame({"x": np.arange(n)}, index=[f"r{i}" for i in range(n)])


@given(st.integers(20, 300), st.integers(1, 60), st.integers(0, 5))
def test_groups_never_straddle(n: int, distinct: int, seed: int) -> None:
    groups = np.random.default_rng(seed).integers(0, distinct, n)
    try:
        folds = assign(table(n), SplitSettings(), groups, np.zeros(n, dtype=int), seed)
    except AnlageError:  # so few groups that one part stays empty
        return
    for part in ("train", "valid", "test"):
        others = set(groups[folds.part != part])
        assert not others & set(groups[folds.part == part])
    assert not any("LEAK" in note for note in folds.notes)


def test_strata_are_alike_and_fractions_hold() -> None:
    n = 2000
    strata = (np.arange(n) % 10 == 0).astype(int)
    folds = assign(table(n), SplitSettings(), np.arange(n), strata, 0)
    assert abs(len(folds.rows("test")) - 400) < 10 and abs(len(folds.rows("valid")) - 160) < 10
    for part in ("train", "valid", "test"):
        assert abs(strata[folds.rows(part)].mean() - 0.1) < 0.01


def test_same_seed_same_hash_whatever_the_other_columns() -> None:
    n, groups, strata = 100, np.arange(100), np.zeros(100, dtype=int)
    one = assign(table(n), SplitSettings(), groups, strata, 3)
    two = assign(table(n).assign(y=1), SplitSettings(), groups, strata, 3)
    other = assign(table(n), SplitSettings(), groups, strata, 4)
    assert one.hash == two.hash != other.hash
    back = np.random.default_rng(0).permutation(n)
    assert Folds(one.part[back], one.ids[back], "").hash == one.hash


def test_every_row_is_tested_once() -> None:
    n = 103
    groups = np.arange(n) // 2
    folds = cross_validation(table(n).index.to_numpy(), SplitSettings(folds=5), groups, np.zeros(n, dtype=int), 0)
    tested = np.concatenate([one.rows("test") for one in folds])
    assert sorted(tested) == list(range(n))
    for one in folds:
        assert not set(groups[one.rows("test")]) & set(groups[one.part != "test"])


def test_join_groups_follows_chains() -> None:
    sequences = np.array([0, 0, 1, 2, -1])
    patients = np.array([0, 1, 1, 2, -1])
    joined = join_groups([sequences, patients])
    assert joined[0] == joined[1] == joined[2]
    assert len({joined[0], joined[3], joined[4]}) == 3


def test_given_column_with_flip_validation_and_leaks() -> None:
    frame = table(6).assign(set=["train", "train", "train", "test", "test", "other"],
                            validation=["False", "True", "False", "False", "False", "False"])  # fmt: skip
    assert given_split.find(frame) == "set"
    groups = np.array([0, 1, 2, 0, 4, 5])
    folds = assign(frame, SplitSettings(), groups, np.zeros(6, dtype=int), 0)
    assert list(folds.part) == ["train", "valid", "train", "test", "test", "none"]
    assert any("LEAK: 1 test rows" in note for note in folds.notes)
    assert any("other (1 rows)" in note for note in folds.notes)


def test_map_says_what_values_mean() -> None:
    frame = table(8).assign(organism=["hs"] * 5 + ["mm"] * 3)
    settings = SplitSettings(split="organism", map=("hs=train,mm=test",))
    folds = assign(frame, settings, np.arange(8), np.zeros(8, dtype=int), 0)
    assert set(folds.rows("test")) == {5, 6, 7} and len(folds.rows("valid"))
    with pytest.raises(AnlageError, match="VALUE=PART"):
        given_split.parts(frame, "organism", ["hs=learn"])
    with pytest.raises(AnlageError, match="no column 'organ'"):
        given_split.parts(frame, "organ", [])


def test_a_numeric_fold_column_is_no_split() -> None:
    assert given_split.find(table(4).assign(fold=[1, 2, 3, 4])) is None


def test_a_star_stands_for_all_other_values() -> None:
    frame = table(9).assign(chrom=["chr1"] * 3 + ["chr2"] * 2 + ["chr8"] * 2 + ["chr9", None])
    part, notes = given_split.parts(frame, "chrom", ["chr8=test,chr9=valid,*=train"])
    assert list(part) == ["train"] * 5 + ["test"] * 2 + ["valid", "none"]
    assert len(notes) == 1 and "(missing) (1 rows)" in notes[0]
    part, notes = given_split.parts(frame, "chrom", ["chr8=test", "chrX=valid", "*=train"])
    assert list(part) == ["train"] * 5 + ["test"] * 2 + ["train", "none"]
    assert notes[0] == "no row has what --map names: chrX"
    with pytest.raises(AnlageError, match="no training rows"):  # nothing trains that nobody named
        given_split.parts(frame, "chrom", ["chr8=test,chr9=valid"])


def test_numbers_with_gaps_are_named_as_they_are_written() -> None:
    frame = table(4).assign(chrom=[1.0, 8.0, np.nan, 2.0])
    assert list(given_split.parts(frame, "chrom", ["8=test,*=train"])[0]) == ["train", "test", "none", "train"]


def test_a_drawn_split_has_no_column() -> None:
    frame = table(4).assign(split=["train", "train", "valid", "test"])
    assert given_split.column(frame, SplitSettings()) == "split"
    assert given_split.column(frame, SplitSettings(split="other")) == "other"
    for options in ({"split": "random"}, {"split": "positions"}, {"folds": 3}, {"time": "day"}):
        assert given_split.column(frame, SplitSettings(**options)) is None  # type: ignore[arg-type]


def test_the_split_of_a_seed_stays_what_it_was() -> None:
    """Splits that were published stay repeatable: groups of several rows in three strata, one too rare to spread."""
    random = np.random.default_rng(5)
    groups, strata = random.integers(0, 120, 400), np.minimum(random.integers(0, 3, 400), 1)
    strata[7] = 2
    assert assign(table(400), SplitSettings(), groups, strata, 0).hash.startswith("3ca4d28aaa8e")
    folds = cross_validation(table(400).index.to_numpy(), SplitSettings(folds=4), groups, strata, 1)
    assert folds[2].hash.startswith("7b1e60a8486a")
