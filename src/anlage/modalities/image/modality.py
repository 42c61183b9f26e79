"""Images: 2-D, grey or RGB, 8 or 16 bit, from files or arrays."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pandas as pd

from anlage.errors import AnlageError, Problem
from anlage.modalities.image.copies import copies
from anlage.modalities.image.decode import SUFFIXES, BadImage, decode
from anlage.modalities.image.pixels import LOOK, conform, content_key, feature_names, features, look, standardise, top
from anlage.modalities.protocol import Checked, Descriptors, Modality, Nearest, Recognition
from anlage.modalities.similar import Similar, grouped, nearest
from anlage.parts import GridParts, Prepared
from anlage.shapes import GridShape

if TYPE_CHECKING:
    import torch

    from anlage.types import Layout

_LARGEST = 224
_SHIFT = 0.08
_JITTER = 0.1
_SAMPLE = 100
_CHUNK = 512


@dataclass
class Image(Modality):
    """Pictures of one size, standardised by the training rows."""

    name: ClassVar[str] = "image"
    layout: ClassVar[str] = "Grid"
    similarity: ClassVar[str] = "correlation of the pixels that overlap"
    usual_similarity: ClassVar[float] = 0.97

    size: int | None = None
    """Height and width in pixels. Default: the size of the training images where all agree, else their median,
    at most 224."""
    flip: bool = False
    """Mirror a random half of the images in training: for targets that do not know left from right."""

    def __post_init__(self) -> None:
        if self.size is not None and not 1 <= self.size <= 4096:
            raise AnlageError(f"image: size must lie between 1 and 4096, not {self.size}")
        self._channels = 0
        self._space = (0, 0)
        self._dtype = "uint8"
        self._mean: tuple[float, ...] = ()
        self._std: tuple[float, ...] = ()

    @classmethod
    def recognise(cls, name: str, values: pd.Series) -> Recognition | None:
        """Paths that end like image files, or cells that are two- or three-dimensional arrays."""
        if not (pd.api.types.is_object_dtype(values) or pd.api.types.is_string_dtype(values)):
            return None
        sample = list(values.dropna().iloc[:_SAMPLE])
        arrays = [v for v in sample if isinstance(v, np.ndarray) and v.ndim in (2, 3)]
        if sample and len(arrays) >= 0.9 * len(sample):
            shape = Counter(v.shape for v in arrays).most_common(1)[0][0]
            return Recognition(0.99, "arrays of " + " x ".join(map(str, shape)))
        paths = [v for v in sample if isinstance(v, str) and v.lower().endswith(SUFFIXES)]
        if sample and len(paths) >= 0.9 * len(sample):
            ends = sorted({"." + v.lower().rsplit(".", 1)[1] for v in paths})
            return Recognition(0.99, f"paths that end in {', '.join(ends)}")
        return None

    def check(self, frame: pd.DataFrame) -> Checked:
        """Every image is decoded once, completely: cells become [H, W] or [H, W, 3] arrays, bad ones None."""
        column = frame.columns[0]
        cells = np.empty(len(frame), dtype=object)
        problems: list[Problem] = []
        changed: Counter[str] = Counter()
        missing = frame[column].isna().to_numpy()
        for i, cell in enumerate(frame[column]):
            if missing[i]:
                continue
            try:
                cells[i], note = decode(cell)
            except BadImage as error:
                problems.append(Problem(str(frame.index[i]), str(column), str(error)))
                continue
            if note:
                changed[note] += 1
        notes = [f"column {column}: {n:,} images {what}" for what, n in changed.items()]
        return Checked(pd.DataFrame({column: pd.Series(cells, index=frame.index, dtype=object)}), problems, notes)

    def groups(self, frame: pd.DataFrame) -> np.ndarray:
        """Images with equal pixels are one group, however they were stored."""
        return _distinct(frame.iloc[:, 0])[0]

    def similarity_groups(self, frame: pd.DataFrame, least: float, say: Callable[[str], None]) -> np.ndarray:
        """Near copies: brighter, noisier, rescaled, shifted or cropped images; more alike than chance makes them."""
        index, images = _ordered(frame.iloc[:, 0])
        return grouped(index, copies(images, images, least, say))

    def nearest(
        self, frame: pd.DataFrame, reference: pd.DataFrame, least: float, say: Callable[[str], None]
    ) -> Nearest:
        """As for groups."""
        index, images = _ordered(pd.concat([reference.iloc[:, 0], frame.iloc[:, 0]]))
        there, asked = index[: len(reference)], index[len(reference) :]
        alone, those = np.setdiff1d(asked[asked >= 0], there), np.unique(there[there >= 0])
        found = copies([images[i] for i in alone], [images[i] for i in those], least, say)
        return nearest(asked, there, Similar(alone[found.query], those[found.target], found.similarity))

    def fit(self, frame: pd.DataFrame) -> Self:
        """Channels, size, type, and the mean and deviation of each channel."""
        _, images = _distinct(frame.iloc[:, 0])
        if not images:
            raise AnlageError(f"column {frame.columns[0]}: no usable image among the training rows")
        self._channels = 3 if any(image.ndim == 3 for image in images) else 1
        types = {str(image.dtype) for image in images}
        self._dtype = types.pop() if len(types) == 1 else "float32"
        self._space = self._common_size(np.array([image.shape[:2] for image in images]))
        sums, squares, n = np.zeros(self._channels), np.zeros(self._channels), 0
        for first in range(0, len(images), _CHUNK):
            pixels = self._conform(images[first : first + _CHUNK]).astype(np.float64) / top(self._dtype)
            sums += pixels.sum((0, 2, 3))
            squares += (pixels**2).sum((0, 2, 3))
            n += pixels[:, 0].size
        mean = sums / n
        std = np.sqrt(np.maximum(squares / n - mean**2, 0))
        std = np.where(std > 1e-6 * np.maximum(np.abs(mean), 1e-6), std, 1.0)
        self._mean = tuple((mean * top(self._dtype)).tolist())
        self._std = tuple((std * top(self._dtype)).tolist())
        return self

    def _common_size(self, sizes: np.ndarray) -> tuple[int, int]:
        if self.size is not None:
            return self.size, self.size
        height, width = np.median(sizes, axis=0)
        shrink = min(1.0, _LARGEST / max(height, width))
        return max(1, round(height * shrink)), max(1, round(width * shrink))

    @property
    def state(self) -> dict[str, Any]:
        """Channels, (height, width), pixel type, mean and deviation in units of the stored pixels."""
        return {
            "channels": self._channels,
            "space": list(self._space),
            "dtype": self._dtype,
            "mean": list(self._mean),
            "std": list(self._std),
        }

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        self._channels = int(state["channels"])
        self._space = (int(state["space"][0]), int(state["space"][1]))
        self._dtype = str(state["dtype"])
        self._mean, self._std = tuple(state["mean"]), tuple(state["std"])

    @property
    def shape(self) -> GridShape:
        """Channels and (height, width)."""
        return GridShape(self._channels, self._space)

    def prepare(self, frame: pd.DataFrame) -> Prepared:
        """Each distinct image once, as stored; scaled when a batch takes it."""
        index, images = _distinct(frame.iloc[:, 0])
        return Prepared(GridParts(self._conform(images), partial(standardise, mean=self._mean, std=self._std)), index)

    def _conform(self, images: list[np.ndarray]) -> np.ndarray:
        pixels = np.empty((len(images), self._channels, *self._space), dtype=self._dtype)
        for i, image in enumerate(images):
            pixels[i] = conform(image, self._channels, self._space, self._dtype)
        return pixels

    def descriptors(self, frame: pd.DataFrame) -> Descriptors:
        """Pixels (downsampled where larger than 32) and histograms of oriented gradients."""
        index, images = _distinct(frame.iloc[:, 0])
        blank = np.zeros((self._space[0], self._space[1]), dtype=self._dtype)
        pixels = self._conform([*images, blank])  # the last row stands for missing images: index -1
        chunks = [pixels[i : i + _CHUNK] for i in range(0, len(pixels), _CHUNK)]
        values = np.vstack([features(standardise(chunk, self._mean, self._std)) for chunk in chunks])
        values[-1] = np.nan
        return Descriptors(values[index], feature_names(self._channels, self._space, values.shape[1]))

    def profile(self, frame: pd.DataFrame) -> dict[str, np.ndarray]:
        """Height, width, brightness, contrast, colour and sharpness, as :func:`look` measures them."""
        index, images = _distinct(frame.iloc[:, 0])
        seen = np.array([*map(look, images), (np.nan,) * len(LOOK)])  # the last row stands for missing images: index -1
        return dict(zip(LOOK, seen[index].T, strict=True))

    def augment(self, layout: "Layout", generator: "torch.Generator") -> "Layout":
        """Shift by up to 8 % of the side (mirrored at the edges), change brightness and contrast a little."""
        from anlage.modalities.image.augment import vary

        return vary(layout, generator, shift=_SHIFT, jitter=_JITTER, flip=self.flip)  # type: ignore[arg-type]


def _ordered(cells: pd.Series) -> tuple[np.ndarray, list[np.ndarray]]:
    """As :func:`_distinct`, in an order that does not depend on that of the rows."""
    index, images = _distinct(cells)
    order = sorted(range(len(images)), key=lambda i: content_key(images[i]))
    place = np.append(np.argsort(order), -1).astype(np.int64)
    return place[index], [images[i] for i in order]


def _distinct(cells: pd.Series) -> tuple[np.ndarray, list[np.ndarray]]:
    """[rows] the number of each row's image (-1 = missing), and the images."""
    seen: dict[bytes, int] = {}
    images: list[np.ndarray] = []
    index = np.full(len(cells), -1, dtype=np.int64)
    for i, cell in enumerate(cells):
        if isinstance(cell, np.ndarray):
            index[i] = seen.setdefault(content_key(cell), len(images))
            if index[i] == len(images):
                images.append(cell)
    return index, images
