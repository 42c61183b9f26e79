"""Random variations of training images that leave what is seen true. Needs torch, so it is imported on first use."""

import torch
from torch import Tensor

from anlage.types import Grid


def vary(grid: Grid, generator: torch.Generator, shift: float, jitter: float, flip: bool) -> Grid:
    """Each image moved by up to ``shift`` of its side, mirrored with probability 1/2 where ``flip``, and its
    standardised pixels multiplied by 1 ± ``jitter`` and raised by ± ``jitter``."""
    pixels = grid.pixels
    n, _, height, width = pixels.shape

    def random() -> Tensor:
        return torch.rand(n, 1, generator=generator, device=generator.device).to(pixels.device)

    rows, columns = _moved(height, shift, random()), _moved(width, shift, random())
    if flip:
        columns = torch.where(random() < 0.5, columns.flip(1), columns)
    image = torch.arange(n, device=pixels.device)
    moved = pixels.transpose(0, 1)[:, image[:, None, None], rows[:, :, None], columns[:, None, :]].transpose(0, 1)
    factor = 1 + jitter * (2 * random() - 1)
    raised = jitter * (2 * random() - 1)
    return Grid(pixels=moved * factor[:, :, None, None] + raised[:, :, None, None])


def _moved(side: int, shift: float, random: Tensor) -> Tensor:
    """[images, side]: which row (or column) of the source stands at each place; mirrored at the edges."""
    most = min(max(1, round(shift * side)), side - 1)
    offset = (random * (2 * most + 1)).floor().long().clamp(max=2 * most) - most
    place = (torch.arange(side, device=random.device) + offset).abs()
    return torch.where(place > side - 1, 2 * (side - 1) - place, place)
