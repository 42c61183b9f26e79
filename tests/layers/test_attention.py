"""Packed attention equals plain attention on each part; rotary positions are relative."""

import torch

from anlage.layers.attention import Attention, TransformerBlock, rotations
from anlage.layers.packing import grouped, position_in_part


def test_packed_equals_each_part_alone_by_hand():
    torch.manual_seed(0)
    lengths = torch.tensor([7, 2, 7, 1, 12])
    layer = Attention(width=16, head_width=8)
    x = torch.randn(int(lengths.sum()), 16)
    packed = layer(x, grouped(lengths, 0.5), None).split(lengths.tolist())
    for own, part in zip(packed, x.split(lengths.tolist()), strict=True):
        q, k, v = layer.qkv(part).unflatten(1, (3, 2, 8)).permute(1, 2, 0, 3)
        weights = (q @ k.transpose(1, 2) / 8**0.5).softmax(-1)
        by_hand = layer.out((weights @ v).transpose(0, 1).flatten(1))
        torch.testing.assert_close(own, by_hand, atol=1e-5, rtol=1e-5)


def test_rotary_positions_are_relative():
    torch.manual_seed(0)
    layer = Attention(width=16, head_width=8)
    x, lengths = torch.randn(6, 16), torch.tensor([6])
    groups = grouped(lengths, 0.0)
    here = layer(x, groups, rotations(position_in_part(lengths), 8))
    shifted = layer(x, groups, rotations(position_in_part(lengths) + 11, 8))
    torch.testing.assert_close(here, shifted, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(here, layer(x, groups, None), atol=1e-3)


def test_gated_block_keeps_the_shape():
    lengths = torch.tensor([3, 5])
    block = TransformerBlock(16, 8, hidden=24, gated=True, dropout=0.1)
    assert block(torch.randn(8, 16), grouped(lengths, 0.1), None).shape == (8, 16)
