"""Convolutions over spaced rows equal convolutions over each part alone."""

import torch

from anlage.layers.convolution import ChannelNorm, ConvolutionBlock


def test_norm_is_root_mean_square_and_zeroes_what_is_not_kept():
    x = torch.randn(2, 6, 9)
    keep = torch.ones(2, 1, 9)
    keep[1, :, 4:] = 0
    normed = ChannelNorm(6)(x, keep)
    torch.testing.assert_close(normed[0].square().mean(0), torch.ones(9), atol=1e-3, rtol=1e-3)
    assert not normed[1, :, 4:].any()


def test_zeros_between_parts_are_like_the_end_of_a_part():
    block = ConvolutionBlock(4, kernel=5, dilation=2, dropout=0.0)
    part = torch.randn(1, 4, 7)
    alone = block(part, torch.ones(1, 1, 7))
    row, keep = torch.randn(1, 4, 40), torch.zeros(1, 1, 40)
    row[:, :, 10:17], keep[:, :, 10:17] = part, 1
    keep[:, :, 21:30] = 1
    torch.testing.assert_close(block(row, keep)[:, :, 10:17], alone)
