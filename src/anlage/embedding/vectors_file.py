"""Files of vectors: Parquet and HDF5, written in one go from pieces and read back block by block.

Level "sample": a row for each sample, ``id`` and ``vector``. Level "element": a row for each element, ``id``,
``position`` (0, 1, … in its sample), where it lies (sequences: ``start`` and ``end``, the first and one past the last
character; images: ``row`` and ``column``) and ``vector``. A row of the table that could not be used is left out: ids
stand beside all vectors, so nothing shifts. (No format keeps a missing vector of fixed size: Arrow cannot read back
its own.) What made the vectors stands as JSON under the key ``anlage`` of the metadata (HDF5: attribute).
"""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute, parquet

from anlage.errors import AnlageError

SUFFIXES = (".parquet", ".h5", ".hdf5")
KEY = b"anlage"
GROUP_BYTES = 64 * 2**20
"""Vectors in one row group of a Parquet file: what a reader must hold at once."""
MAX_WIDTH = 1_000_000


@dataclass
class Block:
    """Some rows of a file: ids [rows] str, vectors [rows, width] float16 or float32."""

    ids: np.ndarray
    vectors: np.ndarray


def check_suffix(path: Path) -> None:
    """AnlageError where no format has this suffix or an extra is missing, before any work is done."""
    if path.suffix.lower() not in SUFFIXES:
        raise AnlageError(f"{path}: vectors can be written as {', '.join(SUFFIXES)}")
    if path.suffix.lower() != ".parquet":
        _h5py()


def schema(width: int, dtype: str, level: str, places: tuple[str, str] | None) -> pa.Schema:
    """The columns of a file of vectors. ``places``: the two numbers that tell where an element lies."""
    number = pa.float32() if dtype == "float32" else pa.float16()
    columns = [pa.field("id", pa.string(), nullable=False)]
    if level == "element":
        columns += [pa.field(name, pa.int32(), nullable=False) for name in ("position", *(places or ()))]
    return pa.schema([*columns, pa.field("vector", pa.list_(number, width), nullable=False)])


def write(
    batches: Iterable[pa.RecordBatch], table_schema: pa.Schema, rows: int, made_by: dict[str, Any], path: Path
) -> None:
    """Write ``rows`` rows in all. The file appears under its name only when it is whole."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        note = json.dumps(made_by)
        if path.suffix.lower() == ".parquet":
            _write_parquet(batches, table_schema.with_metadata({KEY: note}), part)
        else:
            _write_hdf5(batches, table_schema, rows, note, part)
        with part.open("rb") as stream:
            os.fsync(stream.fileno())
        part.replace(path)
    except OSError as error:
        raise AnlageError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        part.unlink(missing_ok=True)


def _write_parquet(batches: Iterable[pa.RecordBatch], table_schema: pa.Schema, path: Path) -> None:
    vector = table_schema.field("vector").type
    group = max(1, GROUP_BYTES // (vector.list_size * vector.value_type.bit_width // 8))
    texts = [name for name in table_schema.names if name != "vector"]
    with parquet.ParquetWriter(path, table_schema, compression="zstd", use_dictionary=texts) as writer:
        waiting: list[pa.RecordBatch] = []
        for batch in batches:
            waiting.append(batch)
            if sum(map(len, waiting)) >= group:
                whole = pa.Table.from_batches(waiting)
                keep = len(whole) // group * group
                writer.write_table(whole.slice(0, keep), row_group_size=group)
                waiting = whole.slice(keep).to_batches()
        writer.write_table(pa.Table.from_batches(waiting, table_schema), row_group_size=group)


def _write_hdf5(batches: Iterable[pa.RecordBatch], table_schema: pa.Schema, rows: int, note: str, path: Path) -> None:
    """Datasets ids, vectors and, for elements, offsets (those of sample i are offsets[i] to offsets[i + 1]) and spans
    (or, of images, places) [elements, 2]."""
    h5py = _h5py()
    vector, names = table_schema.field("vector").type, table_schema.names
    by_element, where = "position" in names, names[2:-1]
    ids: list[str] = []
    starts: list[int] = []
    at = 0
    with h5py.File(path, "w") as file:
        file.attrs[KEY.decode()] = note
        vectors = file.create_dataset("vectors", (rows, vector.list_size), vector.value_type.to_pandas_dtype())
        called = "spans" if "start" in where else "places"
        places = file.create_dataset(called, (rows, 2), np.int32) if where else None
        for batch in batches:
            here = slice(at, at + len(batch))
            vectors[here] = batch["vector"].flatten().to_numpy().reshape(len(batch), -1)
            if places is not None:
                places[here] = np.stack([batch[name].to_numpy() for name in where], 1)
            first = np.flatnonzero(batch["position"].to_numpy() == 0) if by_element else np.arange(len(batch))
            ids += batch["id"].take(pa.array(first)).to_pylist()
            starts += (at + first).tolist()
            at = here.stop
        file.create_dataset("ids", data=ids, dtype=h5py.string_dtype(), shape=(len(ids),))
        if by_element:
            file["offsets"] = np.array([*starts, at], dtype=np.int64)


class VectorsFile:
    """A file of vectors, one for each sample, that is read block by block. Other programs may have written it: a
    Parquet file with the columns ``id`` and ``vector`` (lists of one length), or an HDF5 file with the datasets ``ids``
    and ``vectors``."""

    def __init__(self, path: str | Path):
        """AnlageError where it is no such file, or holds vectors of elements."""
        self.path = Path(path)
        if not self.path.is_file():
            raise AnlageError(f"{path}: no such file")
        check_suffix(self.path)
        self._parquet = self.path.suffix.lower() == ".parquet"
        try:
            self.rows, self.width = self._of_parquet() if self._parquet else self._of_hdf5()
        except AnlageError:
            raise
        except Exception as error:
            raise AnlageError(f"{path}: not readable as a file of vectors: {_first_line(error)}") from error

    def blocks(self, rows: int) -> Iterator[Block]:
        """All rows in order, at most ``rows`` at a time."""
        try:
            yield from self._parquet_blocks(rows) if self._parquet else self._hdf5_blocks(rows)
        except AnlageError:
            raise
        except Exception as error:
            raise AnlageError(f"{self.path}: not readable as a file of vectors: {_first_line(error)}") from error

    def _of_parquet(self) -> tuple[int, int]:
        with parquet.ParquetFile(self.path) as file:
            names = file.schema_arrow.names
            if not {"id", "vector"} <= set(names):
                raise AnlageError(f"{self.path}: needs the columns id and vector; it has {', '.join(names[:12])}")
            if "position" in names:
                raise AnlageError(f"{self.path}: holds vectors of elements; write them with --level sample")
            if file.metadata.num_rows == 0:
                raise AnlageError(f"{self.path}: holds no vectors")
            first = next(file.iter_batches(1, columns=["vector"]))["vector"]
            if not pa.types.is_nested(first.type) or not pa.types.is_floating(first.type.value_type):
                raise AnlageError(f"{self.path}: column vector holds {first.type}, not lists of numbers with fractions")
            return file.metadata.num_rows, self._width(len(first[0]))

    def _of_hdf5(self) -> tuple[int, int]:
        with _h5py().File(self.path) as file:
            if not {"ids", "vectors"} <= set(file) or file["vectors"].ndim != 2:
                raise AnlageError(f"{self.path}: needs the datasets ids and vectors; it has {', '.join(file)}")
            rows, width = file["vectors"].shape
            if file["vectors"].dtype.kind != "f":
                raise AnlageError(
                    f"{self.path}: dataset vectors holds {file['vectors'].dtype}, not numbers with fractions"
                )
            if "offsets" in file or len(file["ids"]) != rows:
                raise AnlageError(f"{self.path}: holds vectors of elements; write them with --level sample")
            if rows == 0:
                raise AnlageError(f"{self.path}: holds no vectors")
            return rows, self._width(width)

    def _width(self, width: int) -> int:
        if not 1 <= width <= MAX_WIDTH:
            raise AnlageError(f"{self.path}: vectors of {width:,} numbers cannot be read")
        return width

    def _parquet_blocks(self, rows: int) -> Iterator[Block]:
        with parquet.ParquetFile(self.path) as file:
            for batch in file.iter_batches(rows, columns=["id", "vector"]):
                lengths = compute.list_value_length(batch["vector"]).fill_null(0).to_numpy()
                if (lengths != self.width).any():
                    raise AnlageError(f"{self.path}: column vector: not every row holds {self.width} numbers")
                ids = np.array([str(v) for v in batch["id"].to_pylist()], dtype=object)
                flat = batch["vector"].flatten().to_numpy(zero_copy_only=False)  # null = NaN
                yield Block(ids, flat.reshape(len(batch), self.width))

    def _hdf5_blocks(self, rows: int) -> Iterator[Block]:
        with _h5py().File(self.path) as file:
            for start in range(0, self.rows, rows):
                ids = file["ids"].asstr()[start : start + rows]
                yield Block(ids, file["vectors"][start : start + rows])


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise AnlageError("HDF5 files need an extra: pip install 'anlage[hdf5]'") from error
    return h5py
