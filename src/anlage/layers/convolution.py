"""Residual 1-D convolutions over spaced rows, channels first: the arrangement in which CPUs train them fastest.

Measured on 2 cores in fp32, forward and backward, against tokens-first convolutions (shifted matrix products, NHWC
kernels, im2col): the flat [1, channels, places] run was ahead or level at widths 64-256, kernels 3-9, and its
root-mean-square norm needs no transposition.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from anlage.layers.dropout import add_dropout


class ChannelNorm(nn.Module):
    """Root-mean-square norm over the channels of each place (Zhang & Sennrich 2019): never looks at batch-mates."""

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width, 1))

    def forward(self, x: Float[Tensor, "rows width columns"], keep: Tensor) -> Float[Tensor, "rows width columns"]:
        """Also zeroes places where ``keep`` [rows, 1, columns] is 0, at no extra cost."""
        scale = (x.float().square().mean(1, keepdim=True) + 1e-5).rsqrt() * keep
        return x * scale * self.weight


class ConvolutionBlock(nn.Module):
    """x + dropout(gelu(conv(norm(x)))): pre-norm, dilated, same length."""

    def __init__(self, width: int, kernel: int, dilation: int, dropout: float):
        super().__init__()
        self.norm = ChannelNorm(width)
        self.convolution = nn.Conv1d(width, width, kernel, padding=kernel // 2 * dilation, dilation=dilation)
        self.dropout = dropout

    def forward(self, x: Float[Tensor, "rows width columns"], keep: Tensor) -> Float[Tensor, "rows width columns"]:
        added = F.gelu(self.convolution(self.norm(x, keep)))
        return add_dropout(x, added, self.dropout, self.training)
