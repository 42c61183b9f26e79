"""Packed attention equals plain attention on each part; rotary positions are relative."""

import torch
import torch.nn.functional as F

from anlage.layers.attention import Attention, Style, TransformerBlock, frequencies, rotations
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


def test_causal_attention_by_hand():
    torch.manual_seed(0)
    lengths = torch.tensor([7, 2, 7, 1, 12])
    layer = Attention(16, 8, Style(bias=True, causal=True))
    x = torch.randn(int(lengths.sum()), 16)
    packed = layer(x, grouped(lengths, 0.5), None).split(lengths.tolist())
    for own, part in zip(packed, x.split(lengths.tolist()), strict=True):
        q, k, v = layer.qkv(part).unflatten(1, (3, 2, 8)).permute(1, 2, 0, 3)
        later = torch.ones(len(part), len(part)).triu(1).bool()
        weights = (q @ k.transpose(1, 2) / 8**0.5).masked_fill(later, -torch.inf).softmax(-1)
        by_hand = layer.out((weights @ v).transpose(0, 1).flatten(1))
        torch.testing.assert_close(own, by_hand, atol=1e-5, rtol=1e-5)


def test_post_norm_block_by_hand():
    torch.manual_seed(0)
    lengths = torch.tensor([3, 5])
    groups = grouped(lengths, 0.1)
    block = TransformerBlock(16, 8, 24, False, 0.1, Style(post_norm=True, bias=True, epsilon=0.1, tanh=True)).eval()
    x = torch.randn(8, 16)
    y = F.layer_norm(x + block.attention(x, groups, None), (16,), eps=0.1)
    inner = F.gelu(block.feed.rise(y), approximate="tanh")
    torch.testing.assert_close(block(x, groups, None), F.layer_norm(y + block.feed.fall(inner), (16,), eps=0.1))


def test_rounded_frequencies_are_those_of_16_bits():
    exact, rounded = frequencies(16), frequencies(16, rounded=True)
    assert torch.equal(rounded, exact.half().float())
    assert not torch.equal(rounded, exact)
