"""Pixel arithmetic of the image modality: one size, one number of channels, one type; and plain features."""

import hashlib

import numpy as np

from anlage.errors import AnlageError
from anlage.modalities.image.decode import pillow

_HALF = 14
"""Side of the downsampled picture whose pixels are descriptors of images larger than 32 pixels."""
_HOG_SIDE = 64
_GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601


def content_key(image: np.ndarray) -> bytes:
    """A hash of what is seen: shape, type and pixels, with an RGB image of equal channels as grey."""
    if image.ndim == 3 and (image == image[:, :, :1]).all():
        image = image[:, :, 0]
    head = f"{image.shape}{image.dtype}".encode()
    return hashlib.blake2b(head + np.ascontiguousarray(image).tobytes(), digest_size=16).digest()


def top(dtype: str) -> float:
    """The value of white."""
    return {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}[dtype]


def conform(image: np.ndarray, channels: int, space: tuple[int, int], dtype: str) -> np.ndarray:
    """[channels, height, width] of the wanted size and type, from one checked image."""
    if image.ndim == 2:
        image = image[:, :, None]
    if image.shape[2] == channels and image.shape[:2] == space and image.dtype == dtype:
        return image.transpose(2, 0, 1)
    planes = image.astype(np.float32) * np.float32(top(dtype) / top(str(image.dtype)))
    if planes.shape[2] < channels:
        planes = np.repeat(planes, channels, axis=2)
    elif planes.shape[2] > channels:
        planes = (planes @ _GREY)[:, :, None]
    if planes.shape[:2] != space:
        planes = np.stack([resize(planes[:, :, c], space) for c in range(channels)], axis=2)
    if dtype != "float32":
        planes = np.clip(np.rint(planes), 0, top(dtype))
    return planes.transpose(2, 0, 1).astype(dtype)


def luminance(image: np.ndarray) -> np.ndarray:
    """[height, width] float32 of a checked image."""
    return image.astype(np.float32) if image.ndim == 2 else image.astype(np.float32) @ _GREY


def resize(plane: np.ndarray, space: tuple[int, int]) -> np.ndarray:
    """[height, width] float32, bilinear with the averaging that shrinking needs."""
    Image = pillow()
    picture = Image.fromarray(np.ascontiguousarray(plane, dtype=np.float32))
    return np.asarray(picture.resize((space[1], space[0]), Image.Resampling.BILINEAR))


def standardise(pixels: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...]) -> np.ndarray:
    """[images channels height width] as stored → float32 with about zero mean and unit variance of each channel."""
    centre = np.array(mean, dtype=np.float32)[:, None, None]
    spread = np.array(std, dtype=np.float32)[:, None, None]
    return (pixels.astype(np.float32) - centre) / spread


LOOK = ("height", "width", "brightness", "contrast", "colour", "sharpness")
"""What :func:`look` measures."""


def look(image: np.ndarray) -> tuple[float, ...]:
    """Of one checked image: height and width in pixels; mean and standard deviation of the grey values (white = 1);
    mean distance of the channels from grey; mean step between neighbouring pixels."""
    planes = image.reshape(*image.shape[:2], -1).astype(np.float32) / np.float32(top(str(image.dtype)))
    grey = planes.mean(2)
    colour = np.abs(planes - grey[:, :, None]).mean()
    steps = [np.abs(np.diff(grey, axis=axis)).mean() for axis in (0, 1) if grey.shape[axis] > 1]
    sharpness = float(np.mean(steps)) if steps else 0.0
    return (*map(float, grey.shape), float(grey.mean()), float(grey.std()), float(colour), sharpness)


def features(pixels: np.ndarray) -> np.ndarray:
    """[images, features] float32 of standardised pixels [images channels height width]: the pixels themselves up to
    32 x 32, else 14 x 14 averages, and histograms of oriented gradients (Dalal and Triggs 2005) of the grey image."""
    small = pixels if max(pixels.shape[2:]) <= 32 else _shrunk(pixels, (_HALF, _HALF))
    grey = pixels.mean(1)
    return np.hstack([small.reshape(len(pixels), -1), _hog(grey)]).astype(np.float32)


def feature_names(channels: int, space: tuple[int, int], total: int) -> list[str]:
    """Names of what :func:`features` returns for images of this size."""
    height, width = space if max(space) <= 32 else (_HALF, _HALF)
    names = [f"pixel {y},{x} channel {c}" for c in range(channels) for y in range(height) for x in range(width)]
    return names + [f"gradient {i}" for i in range(total - len(names))]


def _shrunk(pixels: np.ndarray, space: tuple[int, int]) -> np.ndarray:
    planes = [resize(plane, space) for image in pixels for plane in image]
    return np.array(planes, dtype=np.float32).reshape(*pixels.shape[:2], *space)


def _hog(grey: np.ndarray) -> np.ndarray:
    """[images, features]: 4 x 4 cells of 9 directions, normalised over 2 x 2 cells."""
    try:
        from skimage.feature import hog
    except ImportError as error:
        raise AnlageError("image descriptors need scikit-image: pip install 'anlage[images]'") from error
    if max(grey.shape[1:]) > _HOG_SIDE:
        grey = _shrunk(grey[:, None], (_HOG_SIDE, _HOG_SIDE))[:, 0]
    if min(grey.shape[1:]) < 8 or not len(grey):
        return np.zeros((len(grey), 0), dtype=np.float32)
    cell = (grey.shape[1] // 4, grey.shape[2] // 4)
    rows = [hog(image, orientations=9, pixels_per_cell=cell, cells_per_block=(2, 2)) for image in grey]
    return np.array(rows, dtype=np.float32)
