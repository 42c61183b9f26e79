"""Numbers and categories become vectors; missing ones become learned vectors."""

import pytest
import torch

from anlage.layers.columns import Categories, LinearNumbers, PeriodicNumbers, PlainNumbers
from anlage.shapes import ColumnsShape

NUMBERS = torch.tensor([[1.0, float("nan")], [float("nan"), -2.0]])


@pytest.mark.parametrize("layer", [PeriodicNumbers(2, 5), LinearNumbers(2, 5)])
def test_missing_numbers_become_their_columns_learned_vector(layer):
    vectors = layer(NUMBERS)
    assert vectors.shape == (2, 2, 5)
    assert torch.equal(vectors[0, 1], layer.missing[1])
    assert torch.equal(vectors[1, 0], layer.missing[0])
    vectors.sum().backward()
    assert all(p.grad.isfinite().all() for p in layer.parameters())


def test_plain_numbers_stay_as_they_are():
    layer = PlainNumbers(2, dropout=0.5).eval()
    assert layer(NUMBERS).tolist() == [[1.0, 0.0], [0.0, -2.0]]


def test_categories_of_different_columns_share_no_vector():
    layer = Categories(ColumnsShape(0, (3, 2)), 4)
    vectors = layer(torch.tensor([[2, 0], [0, 1]]))
    assert torch.equal(vectors[0, 0], layer.codes.weight[2])
    assert torch.equal(vectors[0, 1], layer.codes.weight[3])
    assert torch.equal(vectors[1, 1], layer.codes.weight[4])
