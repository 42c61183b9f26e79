"""NumPy archives as MedMNIST ships them: train_images, train_labels, val_images, …, or images and labels."""

import math
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from anlage.errors import AnlageError
from anlage.samples.chunk import Chunk
from anlage.samples.values import PARTS

NAME = "NumPy archive"
SUFFIXES = (".npz",)
MAX_BYTES = 8 * 2**30
_MEMBER = re.compile(r"(?:([a-z]+)_)?(images|labels)\.npy")


def recognises(path: Path, head: bytes) -> bool:
    """A zip file called .npz."""
    return path.is_file() and path.suffix == ".npz" and head[:2] == b"PK"


def chunks(path: Path, rows: int) -> Iterator[Chunk]:
    """Frames with columns id, image ([height, width] or [height, width, channels] arrays), label (label_0 … where
    there are several) and split. Never unpickles.

    Raises:
        AnlageError: other arrays than these, sizes that do not fit, over 8 GB, Python objects.
    """
    members = _members(path)
    with np.load(path, allow_pickle=False) as archive:
        for part in dict.fromkeys(part for part, _ in members):
            images = archive[members[part, "images"]]
            labels = archive[members[part, "labels"]] if (part, "labels") in members else None
            if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[-1] not in (1, 3, 4)):
                shape = " x ".join(map(str, images.shape))
                raise AnlageError(f"{path}: {part}_images is {shape}: 2-D images, grey or RGB, are needed")
            if images.dtype.kind not in "biuf":
                raise AnlageError(f"{path}: {part}_images holds {images.dtype}, not numbers")
            if labels is not None and (labels.ndim not in (1, 2) or len(labels) != len(images)):
                raise AnlageError(f"{path}: {part}: {len(images)} images but labels of shape {labels.shape}")
            for start in range(0, len(images), rows):
                yield Chunk(_frame(part, images, labels, slice(start, start + rows), start))


def _frame(part: str, images: np.ndarray, labels: np.ndarray | None, rows: slice, start: int) -> pd.DataFrame:
    some = images[rows]
    prefix = f"{PARTS[part]}/" if part else ""
    columns: dict[str, object] = {
        "id": [f"{prefix}{start + i}" for i in range(len(some))],
        "image": pd.Series(list(some), dtype=object),
    }
    if labels is not None:
        table = labels[rows].reshape(len(some), -1)
        if table.dtype.kind in "SU":
            table = table.astype(str).astype(object)
        for i in range(table.shape[1]):
            columns["label" if table.shape[1] == 1 else f"label_{i}"] = table[:, i]
    if part:
        columns["split"] = [PARTS[part]] * len(some)
    return pd.DataFrame(columns)


def _members(path: Path) -> dict[tuple[str, str], str]:
    """(part or "", images or labels) → name, after every array's header has been found sound and bounded."""
    members: dict[tuple[str, str], str] = {}
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            match = _MEMBER.fullmatch(info.filename)
            if not match or (match[1] and match[1] not in PARTS):
                continue
            with archive.open(info) as file:
                version = np.lib.format.read_magic(file)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, dtype = read(file)
            size = math.prod(shape) * dtype.itemsize
            if dtype.hasobject:
                raise AnlageError(f"{path}: {info.filename} holds Python objects, which are never read")
            if size > MAX_BYTES or min(shape, default=0) < 0 or not 0 <= info.file_size - size < 70_000:
                raise AnlageError(f"{path}: {info.filename} promises {size:,} bytes: over 8 GB, or not what is there")
            members[match[1] or "", match[2]] = info.filename.removesuffix(".npy")
        if not any(kind == "images" for _, kind in members):
            names = ", ".join(archive.namelist()[:6]) or "nothing"
            raise AnlageError(f"{path}: holds {names}; expected train_images, train_labels, … or images, labels")
    for part, kind in members:
        if kind == "labels" and (part, "images") not in members:
            raise AnlageError(f"{path}: {part}_labels without {part}_images")
    return members
