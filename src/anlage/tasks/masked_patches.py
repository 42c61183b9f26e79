"""Masked patches: hide squares of an image, predict their pixels (SimMIM, Xie et al. 2022, arXiv:2111.09886)."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from anlage.draws import Draws
from anlage.errors import AnlageError
from anlage.metrics import objectives as metrics
from anlage.metrics.metric import Metric
from anlage.shapes import GridShape, Shape
from anlage.tasks.objective import Objective
from anlage.types import Batch, Encoded, Grid, Layout

PATCHES = 7
"""Patches along the longest side, where their size is not given."""


class PixelHead(nn.Module):
    """Each element → the pixels of a patch around it, laid side by side, resized to the image. Works behind any encoder
    that says how its elements lie (``Encoded.space``), whatever their number."""

    def __init__(self, width: int, shape: GridShape, patch: int):
        super().__init__()
        self.shape, self.patch = shape, patch
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, shape.channels * patch ** len(shape.space))

    def forward(self, encoded: Encoded) -> Float[Tensor, "samples channels *space"]:
        """Pixels of every sample; zeros where a sample has no image."""
        if encoded.elements is None or encoded.space is None or encoded.lengths is None:
            raise AnlageError("this encoder does not say how its elements lie: masked_patches cannot train it")
        dimensions, channels = len(self.shape.space), self.shape.channels
        there = encoded.lengths > 0
        patches = self.output(self.norm(encoded.elements)).unflatten(0, (-1, *encoded.space))
        patches = patches.unflatten(-1, (channels, *[self.patch] * dimensions))
        # parts, *space, channels, *patch → parts, channels, then space and patch in turn
        turns = [axis for d in range(dimensions) for axis in (1 + d, 2 + dimensions + d)]
        pixels = patches.permute(0, 1 + dimensions, *turns)
        pixels = pixels.reshape(-1, channels, *[side * self.patch for side in encoded.space])
        if pixels.shape[2:] != self.shape.space:
            mode = "bilinear" if dimensions == 2 else "trilinear"
            pixels = F.interpolate(pixels, self.shape.space, mode=mode, align_corners=False)
        result = pixels.new_zeros(len(there), channels, *self.shape.space)
        result[there] = pixels
        return result


@dataclass
class MaskedPatches(Objective):
    """A share ``rate`` of the patches is set to 0, the mean of the standardised pixels; the loss is the squared error
    of the hidden pixels. The target holds the pixels, NaN where they are shown."""

    name: ClassVar[str] = "masked_patches"
    layouts: ClassVar[frozenset[str]] = frozenset({"Grid"})

    rate: float = 0.6
    """Share of the patches that is hidden."""
    patch: int = 0
    """Side of a patch in pixels. Default: a seventh of the image's longest side."""

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1:
            raise AnlageError(f"objective masked_patches: rate={self.rate}: give a share between 0 and 1")
        if self.patch < 0:
            raise AnlageError(f"objective masked_patches: patch={self.patch}: give a number of pixels")

    def bind(self, shape: Shape, augment: Callable[[Layout, torch.Generator], Layout]) -> Self:
        super().bind(shape, augment)
        self.patch = self.patch or max(1, math.ceil(max(self.grid_shape.space) / PATCHES))
        return self

    def head(self, width: int) -> nn.Module:
        return PixelHead(width, self.grid_shape, self.patch)

    def views(self, batch: Batch, draws: Draws) -> Iterator[tuple[Batch, Tensor]]:
        """One view; the same patches of a row are hidden whatever rows are with it."""
        layout = batch.parts[self.input]
        assert isinstance(layout, Grid)
        hidden = self.hide(batch, draws)
        index = batch.index[self.input]
        target = layout.pixels.masked_fill(~hidden, torch.nan)[index.clamp(min=0)]
        target[index < 0] = torch.nan
        shown = Grid(layout.pixels.masked_fill(hidden, 0.0))
        yield replace(batch, parts={**batch.parts, self.input: shown}, targets={}), target

    def hide(self, batch: Batch, draws: Draws) -> Bool[Tensor, "parts 1 *space"]:
        """Which pixels are hidden: of each image exactly the share ``rate`` of its patches (rounded, one or more)."""
        rows, space = self.row_of_part(batch), self.grid_shape.space
        along = [math.ceil(length / self.patch) for length in space]
        patches = math.prod(along)
        uniform = draws.uniform(rows, torch.full_like(rows, patches)).view(len(rows), patches)
        lowest = uniform.argsort(dim=1, stable=True).argsort(dim=1) < max(1, round(self.rate * patches))
        hidden = lowest.view(len(rows), 1, *along)
        for axis, length in enumerate(space, start=2):
            hidden = hidden.repeat_interleave(self.patch, axis).narrow(axis, 0, length)
        return hidden

    def loss(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Sum of the squared errors of the hidden pixels, and their number."""
        hidden = ~target.isnan()
        return ((output - target.nan_to_num(0.0)) ** 2)[hidden].sum(), hidden.sum()

    def measure(self, output: Tensor, target: Tensor, view: Batch) -> Float[np.ndarray, "samples k"]:
        """[samples, (sum of squared errors, hidden pixels)]"""
        hidden = ~target.isnan()
        errors = torch.where(hidden, (output.detach() - target.nan_to_num(0.0)) ** 2, 0.0).double()
        return torch.stack((errors.flatten(1).sum(1), hidden.flatten(1).sum(1).double()), 1).cpu().numpy()

    @property
    def metrics(self) -> Mapping[str, Metric]:
        return {metrics.PATCH_ERROR.name: metrics.PATCH_ERROR}

    @property
    def grid_shape(self) -> GridShape:
        """The input's shape."""
        assert isinstance(self.shape, GridShape)
        return self.shape
