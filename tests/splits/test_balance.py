"""Parts are alike in many labels at once, and whole groups stay together."""

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from anlage.splits.assign import assign, cross_validation, draw
from anlage.splits.settings import SplitSettings


def labels(n: int, seed: int) -> np.ndarray:
    """[n, 12] 0/1, from frequent to rare (0.4 … 0.01), correlated."""
    random = np.random.default_rng(seed)
    share = np.geomspace(0.4, 0.01, 12)
    common = random.random((n, 1))
    return ((0.5 * common + 0.5 * random.random((n, 12))) < share).astype(np.int64)


def test_rare_labels_are_spread_where_chance_would_lose_them() -> None:
    n = 1000
    folds_apart: list[float] = []
    chance_apart: list[float] = []
    for seed in range(10):
        truth = labels(n, seed)
        names = {str(k): 0.1 for k in range(10)}
        parts = draw(np.arange(n), np.arange(n), csr_array(truth), names, seed)
        random = np.array_split(np.random.default_rng(seed).permutation(n), 10)
        rare = truth.sum(axis=0) >= 10
        for found, kept in ((parts.values(), folds_apart), (random, chance_apart)):
            counts = np.array([truth[rows].sum(axis=0)[rare] for rows in found])
            kept.append(np.abs(counts - counts.mean(axis=0)).max(axis=0).mean())
        assert sorted(np.concatenate(list(parts.values()))) == list(range(n))
        assert max(len(rows) for rows in parts.values()) <= 110
        assert (np.array([truth[rows].sum(axis=0)[rare] for rows in parts.values()]) > 0).all()
    assert np.mean(folds_apart) < 0.25 * np.mean(chance_apart)


@settings(max_examples=30)
@given(st.integers(40, 200), st.integers(10, 80), st.integers(0, 5))
def test_groups_never_straddle_and_every_row_has_a_part(n: int, distinct: int, seed: int) -> None:
    groups = np.random.default_rng(seed).integers(0, distinct, n)
    parts = draw(np.arange(n), groups, csr_array(labels(n, seed)), {"train": 0.8, "test": 0.2}, seed)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(n))
    assert not set(groups[parts["train"]]) & set(groups[parts["test"]]) and len(parts["test"])


def test_labels_in_one_row_each_do_not_all_fall_to_the_largest_part() -> None:
    parts = draw(np.arange(100), np.arange(100), csr_array(np.eye(100, dtype=np.int64)), {"a": 0.8, "b": 0.2}, 0)
    assert len(parts["b"]) == 20


def test_fractions_hold_in_a_split_and_in_cross_validation() -> None:
    n, truth = 600, csr_array(labels(600, 3))
    frame = pd.DataFrame({"x": np.arange(n)}, index=[f"r{i}" for i in range(n)])
    folds = assign(frame, SplitSettings(), np.arange(n), truth, 0)
    assert abs(len(folds.rows("test")) - 120) <= 6 and abs(len(folds.rows("valid")) - 48) <= 6
    dense = truth.toarray()
    shares = [dense[folds.rows(part)].mean(axis=0)[:6] for part in ("train", "test")]
    assert np.abs(shares[0] - shares[1]).max() < 0.02
    tested = [one.rows("test") for one in cross_validation(frame.index.to_numpy(), SplitSettings(folds=5),
                                                           np.arange(n), truth, 0)]  # fmt: skip
    assert sorted(np.concatenate(tested)) == list(range(n))
