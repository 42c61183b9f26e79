"""Some rows of a table → record batches of their vectors, in the order of the rows."""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import pyarrow as pa

from anlage.embedding.encode import Coder, Elements
from anlage.embedding.progress import Progress
from anlage.embedding.settings import EmbedSettings
from anlage.embedding.shards import Counts
from anlage.embedding.source import Source
from anlage.embedding.vectors_file import schema
from anlage.errors import AnlageError, Problem
from anlage.run import tell_problems
from anlage.training.batches import PreparedTable

NAMED = 10
"""Bad rows that are named one by one."""
PLACES = {"Tokens": ("start", "end"), "Grid": ("row", "column")}
"""By layout, the numbers that tell where an element lies."""


class Problems:
    """Names the first bad rows of a job and counts the others."""

    def __init__(self, say: Callable[[str], None]):
        self.say, self.count = say, 0

    def tell(self, problems: list[Problem]) -> None:
        tell_problems(problems[: max(0, NAMED - self.count)], self.say)
        self.count += len(problems)

    def end(self) -> None:
        if self.count > NAMED:
            self.say(f"… and {self.count - NAMED:,} more such rows")


class PartEncoder:
    """A source at work. ``schema``: the columns of its batches."""

    def __init__(self, source: Source, settings: EmbedSettings, problems: Problems):
        inputs = source.preparation.inputs
        by_element = settings.level == "element"
        if by_element and len(inputs) > 1:
            names = ", ".join(item.name for item in inputs)
            raise AnlageError(f"--level element: this source fuses {names}, so its vectors belong to whole rows")
        self.source, self.problems, self.dtype = source, problems, np.dtype(settings.dtype)
        self.coder = Coder(source.model, settings.device, settings.precision)
        self.places = PLACES.get(inputs[0].modality.layout) if by_element else None
        self.schema = schema(self.coder.width, settings.dtype, settings.level, self.places)
        self.made = self._elements if by_element else self._samples

    def __call__(self, frame: pd.DataFrame, counts: Counts, progress: Progress) -> Iterator[pa.RecordBatch]:
        """Batches in the order of the rows. ``counts`` is filled on the way."""
        checked = self.source.preparation.check(frame)
        self.problems.tell(checked.problems)
        rows = np.flatnonzero(checked.usable)
        counts.left_out = len(frame)
        progress.begin(len(frame), 0)
        if len(rows):
            ids, frames = frame.index.to_numpy()[rows], checked.take(rows)
            counts.cropped = sum(_cropped(frames[item.name], item.modality) for item in self.source.preparation.inputs)
            table = self.source.preparation.table(frames)
            progress.begin(len(frame), sum(int(p.parts.sizes.sum()) for p in table.inputs.values()))
            for with_vectors, batch in self.made(table, ids, progress):
                counts.left_out -= with_vectors
                counts.vectors += len(batch)
                yield batch

    def _samples(
        self, table: PreparedTable, ids: np.ndarray, progress: Progress
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        vectors = self._stored(self.coder.samples(table, progress.encoded))
        fine = np.isfinite(vectors).all(1)
        self._name(ids[~fine])
        yield int(fine.sum()), self._batch(ids[fine], vectors[fine])

    def _elements(
        self, table: PreparedTable, ids: np.ndarray, progress: Progress
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        for rows, found in self.coder.elements(table, progress.encoded):
            elements = [(i, e, self._stored(e.vectors)) for i, e in zip(ids[rows], found, strict=True)]
            fine = [entry for entry in elements if np.isfinite(entry[2]).all()]
            self._name([entry[0] for entry in elements if not np.isfinite(entry[2]).all()])
            if not fine:
                continue
            lengths = [len(vectors) for _, _, vectors in fine]
            columns = [np.concatenate([np.arange(n, dtype=np.int32) for n in lengths])]
            if self.places:
                columns += list(np.concatenate([_places(e) for _, e, _ in fine]).astype(np.int32).T)
            repeated = np.repeat(np.array([i for i, _, _ in fine], dtype=object), lengths)
            yield len(fine), self._batch(repeated, np.concatenate([v for _, _, v in fine]), *columns)

    def _stored(self, vectors: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            return vectors.astype(self.dtype, copy=False)

    def _name(self, ids: np.ndarray | list[str]) -> None:
        reason = f"its vector holds numbers that are not finite as {self.dtype}"
        self.problems.tell([Problem(str(i), "vector", reason) for i in ids])

    def _batch(self, ids: np.ndarray, vectors: np.ndarray, *columns: np.ndarray) -> pa.RecordBatch:
        lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
        arrays = [pa.array(ids, pa.string()), *map(pa.array, columns), lists]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)


def _places(elements: Elements) -> np.ndarray:
    """[elements, 2] where each element lies: characters of the source, or row and column."""
    if elements.spans is not None:
        return elements.spans
    return np.stack(np.unravel_index(np.arange(len(elements.vectors)), elements.space or ()), 1)


def _cropped(frame: pd.DataFrame, modality: object) -> int:
    longest = getattr(modality, "max_length", None)
    return 0 if longest is None else int((frame.iloc[:, 0].str.len() > longest).sum())
