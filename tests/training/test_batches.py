"""Batches hold every row once, within their bounds, repeatably; distinct parts are held once."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from anlage.parts import Prepared, TokenParts
from anlage.training.batches import PreparedTable, cut, epoch


def sequences(lengths: list[int]) -> TokenParts:
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    ids = np.arange(offsets[-1]) % 200
    return TokenParts(ids.astype(np.uint8), offsets, np.zeros((offsets[-1], 2), dtype=np.int32))


@given(st.lists(st.integers(1, 50), min_size=1, max_size=200), st.integers(10, 200), st.integers(1, 20))
def test_an_epoch_has_every_row_once_within_bounds(sizes: list[int], tokens: int, samples: int) -> None:
    array = np.array(sizes)
    batches = epoch(np.arange(len(array)), array, tokens, samples, seed=1, number=2)
    assert sorted(np.concatenate(batches)) == list(range(len(array)))
    for batch in batches:
        assert len(batch) <= samples
        assert array[batch].sum() <= tokens or len(batch) == 1
    again = epoch(np.arange(len(array)), array, tokens, samples, seed=1, number=2)
    assert all((a == b).all() for a, b in zip(batches, again, strict=True))


def test_epochs_differ() -> None:
    sizes = np.ones(100, dtype=int)
    one, two = (np.concatenate(epoch(np.arange(100), sizes, 10, 10, 0, number)) for number in (0, 1))
    assert (one != two).any()


def test_cut_lets_a_long_row_stand_alone() -> None:
    assert [list(b) for b in cut(np.arange(3), np.array([5, 99, 5]), 10, 8)] == [[0], [1], [2]]


def test_repeated_and_missing_parts() -> None:
    table = PreparedTable({"drug": Prepared(sequences([3, 5, 2]), np.array([1, 1, -1, 0, 2]))})
    batch = table.batch(np.array([2, 1, 0, 3]))
    assert batch.index["drug"].tolist() == [-1, 0, 0, 1]
    assert batch.parts["drug"].lengths.tolist() == [5, 3]
    assert batch.parts["drug"].ids.tolist() == [3, 4, 5, 6, 7, 0, 1, 2]
    assert table.sizes().tolist() == [5, 5, 0, 3, 2]


def test_a_batch_without_any_part() -> None:
    table = PreparedTable({"drug": Prepared(sequences([3]), np.array([-1, -1, 0]))})
    batch = table.batch(np.array([0, 1]))
    assert len(batch.parts["drug"]) == 0 and batch.index["drug"].tolist() == [-1, -1]
