"""Pooling over packed runs equals pooling part by part."""

import pytest
import torch

from anlage.errors import AnlageError
from anlage.layers.pooling import Pooling, choose_pooling, segment_max, segment_mean, segment_softmax
from anlage.shapes import TokensShape

LENGTHS = torch.tensor([3, 1, 5])


def test_segments_agree_with_each_part_alone():
    values = torch.randn(9, 4)
    runs = values.split(LENGTHS.tolist())
    torch.testing.assert_close(segment_mean(values, LENGTHS), torch.stack([r.mean(0) for r in runs]))
    torch.testing.assert_close(segment_max(values, LENGTHS), torch.stack([r.amax(0) for r in runs]))
    torch.testing.assert_close(segment_softmax(values * 50, LENGTHS), torch.cat([(r * 50).softmax(0) for r in runs]))


def test_aligned_cuts_and_fills_by_position():
    pooling = Pooling(8, "aligned", positions=4).eval()
    values = torch.randn(9, 8)
    short, single, long = values.split(LENGTHS.tolist())
    pooled = pooling(values, LENGTHS)
    torch.testing.assert_close(pooled[2], pooling(long[:4], torch.tensor([4]))[0])
    by_hand = torch.zeros(4, 16)
    by_hand[:3] = pooling.project(short)
    torch.testing.assert_close(pooled[0], pooling.mix(by_hand.flatten()))
    assert single.shape == (1, 8)


def test_auto_is_aligned_where_lengths_agree():
    free, fixed = TokensShape(5, 4, 10), TokensShape(5, 4, 10, aligned=10)
    assert choose_pooling("auto", free) == "attention"
    assert choose_pooling("auto", fixed) == "aligned"
    assert choose_pooling("mean", fixed) == "mean"
    with pytest.raises(AnlageError, match="one length"):
        choose_pooling("aligned", free)
