"""A prepared column: the distinct values of one input as compact arrays, from which batches take layouts.

Everything here is numpy; torch is imported when the first layout is taken, so that reading starts at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from anlage.types import Columns, Grid, Layout, Tokens, Vectors


class Parts(Protocol):
    """What a modality prepares and a batch takes from."""

    @property
    def sizes(self) -> np.ndarray:
        """[parts] how much work each part is (tokens; 1 for images and records): batches are cut by it."""

    def __len__(self) -> int: ...

    def take(self, which: np.ndarray) -> Layout:
        """The layout of the parts numbered by ``which``, in that order."""

    def digests(self) -> np.ndarray:
        """[parts 16] uint8 hashes of what an encoder sees of each part: what it makes of them is kept under these."""


@dataclass
class Prepared:
    """The parts of one input and, for each row of the table, the number of its part (-1 = missing)."""

    parts: Parts
    index: np.ndarray


def digests_of(pieces: Iterable[bytes]) -> np.ndarray:
    """[pieces 16] uint8: BLAKE2b of each."""
    joined = b"".join(blake2b(piece, digest_size=16).digest() for piece in pieces)
    return np.frombuffer(joined, dtype=np.uint8).reshape(-1, 16)


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

    def digests(self) -> np.ndarray:
        ids = np.ascontiguousarray(self.ids, dtype=np.int32)
        return digests_of(ids[a:b].tobytes() for a, b in zip(self.offsets[:-1], self.offsets[1:], strict=True))


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

    def digests(self) -> np.ndarray:
        return digests_of(self.scale(self.pixels[i : i + 1]).tobytes() for i in range(len(self)))


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

    def digests(self) -> np.ndarray:
        rows = zip(self.numbers.astype(np.float32), self.categories.astype(np.int64), strict=True)
        return digests_of(numbers.tobytes() + categories.tobytes() for numbers, categories in rows)


@dataclass
class VectorParts:
    """What an encoder made of the parts of an input: [parts width] float32, in memory or mapped from a file."""

    vectors: np.ndarray

    @property
    def sizes(self) -> np.ndarray:
        return np.ones(len(self.vectors), dtype=np.int64)

    def __len__(self) -> int:
        return len(self.vectors)

    def take(self, which: np.ndarray) -> Vectors:
        import torch

        from anlage.types import Vectors

        return Vectors(pooled=torch.from_numpy(np.asarray(self.vectors[which], dtype=np.float32)))

    def digests(self) -> np.ndarray:
        return digests_of(np.asarray(row, dtype=np.float32).tobytes() for row in self.vectors)
