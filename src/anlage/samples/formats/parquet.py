"""Parquet, read batch by batch."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from anlage.errors import AnlageError
from anlage.samples.chunk import Chunk

NAME = "Parquet"
SUFFIXES = (".parquet", ".pq")
MAX_BYTES = 8 * 2**30


def recognises(path: Path, head: bytes) -> bool:
    """The magic bytes of the format."""
    return path.is_file() and head[:4] == b"PAR1"


def chunks(path: Path, rows: int) -> Iterator[Chunk]:
    """Frames of at most ``rows`` rows with the types of the file. An index that pandas stored without a name becomes
    the column ``id``.

    Raises:
        AnlageError: a column of one row group promises more than 8 GB.
    """
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        for group in range(file.metadata.num_row_groups):
            for column in range(file.metadata.num_columns):
                part = file.metadata.row_group(group).column(column)
                if not 0 <= part.total_uncompressed_size <= MAX_BYTES:
                    raise AnlageError(f"{path}: column {part.path_in_schema} of one row group is over 8 GB: refused")
        empty = file.schema_arrow.empty_table().to_pandas(ignore_metadata=True)
        batches = 0
        for batch in file.iter_batches(batch_size=rows):
            batches += 1
            yield Chunk(_named(batch.to_pandas(ignore_metadata=True)))
        if not batches:
            yield Chunk(_named(empty))


def _named(frame: pd.DataFrame) -> pd.DataFrame:
    if "id" not in frame and "__index_level_0__" in frame:
        return frame.rename(columns={"__index_level_0__": "id"})
    return frame
