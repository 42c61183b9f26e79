"""What a frozen encoder makes of each distinct part, computed once and kept on disk for all later fits.

``$ANLAGE_CACHE/vectors/<hash of the encoder>/`` (default ``~/.cache/anlage``) holds safetensors files of keys (hashes
of what the encoder sees of a part) and vectors. A file is written whole or not at all, and has a hash of its own, so a
killed process loses little and a broken file is noticed. The folder can be deleted at any time.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import blake2b, sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from torch import nn

from anlage.errors import AnlageError
from anlage.parts import Parts
from anlage.training.batches import in_order_of_size
from anlage.training.devices import processes, rank, wait_for_others
from anlage.training.predict import out_of_memory

SEGMENT = 2000
"""Parts in a file at most."""
SEGMENT_SECONDS = 60.0
"""A file is written at least so often: what a kill can cost."""
TOLD_SECONDS = 10.0
Say = Callable[[str], None]


def cache_folder() -> Path:
    """Where anlage keeps what it can compute again: ``$ANLAGE_CACHE``, else ``~/.cache/anlage``."""
    named = os.environ.get("ANLAGE_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "anlage"


def identity(encoder: nn.Module, described: Any) -> str:
    """SHA-256 of all that decides an encoder's vectors: ``described`` (settings and shape, JSON-able), its tensors, and
    the version of the code."""
    digest = sha256(json.dumps([version("anlage"), described], sort_keys=True, default=str).encode())
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def encode_parts(
    encoder: nn.Module, parts: Parts, which: Int[np.ndarray, " n"], tokens: int = 32768, samples: int = 512
) -> Iterator[tuple[Int[np.ndarray, " batch"], Float[np.ndarray, "batch width"]]]:
    """(numbers of parts, their pooled vectors as float32), batch after batch, for all parts numbered by ``which``.

    Batches hold parts of like size, the largest first, of at most ``tokens`` and ``samples``; where memory runs out
    those that are left are halved. Computed where the encoder's weights are, which is left in eval mode."""
    encoder.eval()
    device = next(encoder.parameters()).device
    todo = list(in_order_of_size(which, parts.sizes, tokens, samples))[::-1]
    while todo:
        batch = todo.pop()
        try:
            with torch.inference_mode():
                pooled = encoder(parts.take(batch).to(device)).pooled.float().cpu().numpy()
        except RuntimeError as error:
            if not out_of_memory(error) or len(batch) == 1:
                raise
            pooled = None
        if pooled is not None:
            yield batch, pooled
        else:
            torch.cuda.empty_cache()
            todo = [half for longer in (*todo, batch) for half in np.array_split(longer, 2)[::-1] if len(half)]


def kept_vectors(
    encoder: nn.Module, parts: Parts, described: Any, name: str, say: Say
) -> Float[np.ndarray, "parts width"]:
    """The pooled vector of every part, float32: from the disk where it is kept, else computed and kept.

    ``described``: the encoder's settings and shape, see :func:`identity`; ``name``: the input, for what is said.
    AnlageError where the encoder gives numbers that are not finite."""
    width = int(encoder.width)  # type: ignore[arg-type]
    kept = Kept(cache_folder() / "vectors" / identity(encoder, described), width, say)
    keys = parts.digests()
    vectors, found = kept.get(keys)
    if found.all():
        say(f"vectors of {name}: all {len(keys):,} were kept from before")
        return vectors
    before = f", {found.sum():,} were kept from before" if found.any() else ""
    say(f"vectors of {name}: computing {(~found).sum():,}{before}")
    started = time.monotonic()
    if processes() > 1:  # each computes its share, and finds the others' on the disk
        share = np.flatnonzero(~found)[rank() :: processes()]
        _compute(encoder, parts, share, keys, vectors, kept, name)
        wait_for_others()
        vectors, found = kept.get(keys)
    _compute(encoder, parts, np.flatnonzero(~found), keys, vectors, kept, name)
    where = f", kept in {kept.folder.parent}" if kept.writable else ""
    say(f"vectors of {name}: took {time.monotonic() - started:.1f} s{where}")
    return vectors


def _compute(
    encoder: nn.Module, parts: Parts, which: np.ndarray, keys: np.ndarray, vectors: np.ndarray, kept: "Kept", name: str
) -> None:
    """Fill ``vectors[which]``, and keep them in files as they come."""
    started = told = saved = time.monotonic()
    work, done, fresh = float(parts.sizes[which].sum()), 0.0, np.zeros(0, dtype=np.int64)
    for batch, pooled in encode_parts(encoder, parts, which):
        if not np.isfinite(pooled).all():
            raise AnlageError(f"the encoder of {name} gives vectors that are not finite: it cannot be used as it is")
        vectors[batch], fresh, now = pooled, np.append(fresh, batch), time.monotonic()
        done += float(parts.sizes[batch].sum())
        if len(fresh) >= SEGMENT or now - saved > SEGMENT_SECONDS or done == work:
            kept.put(keys[fresh], vectors[fresh])
            fresh, saved = fresh[:0], now
        if now - told > TOLD_SECONDS and done < work:
            left = (now - started) * (work - done) / done
            kept.say(f"vectors of {name}: {done / work:.0%}, about {left:.0f} s left")
            told = now


class Kept:
    """The files of one encoder: ``keys`` [n, 16] uint8, ``vectors`` [n, width] float32 and a hash of both."""

    def __init__(self, folder: Path, width: int, say: Say):
        self.folder, self.width, self.say = folder, width, say
        self.writable = True

    def get(self, keys: UInt8[np.ndarray, "parts 16"]) -> tuple[Float[np.ndarray, "parts width"], np.ndarray]:
        """Vectors by key, and which were found [parts]; the others are zero. Broken files are named and removed."""
        vectors = np.zeros((len(keys), self.width), dtype=np.float32)
        found = np.zeros(len(keys), dtype=bool)
        place: dict[bytes, int] = {}
        first = np.array([place.setdefault(key.tobytes(), i) for i, key in enumerate(keys)], dtype=np.int64)
        for path in sorted(self.folder.glob("*.safetensors")):
            try:
                with safe_open(path, framework="np") as file:
                    theirs = file.get_tensor("keys")
                    known = [(place.get(key.tobytes(), -1), i) for i, key in enumerate(theirs)]
                    here, there = np.array([pair for pair in known if pair[0] >= 0], dtype=np.int64).reshape(-1, 2).T
                    if not len(here):
                        continue
                    values = file.get_tensor("vectors")
                    if (file.metadata() or {}).get("hash") != _hash(theirs, values):
                        raise ValueError("its hash is another")
                    vectors[here], found[here] = values[there], True
            except (SafetensorError, OSError, KeyError, ValueError, IndexError) as error:
                self.say(f"{path} is broken ({error}): its vectors are computed again")
                with suppress(OSError):
                    path.unlink()
        return vectors[first], found[first]

    def put(self, keys: UInt8[np.ndarray, "parts 16"], vectors: Float[np.ndarray, "parts width"]) -> None:
        """Keep vectors in a file of their own. Where that fails (a full disk) it is said once, and nothing is kept."""
        if not self.writable:
            return
        path = self.folder / f"{blake2b(keys.tobytes(), digest_size=16).hexdigest()}.safetensors"
        temporary = path.with_suffix(f".{os.getpid()}.partial")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            save_file({"keys": keys, "vectors": vectors}, temporary, metadata={"hash": _hash(keys, vectors)})
            os.replace(temporary, path)
        except (OSError, SafetensorError) as error:
            self.writable = False
            self.say(f"{self.folder}: vectors cannot be kept there ({error}); set ANLAGE_CACHE to another folder")
            with suppress(OSError):
                temporary.unlink()


def _hash(keys: np.ndarray, vectors: np.ndarray) -> str:
    return blake2b(keys.tobytes() + vectors.tobytes(), digest_size=16).hexdigest()
