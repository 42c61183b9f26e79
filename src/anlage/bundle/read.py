"""A folder → Contents, after every byte that counts was verified."""

import re
from pathlib import Path
from typing import Any

import pandas as pd

from anlage.bundle.contents import CARD, HISTORY, INDEX, METRICS, ROWS, WEIGHTS, Contents
from anlage.bundle.json_files import load, parse
from anlage.bundle.seal import file_hash, sealed
from anlage.bundle.upgrade import upgrade
from anlage.errors import AnlageError

_KEYS = {"settings": dict, "inputs": list, "targets": list, "provenance": dict, "files": dict}
_NAME = re.compile(r"(rows/)?[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_NEEDED = (WEIGHTS, METRICS, HISTORY)


def is_bundle(folder: Path | str) -> bool:
    """Does the folder hold a finished bundle? (``read`` says whether it is sound.)"""
    return (Path(folder) / INDEX).is_file()


def read(folder: Path | str) -> Contents:
    """Read and verify a bundle.

    Files in ``rows/`` may be absent (the bundle was shared without them), but where they are there they must be the
    ones that were written. The model card is verified nowhere: it is for people to complete. Raises AnlageError,
    naming the file, for anything missing, changed, newer or malformed. Runs nothing that the bundle brings.
    """
    folder = Path(folder)
    document = _index(folder)
    for name, entry in document["files"].items():
        _verify(folder, name, entry)
    return Contents(
        settings=document["settings"],
        inputs=document["inputs"],
        targets=document["targets"],
        provenance=document["provenance"],
        metrics=_json(folder / METRICS, dict),
        history=_json(folder / HISTORY, list),
        weights=_weights(folder / WEIGHTS),
        trust=document.get("trust", {}),
        files=tuple(document["files"]),
    )


def read_rows(folder: Path | str, name: str) -> pd.DataFrame | None:
    """A verified table of ``rows/`` ("predictions.parquet"; "split.csv", as text); None where it was left behind."""
    folder, listed = Path(folder), f"{ROWS}/{name}"
    entry = _index(folder)["files"].get(listed)
    if entry is None or not (folder / listed).exists():
        return None
    _verify(folder, listed, entry)
    if name.endswith(".parquet"):
        return pd.read_parquet(folder / listed)
    frame = pd.read_csv(folder / listed, dtype=str, keep_default_na=False)
    return frame.set_index(frame.columns[0])  # not by index_col, which makes numbers of ids


def _index(folder: Path) -> dict[str, Any]:
    path = folder / INDEX
    if not path.is_file():
        unfinished = " (its run was not finished: resume it)" if (folder / "training").is_dir() else ""
        raise AnlageError(f"{folder} is not a bundle: it holds no {INDEX}{unfinished}")
    raw = load(path)
    parsed = parse(raw, path)
    document = upgrade(parsed, path)
    if not sealed(raw):
        raise AnlageError(f"{path} was changed after it was written: copy the bundle again")
    for key, kind in _KEYS.items():
        if not isinstance(document.get(key), kind):
            raise AnlageError(f"{path}: no {key}: this is not a bundle of anlage")
    absent = [name for name in _NEEDED if name not in document["files"]]
    if absent:
        raise AnlageError(f"{path}: does not list {', '.join(absent)}: this is not a bundle of anlage")
    return document


def _verify(folder: Path, name: str, entry: Any) -> None:
    if not _NAME.fullmatch(name) or not isinstance(entry, dict) or not isinstance(entry.get("bytes"), int):
        raise AnlageError(f"{folder / INDEX}: {name!r:.80} is no entry for a file of a bundle")
    path = folder / name
    if name == CARD or (name.startswith(f"{ROWS}/") and not path.exists()):
        return
    if not path.is_file():
        raise AnlageError(f"{path} is missing: copy the bundle again")
    try:
        size = path.stat().st_size
        if size != entry["bytes"]:
            raise AnlageError(f"{path} has {size:,} bytes instead of {entry['bytes']:,}: copy the bundle again")
        if file_hash(path) != entry.get("sha256"):
            raise AnlageError(f"{path} was changed after it was written: copy the bundle again")
    except OSError as error:
        raise AnlageError(f"{path}: {error.strerror or error}") from None


def _json(path: Path, kind: type) -> Any:
    value = parse(load(path), path)
    if not isinstance(value, kind):
        raise AnlageError(f"{path}: a JSON {'object' if kind is dict else 'list'} was expected")
    return value


def _weights(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, KeyError, ValueError, TypeError, OSError) as error:
        raise AnlageError(f"{path}: not a safetensors file ({error}): copy the bundle again") from None
