"""The weight files of a checkpoint: safetensors alone, in one file or several. Pickles are never opened."""

import hashlib
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from anlage.encoders.checkpoints.config import read_json
from anlage.errors import AnlageError

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
INDEX_BYTES = 2**26
_SHARD = re.compile(r"[\w.-]+\.safetensors", re.ASCII)
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.h5", "*.msgpack")
_FLOATS = ("F64", "F32", "F16", "BF16")
_COUNTS = ("I64", "I32", "U8", "BOOL")
"""Positions, counts of batches and masks that models store beside their weights."""


class Tensors:
    """The tensors of a checkpoint by name. Headers are read at once (safetensors itself checks that they agree with
    the size of the file), numbers when they are asked for."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.files = self._files()
        self.shapes: dict[str, tuple[int, ...]] = {}
        self._file: dict[str, Path] = {}
        for path in self.files:
            with _opened(path) as file:
                for name in file.keys():  # noqa: SIM118 (no mapping)
                    if name in self._file:
                        raise AnlageError(f"{path}: {name} is also in {self._file[name].name}")
                    self._file[name] = path
                    self.shapes[name] = tuple(file.get_slice(name).get_shape())
        self._agree()

    def numbers(self) -> int:
        """How many numbers there are in all tensors."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def read(self, name: str, floats_only: bool = True) -> Tensor:
        """One tensor, as 32-bit floats in memory of its own; whole numbers stay so unless ``floats_only``."""
        path = self._file[name]
        with _opened(path) as file:
            kind = file.get_slice(name).get_dtype()
            if kind not in _FLOATS and (floats_only or kind not in _COUNTS):
                raise AnlageError(f"{path}: {name} holds {kind} numbers: only floats of 16 bits and more are read")
            tensor = file.get_tensor(name)
            tensor = tensor.to(torch.float32 if kind in _FLOATS else tensor.dtype, copy=True)
        if not tensor.isfinite().all():
            raise AnlageError(f"{path}: {name} holds numbers that are not finite")
        return tensor

    def digest(self) -> str:
        """SHA-256 of the weight files, one after the other."""
        digest = hashlib.sha256()
        for path in self.files:
            with path.open("rb") as stream:
                while piece := stream.read(2**22):
                    digest.update(piece)
        return digest.hexdigest()

    def _files(self) -> list[Path]:
        if (self.folder / SINGLE).is_file():
            self.index = None
            return [self.folder / SINGLE]
        if not (self.folder / INDEX).is_file():
            pickled = any(next(self.folder.glob(pattern), None) for pattern in _PICKLES)
            why = "its weights are in a format that can run code, which is never opened" if pickled else "no weights"
            raise AnlageError(
                f"{self.folder} holds no {SINGLE} ({why}): choose a checkpoint that has one, or write "
                "it with save_pretrained of transformers where you trust the file"
            )
        self.index = read_json(self.folder / INDEX, INDEX_BYTES).get("weight_map")
        listed = self.index.values() if isinstance(self.index, dict) else [None]
        wrong = [name for name in listed if not isinstance(name, str) or not _SHARD.fullmatch(name)]
        if wrong or not listed:
            raise AnlageError(f"{self.folder / INDEX}: its weight_map names no safetensors files of this folder")
        files = [self.folder / name for name in sorted(set(listed))]
        for path in files:
            if not path.is_file():
                raise AnlageError(f"{path} is missing: {INDEX} lists it; copy the checkpoint again")
        return files

    def _agree(self) -> None:
        if self.index is None:
            return
        own = {name: path.name for name, path in self._file.items()}
        for name in sorted(own.keys() ^ self.index.keys()) or sorted(n for n in own if own[n] != self.index[n]):
            raise AnlageError(f"{self.folder / INDEX} and the files disagree on {name}: copy the checkpoint again")


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise AnlageError(f"{path}: not a whole safetensors file ({error}): copy the checkpoint again") from None
