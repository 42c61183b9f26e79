"""A prepared column: the distinct values of one input as compact arrays, from which batches take layouts.

Everything here is numpy; torch is imported when the first layout is taken, so that reading starts at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from anlage.types import Columns, Grid, Layout, Tokens


class Parts(Protocol):
    """What a modality prepares and a batch takes from."""

    @property
    def sizes(self) -> np.ndarray:
        """[parts] how much work each part is (tokens; 1 for images and records): batches are cut by it."""

    def __len__(self) -> int: ...

    def take(self, which: np.ndarray) -> Layout:
        """The layout of the parts numbered by ``which``, in that order."""


@dataclass
class Prepared:
    """The parts of one input and, for each row of the table, the number of its part (-1 = missing)."""

    parts: Parts
    index: np.ndarray


@dataclass
class TokenParts:
    """Sequences, flat: the ids of part i are ``ids[offsets[i]:offsets[i + 1]]``; ``spans`` lead to the source."""

    ids: np.ndarray
    offsets: np.ndarray
    spans: np.ndarray

    @property
    def sizes(self) -> np.ndarray:
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def take(self, which: np.ndarray) -> Tokens:
        import torch

        from anlage.types import Tokens

        lengths = self.sizes[which]
        starts = np.repeat(self.offsets[which] - np.cumsum(lengths) + lengths, lengths)
        flat = starts + np.arange(lengths.sum())
        return Tokens(
            ids=torch.from_numpy(self.ids[flat].astype(np.int64)),
            lengths=torch.from_numpy(lengths.astype(np.int64)),
            spans=torch.from_numpy(self.spans[flat].astype(np.int64)),
        )


@dataclass
class GridParts:
    """Images of one size as they were stored (uint8, uint16 or float32), scaled only when taken."""

    pixels: np.ndarray
    scale: Callable[[np.ndarray], np.ndarray]
    """[parts channels height width] as stored → float32, standardised."""

    @property
    def sizes(self) -> np.ndarray:
        return np.ones(len(self.pixels), dtype=np.int64)

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, which: np.ndarray) -> Grid:
        import torch

        from anlage.types import Grid

        return Grid(pixels=torch.from_numpy(self.scale(self.pixels[which])))


@dataclass
class ColumnParts:
    """Standardised numbers (NaN = missing) and category codes (0 = missing or unseen)."""

    numbers: np.ndarray
    categories: np.ndarray

    @property
    def sizes(self) -> np.ndarray:
        return np.ones(len(self.numbers), dtype=np.int64)

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, which: np.ndarray) -> Columns:
        import torch

        from anlage.types import Columns

        return Columns(
            numbers=torch.from_numpy(self.numbers[which].astype(np.float32)),
            categories=torch.from_numpy(self.categories[which].astype(np.int64)),
        )
