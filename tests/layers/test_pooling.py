"""Pooling over packed runs equals pooling part by part."""

import pytest
import torch

from anlage.errors import AnlageError
from anlage.layers.pooling import Pooling, choose_pooling, segment_max, segment_mean, segment_softmax
from anlage.shapes import TokensShape
from anlage.types import Tokens

LENGTHS = torch.tensor([3, 1, 5])


def test_segments_agree_with_each_part_alone():
    values = torch.randn(9, 4)
    runs = values.split(LENGTHS.tolist())
    torch.testing.assert_close(segment_mean(values, LENGTHS), torch.stack([r.mean(0) for r in runs]))
    torch.testing.assert_close(segment_max(values, LENGTHS), torch.stack([r.amax(0) for r in runs]))
    torch.testing.assert_close(segment_softmax(values * 50, LENGTHS), torch.cat([(r * 50).softmax(0) for r in runs]))


def tokens(lengths: torch.Tensor, ids: torch.Tensor) -> Tokens:
    return Tokens(ids, lengths, torch.zeros(len(ids), 2, dtype=torch.long))


def test_aligned_cuts_and_fills_by_position_and_adds_effects():
    pooling = Pooling(8, "aligned", TokensShape(7, 1, 10, aligned=4)).eval()
    torch.nn.init.normal_(pooling.effects.weight)
    values, ids = torch.randn(9, 8), torch.arange(9) % 7
    short, _, long = values.split(LENGTHS.tolist())
    pooled = pooling(values, tokens(LENGTHS, ids))
    cut = pooling(long[:4], tokens(torch.tensor([4]), ids[4:8]))
    torch.testing.assert_close(pooled[2], cut[0])
    by_hand = torch.zeros(4, 16)
    by_hand[:3] = pooling.project(short)
    effect = sum(pooling.effects.weight[place * 7 + ids[place]] for place in range(3))
    torch.testing.assert_close(pooled[0], pooling.mix(by_hand.flatten()) + effect)


def test_aligned_takes_away_what_training_batches_share():
    pooling = Pooling(8, "aligned", TokensShape(7, 1, 10, aligned=3))
    values, ids = torch.randn(6, 8), torch.tensor([1, 2, 3, 1, 2, 4])
    pooling.train()(values, tokens(torch.tensor([3, 3]), ids))
    mean = pooling.project(values).view(2, -1).mean(0)
    torch.testing.assert_close(pooling.shared, 0.05 * mean.detach())


def test_auto_is_aligned_where_lengths_agree():
    free, fixed = TokensShape(5, 4, 10), TokensShape(5, 4, 10, aligned=10)
    assert choose_pooling("auto", free) == "attention"
    assert choose_pooling("auto", fixed) == "aligned"
    assert choose_pooling("mean", fixed) == "mean"
    with pytest.raises(AnlageError, match="one length"):
        choose_pooling("aligned", free)
