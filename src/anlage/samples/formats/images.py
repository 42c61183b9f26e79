"""A folder of images: a folder for each class, with or without train/val/test folders above; or no classes at all."""

import os
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from anlage.samples.chunk import Chunk
from anlage.samples.values import PARTS

NAME = "folder of images"
SUFFIXES = ()
IMAGES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp")


def recognises(path: Path, head: bytes) -> bool:
    """Any folder."""
    return path.is_dir()


def chunks(path: Path, rows: int) -> Iterator[Chunk]:
    """Frames with columns id (relative path), image (path), and where folders say so label and split. Files that are
    no images are counted in a note. Broken images are named later, by the image modality."""
    others = 0
    found: list[tuple[str, ...]] = []
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for file in sorted(files):
            if file.lower().endswith(IMAGES) and not file.startswith("."):
                found.append(Path(folder, file).relative_to(path).parts)
            elif not file.startswith("."):
                others += 1
    splits = bool(found) and all(parts[0].lower() in PARTS and len(parts) > 1 for parts in found)
    skip = 1 if splits else 0
    labelled = any(len(parts) > skip + 1 for parts in found)
    notes = [f"{path}: {others} files that are no images passed over"] if others else []
    for start in range(0, max(len(found), 1), rows):
        some = found[start : start + rows]
        columns: dict[str, list[str | None]] = {
            "id": ["/".join(parts) for parts in some],
            "image": [str(path.joinpath(*parts)) for parts in some],
        }
        if labelled:
            columns["label"] = [parts[skip] if len(parts) > skip + 1 else None for parts in some]
        if splits:
            columns["split"] = [PARTS[parts[0].lower()] for parts in some]
        yield Chunk(pd.DataFrame(columns, dtype=object), notes=notes if start == 0 else [])
