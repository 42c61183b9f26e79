"""Groups of similar samples, input by input: how similar is too similar, searched once and kept on disk.

What a search finds depends on its tool and takes time, so its groups lie in ``<cache>/groups/`` under a hash of the
values, the threshold, the modality, and the versions of anlage and MMseqs2. The folder can be deleted at any time.
"""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from hashlib import blake2b, sha256
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from anlage.errors import AnlageError
from anlage.modalities.homology import mmseqs
from anlage.modalities.inputs import Input
from anlage.samples.hashing import data_hash
from anlage.splits import variants

Say = Callable[[str], None]
SLOW = 1.0
"""Seconds from which a search is worth keeping."""
_MOST_FILES = 100


def wanted(asked: Sequence[str], inputs: Sequence[Input]) -> dict[str, float]:
    """By input name the least similarity that joins two samples; inputs that are compared for equality alone are
    absent. ``asked``: "off", a share for all inputs, or INPUT=SHARE; none = what each modality's field uses.

    Raises:
        AnlageError: an entry that is none of these, an input that is not there or is compared for equality alone.
    """
    least = {i.name: i.modality.usual_similarity for i in inputs if i.modality.similarity}
    for text in asked:
        name, _, value = text.rpartition("=")
        if name and name not in {i.name for i in inputs}:
            raise AnlageError(f"--similarity {text}: no input '{name}'; inputs: {', '.join(i.name for i in inputs)}")
        if value == "off":
            least = {} if not name else {other: share for other, share in least.items() if other != name}
            continue
        share = _share(text, value)
        comparable = [i.name for i in inputs if i.modality.similarity and name in ("", i.name)]
        if not comparable:
            which = name or ", ".join(i.name for i in inputs)
            raise AnlageError(f"--similarity {text}: {which} can only be compared for equality: leave it out")
        least |= dict.fromkeys(comparable, share)
    return least


def _share(text: str, value: str) -> float:
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if not 0 < share <= 1:
        raise AnlageError(f"--similarity {text}: give off, or a share above 0, up to 1 (0.3 for 30 %)")
    return share


def groups(item: Input, frame: pd.DataFrame, least: float | None, folder: Path, say: Say) -> np.ndarray:
    """[rows] int64: rows of one number are equal (``least`` None), or linked by pairs at least so similar; -1 =
    missing. ``frame`` is checked; ``folder``: the cache."""
    if least is None:
        return item.modality.groups(frame)
    path = folder / "groups" / f"{_key(item, frame, least)}.safetensors"
    kept = _read(path, len(frame), say)
    if kept is not None:
        return kept
    started = time.monotonic()
    found = item.modality.similarity_groups(frame, least, say).astype(np.int64)
    if time.monotonic() - started > SLOW:
        _write(path, found, say)
    return found


def drawn_groups(
    inputs: Sequence[Input], frames: Mapping[str, pd.DataFrame], asked: Sequence[str], folder: Path, say: Say
) -> tuple[list[np.ndarray], dict[str, float], list[str]]:
    """For each input the groups [rows] by which rows are divided at random; by input name the similarity that made
    them; and notes on what came out. ``say`` is told what takes long.

    Where more than half of the rows are one family and the user asked for no threshold, the rows are variants of one
    sample, which similarity cannot divide: they are grouped by equality, and that is said as well.
    """
    least = wanted(asked, inputs)
    found, notes = [], []
    for item in inputs:
        frame = frames[item.name]
        label = item.modality.groups(frame)
        if item.name in least:
            stays = bool(asked) or _largest(label) > 0.5  # similarity decides, whatever comes out
            family = 0.0 if stays else _largest_family(item, frame, least[item.name])
            if family <= 0.5:
                similar = groups(item, frame, least[item.name], folder, say)
                family = _largest(similar)
                notes.append(
                    f"similar {item.name}: {_count(similar):,} groups of {(similar >= 0).sum():,} rows, the largest of "
                    f"{family:.1%} ({item.modality.similarity}: {percent(least[item.name])} or more)"
                )
                label = similar if stays or family <= 0.5 else label
            if family > 0.5 and not stays:
                notes.append(_library(item, family))
                del least[item.name]
        found.append(label)
    return found, least, notes


def _largest_family(item: Input, frame: pd.DataFrame, least: float) -> float:
    """The share of the rows that are known to be one family without a search."""
    if item.modality.layout != "Tokens":
        return 0.0
    values = frame.iloc[:, 0]
    return variants.family([value if isinstance(value, str) else None for value in values], least)


def _library(item: Input, share: float) -> str:
    """What is said where one family holds most rows."""
    sequences = item.modality.layout == "Tokens"
    kind = "variant library" if sequences else "one family"
    ways = "; --split mutations or --split positions tests on more or other mutations" if sequences else ""
    return (
        f"{kind}: one group of similar {item.name} holds {share:.0%} of the rows: only equal ones stay together, the "
        f"test is on further members of that family, and intervals resample rows, not families{ways}"
    )


def percent(share: float) -> str:
    """0.3 → "30 %", 0.999 → "99.9 %"."""
    return f"{100 * share:.4g} %"


def words(least: Mapping[str, float]) -> str:
    """What rows of one group have in common."""
    if not least:
        return "duplicates"
    return "similar " + " and ".join(f"{name} (from {percent(share)} on)" for name, share in least.items())


def _largest(label: np.ndarray) -> float:
    """The share of the known rows that the largest group holds."""
    known = label[label >= 0]
    return float(np.unique(known, return_counts=True)[1].max() / len(known)) if len(known) else 0.0


def _count(label: np.ndarray) -> int:
    return len(np.unique(label[label >= 0]))


def _key(item: Input, frame: pd.DataFrame, least: float) -> str:
    program = mmseqs.find() if item.modality.layout == "Tokens" else None
    values = data_hash(frame.reset_index(drop=True))  # row numbers as ids: the order counts
    decided = [version("anlage"), program and program[1], item.modality.name, asdict(item.modality), least, values]
    return sha256(json.dumps(decided, sort_keys=True, default=str).encode()).hexdigest()


def _read(path: Path, rows: int, say: Say) -> np.ndarray | None:
    """The kept groups; None where there are none. A broken file is named and removed."""
    if not path.is_file():
        return None
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            label = file.get_tensor("groups")
            if label.shape != (rows,) or label.dtype != np.int64 or (file.metadata() or {}).get("hash") != _hash(label):
                raise ValueError("not what was written")
        os.utime(path)
        return label
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        say(f"{path} is broken ({error}): its groups are searched again")
        with suppress(OSError):
            path.unlink()
        return None


def _write(path: Path, label: np.ndarray, say: Say) -> None:
    """Keep the groups, whole or not at all; beyond a hundred files those go that were not used for longest."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    temporary = path.with_suffix(f".{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({"groups": np.ascontiguousarray(label)}, temporary, metadata={"hash": _hash(label)})
        os.replace(temporary, path)
        kept = sorted(path.parent.glob("*.safetensors"), key=lambda one: one.stat().st_mtime)
        for old in kept[:-_MOST_FILES]:
            old.unlink()
    except (OSError, SafetensorError) as error:
        say(f"{path.parent}: groups cannot be kept there ({error}); set ANLAGE_CACHE to another folder")
        with suppress(OSError):
            temporary.unlink()


def _hash(label: np.ndarray) -> str:
    return blake2b(np.ascontiguousarray(label).tobytes(), digest_size=16).hexdigest()
