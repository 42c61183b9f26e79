"""A tokenised corpus on disk: written once, then read through memory maps, so that it may be larger than memory.

A store is a folder of plain binary files and, written last, ``index.json``. It is built beside its place and moved
there as a whole: what a killed process leaves is never taken for a store.
"""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from anlage.errors import AnlageError
from anlage.parts import digests_of

if TYPE_CHECKING:
    from anlage.types import Tokens

INDEX = "index.json"
ABANDONED = 3600.0
"""Seconds after which a half-built store that nobody writes to is swept away."""
_KINDS = {"offsets": "int64", "values": "int64", "hashes": "uint64"}
ADDED = 2
"""Tokens of a part that stand for nothing in its source: the first and the last."""


@dataclass
class StoredTokens:
    """Sequences cut into windows; each window is a part. Token ids lie on disk, spans follow from where a window lies:
    a window is ``<start> letters <end>``, one token for each letter."""

    ids: np.ndarray
    """[tokens] uint8 or wider"""
    offsets: np.ndarray
    """[parts + 1] int64: where each part begins in ``ids``."""
    values: np.ndarray
    """[parts] int64: the number of the value that each part is a window of, ascending."""

    @property
    def sizes(self) -> np.ndarray:
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def take(self, which: np.ndarray) -> "Tokens":
        import torch

        from anlage.types import Tokens

        which = np.asarray(which, dtype=np.int64)
        begins, ends = self.offsets[which], self.offsets[which + 1]
        lengths = ends - begins
        ids = [self.ids[a:b] for a, b in zip(begins, ends, strict=True)]
        window = np.searchsorted(self.values, self.values[which])  # the first window of the same value
        before = begins - self.offsets[window] - ADDED * (which - window)
        place = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        first = np.repeat(before, lengths) + place - 1
        spans = np.stack([first, first + 1], axis=1)
        spans[(place == 0) | (place == np.repeat(lengths, lengths) - 1)] = 0
        return Tokens(
            ids=torch.from_numpy(np.concatenate([np.zeros(0, dtype=np.int64), *ids]).astype(np.int64)),
            lengths=torch.from_numpy(lengths.astype(np.int64)),
            spans=torch.from_numpy(spans.astype(np.int64)),
        )

    def digests(self) -> np.ndarray:
        pairs = zip(self.offsets[:-1], self.offsets[1:], strict=True)
        return digests_of(np.ascontiguousarray(self.ids[a:b], dtype=np.int32).tobytes() for a, b in pairs)

    def texts(self, vocabulary: tuple[str, ...]) -> list[str]:
        """The whole sequences, window after window, from the text of each token."""
        letters = np.array(vocabulary, dtype=object)
        pieces: list[list[str]] = [[] for _ in range(int(self.values[-1]) + 1 if len(self) else 0)]
        for part, (a, b) in enumerate(zip(self.offsets[:-1], self.offsets[1:], strict=True)):
            pieces[self.values[part]] += letters[self.ids[a + 1 : b - 1]].tolist()
        return ["".join(piece) for piece in pieces]


@dataclass
class Store:
    """An open store: its parts, the hash of each value, and what was told when it was built."""

    folder: Path
    parts: StoredTokens
    hashes: np.ndarray
    """[values] uint64"""
    facts: dict[str, Any]


class Writer:
    """Appends windows to a store that is being built: plain binary files, whose types and lengths the index holds."""

    def __init__(self, folder: Path, vocabulary: int):
        if vocabulary > 2**16:
            raise AnlageError(f"a vocabulary of {vocabulary:,} tokens is too large to store: 65,536 at most")
        self.folder = folder
        self.kinds = dict(_KINDS, ids="uint8" if vocabulary <= 256 else "uint16")
        self.files: dict[str, IO[bytes]] = {name: (folder / name).open("wb") for name in self.kinds}
        self.counts = dict.fromkeys(self.kinds, 0)
        self.end = 0
        self._write("offsets", np.zeros(1, dtype=np.int64))

    def add(self, ids: np.ndarray, lengths: np.ndarray, values: np.ndarray, hashes: np.ndarray) -> None:
        """Windows, one after the other: their ``ids``, ``lengths`` and the number of the value of each; and the hashes
        of new values."""
        ends = self.end + np.cumsum(lengths)
        self.end += int(np.sum(lengths))
        for name, array in (("ids", ids), ("offsets", ends), ("values", values), ("hashes", hashes)):
            self._write(name, array)

    def close(self, facts: dict[str, Any]) -> None:
        """Write the index, all of it to the disk for good."""
        arrays = {name: {"dtype": self.kinds[name], "count": self.counts[name]} for name in self.kinds}
        self.files[INDEX] = (self.folder / INDEX).open("wb")
        self.files[INDEX].write(json.dumps({"arrays": arrays, "facts": facts}).encode())
        for file in self.files.values():
            file.flush()
            os.fsync(file.fileno())
            file.close()

    def _write(self, name: str, array: np.ndarray) -> None:
        self.files[name].write(np.ascontiguousarray(array, dtype=self.kinds[name]).tobytes())
        self.counts[name] += len(array)


def open_store(folder: Path) -> Store | None:
    """The store in a folder; None where there is none. AnlageError where its files do not fit together."""
    if not (folder / INDEX).is_file():
        return None
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        arrays = {}
        for name, entry in index["arrays"].items():
            if name not in ("ids", *_KINDS) or entry["dtype"] not in ("uint8", "uint16", "int64", "uint64"):
                raise ValueError(f"an unknown array {name}")
            size = np.dtype(entry["dtype"]).itemsize * entry["count"]
            if (folder / name).stat().st_size != size:
                raise ValueError(f"{name} has not the {size:,} bytes that it should have")
            arrays[name] = np.memmap(folder / name, entry["dtype"], "r", shape=(entry["count"],))
        parts = StoredTokens(arrays["ids"], arrays["offsets"], arrays["values"])
        return Store(folder, parts, np.array(arrays["hashes"]), index["facts"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AnlageError(f"{folder}: this store cannot be read ({error}): delete the folder") from None


def build_store(folder: Path, vocabulary: int, fill: Callable[[Writer], dict[str, Any]]) -> Store:
    """Build a store with what ``fill`` adds (it returns the facts) and move it to ``folder``; where another process was
    faster, its store is taken. AnlageError where the disk refuses."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder.parent)
        beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise AnlageError(
            f"{folder.parent}: cannot be written ({error.strerror}); set ANLAGE_CACHE elsewhere"
        ) from None
    try:
        writer = Writer(beside, vocabulary)
        writer.close(fill(writer))
        try:
            os.rename(beside, folder)
        except OSError:
            if not (folder / INDEX).is_file():
                raise
    except OSError as error:
        raise AnlageError(f"{folder}: {error.strerror or error}: the corpus was not stored") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    store = open_store(folder)
    assert store is not None
    return store


def _sweep(parent: Path) -> None:
    """Remove what killed processes left."""
    for left in parent.glob(".*-*"):
        if time.time() - max(path.stat().st_mtime for path in [left, *left.glob("*")]) > ABANDONED:
            shutil.rmtree(left, ignore_errors=True)
