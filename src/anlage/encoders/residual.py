"""The residual image encoder (He 2016, pre-activation), with group norm: no vector depends on batch-mates."""

from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from anlage.encoders.protocol import Encoder
from anlage.encoders.residual_settings import ResidualSettings
from anlage.errors import AnlageError
from anlage.layers.dropout import Dropout
from anlage.shapes import GridShape
from anlage.types import Encoded, Grid

CONVOLUTIONS: dict[int, type[nn.Conv2d] | type[nn.Conv3d]] = {2: nn.Conv2d, 3: nn.Conv3d}
SMALL = 64
"""Images up to this side enter at full resolution; larger ones are halved until they are that small."""


class Stem(nn.Module):
    """The first 3x3 convolution, on means of ``shrink`` x ``shrink`` pixels where the image is large."""

    def __init__(self, shape: GridShape, channels: int):
        super().__init__()
        self.convolution = CONVOLUTIONS[len(shape.space)](shape.channels, channels, 3, padding=1)
        self.space = shape.space
        self.shrink = 1
        while max(shape.space) / self.shrink > SMALL:
            self.shrink *= 2

    def forward(self, pixels: Float[Tensor, "parts channels *space"]) -> Float[Tensor, "parts channels *space"]:
        if self.shrink > 1:
            small = [max(1, side // self.shrink) for side in self.space]
            pixels = F.interpolate(pixels, small, mode="area")
        return self.convolution(pixels)


class ResidualBlock(nn.Module):
    """x + conv(relu(norm(conv(relu(norm(x)))))); where the resolution is halved, x is averaged and projected."""

    def __init__(self, dimensions: int, channels_in: int, channels: int, halve: bool):
        super().__init__()
        convolution = CONVOLUTIONS[dimensions]
        self.first_norm = nn.GroupNorm(_groups(channels_in), channels_in)
        self.first = convolution(channels_in, channels, 3, padding=1, stride=2 if halve else 1, bias=False)
        self.second_norm = nn.GroupNorm(_groups(channels), channels)
        self.second = convolution(channels, channels, 3, padding=1, bias=False)
        self.short = convolution(channels_in, channels, 1, bias=False) if channels != channels_in else nn.Identity()
        self.halve = halve

    def forward(self, x: Float[Tensor, "parts channels *space"]) -> Float[Tensor, "parts channels *space"]:
        h = self.first(F.relu(self.first_norm(x)))
        h = self.second(F.relu(self.second_norm(h)))
        if self.halve:
            x = F.interpolate(x, h.shape[2:], mode="area")
        return self.short(x) + h


def _groups(channels: int) -> int:
    return next(g for g in (8, 4, 2, 1) if channels % g == 0)


class Residual(Encoder):
    """Stem, stages of residual blocks, norm; pooled = mean over space. ``levels`` = the last map of each stage."""

    layouts: ClassVar[frozenset[str]] = frozenset({"Grid"})

    def __init__(self, settings: ResidualSettings, shape: GridShape):
        super().__init__(settings, shape)
        dimensions = len(shape.space)
        if dimensions not in CONVOLUTIONS:
            raise AnlageError(f"resnet reads images (2-D) and volumes (3-D), not {dimensions}-D grids")
        self.stem = Stem(shape, settings.channels)
        self.stages = nn.ModuleList()
        before = settings.channels
        for stage, depth in enumerate(settings.depths):
            channels = settings.channels * 2**stage
            layers = [
                ResidualBlock(dimensions, before if i == 0 else channels, channels, halve=stage > 0 and i == 0)
                for i in range(depth)
            ]
            self.stages.append(nn.Sequential(*layers))
            before = channels
        self.width = before
        self.norm = nn.GroupNorm(_groups(before), before)
        self.dropout = Dropout(settings.dropout)

    @property
    def blocks(self) -> list[nn.Module]:
        return [self.stem, *(layer for stage in self.stages for layer in stage.children()), self.norm]

    def forward(self, layout: Grid) -> Encoded:
        x = self.stem(layout.pixels)
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        x = F.relu(self.norm(x))
        parts, _, *space = x.shape
        cells = x.flatten(2).transpose(1, 2)
        lengths = torch.full((parts,), cells.shape[1], dtype=torch.long, device=x.device)
        pooled = self.dropout(cells.mean(1))
        return Encoded(pooled, cells.flatten(0, 1), lengths, space=tuple(space), levels=levels)
