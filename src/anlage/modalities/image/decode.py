"""From a path or an array to a sound 2-D image array. Files come from anywhere: nothing in them is trusted."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from anlage.errors import AnlageError

MAX_PIXELS = 100_000_000
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".pnm")


class BadImage(ValueError):
    """Why a cell is no usable image, in words for the user."""


def decode(cell: Any) -> tuple[np.ndarray, str | None]:
    """The image as [height, width] or [height, width, 3], uint8, uint16 or float32, and a note on what was changed.

    Raises BadImage with the reason where it cannot be used.
    """
    if isinstance(cell, np.ndarray):
        return from_array(cell)
    if isinstance(cell, str | Path):
        return from_file(Path(cell))
    raise BadImage(f"{type(cell).__name__} is neither a path nor an array")


def from_array(array: np.ndarray) -> tuple[np.ndarray, str | None]:
    """Grey [H, W] or [H, W, 1], RGB [H, W, 3] or RGBA [H, W, 4]; numbers of any type."""
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    note = None
    if array.ndim == 3 and array.shape[2] == 4:
        array, note = array[:, :, :3], "had an alpha channel: dropped"
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3):
        raise BadImage(f"an array of shape {array.shape} is no grey or RGB image")
    if array.size == 0:
        raise BadImage(f"an image without pixels (shape {array.shape})")
    if array.shape[0] * array.shape[1] > MAX_PIXELS:
        raise BadImage(f"{array.shape[0]:,} x {array.shape[1]:,} pixels are more than {MAX_PIXELS:,}")
    if array.dtype == bool:
        return array.astype(np.uint8) * np.uint8(255), note
    if array.dtype.kind not in "iuf":
        raise BadImage(f"an array of {array.dtype} holds no pixels")
    return _narrow(array), note


def _narrow(array: np.ndarray) -> np.ndarray:
    """The smallest of uint8, uint16, float32 that holds the values."""
    if array.dtype in (np.uint8, np.uint16):
        return array
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            array = array.astype(np.float32)
        if not np.isfinite(array).all():
            raise BadImage("NaN or infinite pixels")
        return array
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > 65535:
        return array.astype(np.float32)
    return array.astype(np.uint8 if high <= 255 else np.uint16)


def pillow() -> Any:
    """The module PIL.Image, or one line that says how to install it."""
    try:
        from PIL import Image
    except ImportError as error:
        raise AnlageError("images need Pillow: pip install 'anlage[images]'") from error
    return Image


def from_file(path: Path) -> tuple[np.ndarray, str | None]:
    """Decode the whole file, so that damage shows here and not in training."""
    Image = pillow()
    try:
        if not path.is_file():
            raise BadImage(f"no such file: {path}")
    except (OSError, ValueError) as error:  # too long a name, a zero byte
        raise BadImage(f"no such file: {str(path)[:100]!r}") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the size is checked below, before anything is decoded
            with Image.open(path, formats=FORMATS) as image:
                return _decoded(image)
    except BadImage:
        raise
    except Image.DecompressionBombError as error:
        raise BadImage(f"more than {MAX_PIXELS:,} pixels: too large") from error
    except Image.UnidentifiedImageError as error:
        raise BadImage(f"{path.name} is no image in a known format ({', '.join(FORMATS)})") from error
    except Exception as error:  # damaged files make decoders raise nearly anything
        raise BadImage(f"{path.name} cannot be decoded: {str(error) or type(error).__name__:.100}") from error


def _decoded(image: Any) -> tuple[np.ndarray, str | None]:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise BadImage(f"{height:,} x {width:,} pixels are more than {MAX_PIXELS:,}")
    if (frames := getattr(image, "n_frames", 1)) > 1:
        raise BadImage(f"animated or with several pages ({frames:,}): one picture is needed")
    image.load()
    if image.mode in ("L", "RGB", "F", "1") or image.mode.startswith("I"):
        note = None
    else:
        note = f"had colour mode {image.mode}: converted"
        image = image.convert("L" if image.mode in ("LA", "La") else "RGB")
    array, _ = from_array(np.asarray(image))
    return array, note
