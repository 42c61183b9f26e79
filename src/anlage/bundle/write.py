"""Contents → a folder, so that at every moment the folder is a whole bundle or none."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from anlage.bundle.contents import HISTORY, INDEX, JSON_BYTES, METRICS, ROWS, SCHEMA, WEIGHTS, Contents
from anlage.bundle.json_files import dump
from anlage.bundle.seal import BLANK_SEAL, file_hash, seal
from anlage.errors import AnlageError


def write(
    folder: Path | str,
    contents: Contents,
    rows: Mapping[str, pd.DataFrame] | None = None,
    files: Mapping[str, str | bytes] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a bundle and return its folder.

    ``rows``: tables for the ``rows/`` folder by file name (``predictions.parquet``, ``split.csv``); their index holds
    the ids. ``files``: further files by name (``report.html``, ``MODEL_CARD.md``). ``bundle.json`` comes
    last and makes the folder a bundle; whatever else lies in the folder (``training/``) is left alone.
    Raises AnlageError where a bundle is there already and ``overwrite`` is False, or where the disk refuses.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / INDEX).exists():
            if not overwrite:
                raise AnlageError(f"{folder} already holds a bundle: name another folder, or allow overwriting")
            (folder / INDEX).unlink()
            _sync(folder)
        return _write(folder, contents, rows or {}, files or {})
    except OSError as error:
        where, why = error.filename or folder, error.strerror or error
        raise AnlageError(f"{where}: {why}: the bundle was not written") from None


def _write(
    folder: Path, contents: Contents, rows: Mapping[str, pd.DataFrame], files: Mapping[str, str | bytes]
) -> Path:
    makers: dict[str, Callable[[Path], Any]] = {
        WEIGHTS: lambda path: _save_weights(contents.weights, path),
        METRICS: lambda path: path.write_bytes(_bounded(dump(contents.metrics), METRICS)),
        HISTORY: lambda path: path.write_bytes(_bounded(dump(contents.history), HISTORY)),
    }
    for name, content in files.items():
        makers[name] = _content_maker(content)
    for name, frame in rows.items():
        makers[f"{ROWS}/{name}"] = _table_maker(name, frame)
    for stale in (folder / ROWS).glob("*"):
        if f"{ROWS}/{stale.name}" not in makers:
            stale.unlink()

    listed = {}
    for name, make in makers.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        _replace(path, make)
        listed[name] = {"sha256": file_hash(path), "bytes": path.stat().st_size}
    document = {
        "format": "anlage bundle",
        "schema": SCHEMA,
        "seal": BLANK_SEAL,
        "provenance": contents.provenance,
        "settings": contents.settings,
        "inputs": contents.inputs,
        "targets": contents.targets,
        "trust": contents.trust,
        "files": listed,
    }
    raw = _bounded(seal(dump(document, lossless=True)), INDEX)
    _replace(folder / INDEX, lambda path: path.write_bytes(raw))
    return folder


def _replace(path: Path, make: Callable[[Path], Any]) -> None:
    """Make the file beside its place, on the disk for good, and only then move it there."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        make(temporary)
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    if path.is_dir() and os.name == "nt":  # Windows cannot open folders
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _save_weights(weights: Mapping[str, Any], path: Path) -> None:
    from safetensors.torch import save_file

    # a clone of its own for each name: safetensors refuses tensors that share memory (tied weights)
    save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in weights.items()}, path)


def _content_maker(content: str | bytes) -> Callable[[Path], Any]:
    raw = content.encode() if isinstance(content, str) else content
    return lambda path: path.write_bytes(raw)


def _table_maker(name: str, frame: pd.DataFrame) -> Callable[[Path], Any]:
    frame = frame.rename_axis(index="id")
    if name.endswith(".parquet"):
        return lambda path: frame.to_parquet(path)
    if name.endswith(".csv"):
        return lambda path: frame.to_csv(path)
    raise ValueError(f"rows/{name}: neither .parquet nor .csv")


def _bounded(raw: bytes, name: str) -> bytes:
    if len(raw) > JSON_BYTES:
        raise AnlageError(f"{name} would have {len(raw):,} bytes; at most {JSON_BYTES:,} can be read back")
    return raw
