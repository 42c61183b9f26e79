"""From a prepared table to batches: distinct parts once, batches of like lengths bounded by tokens, all repeatable."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch

from anlage.parts import Prepared
from anlage.types import Batch

BUCKET = 32  # batches among which rows are sorted by length: longer runs pad less and shuffle less


@dataclass
class PreparedTable:
    """All rows of a table, ready to be batched: for each input its parts, for each target its truth."""

    inputs: dict[str, Prepared]
    targets: dict[str, np.ndarray] = field(default_factory=dict)
    """[rows, outputs] float32, NaN = missing"""

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())).index)

    def sizes(self) -> np.ndarray:
        """[rows] the work that each row is: the summed sizes of its parts."""
        total = np.zeros(len(self), dtype=np.int64)
        for prepared in self.inputs.values():
            sizes = np.append(prepared.parts.sizes, 0)  # index -1 (missing) reads the 0
            total += sizes[prepared.index]
        return total

    def batch(self, rows: np.ndarray) -> Batch:
        """The samples numbered by ``rows``, each distinct part once, in the order in which it first appears."""
        parts, index = {}, {}
        for name, prepared in self.inputs.items():
            codes, distinct = pd.factorize(np.where(prepared.index[rows] < 0, np.nan, prepared.index[rows]))
            parts[name] = prepared.parts.take(distinct.astype(np.int64))
            index[name] = torch.from_numpy(codes.astype(np.int64))
        targets = {name: torch.from_numpy(truth[rows]) for name, truth in self.targets.items()}
        return Batch(parts=parts, index=index, rows=torch.from_numpy(np.asarray(rows, dtype=np.int64)), targets=targets)


def cut(rows: np.ndarray, sizes: np.ndarray, tokens: int, samples: int) -> list[np.ndarray]:
    """Cut ``rows``, in order, into batches of at most ``samples`` rows and ``tokens`` (a longer row stands alone)."""
    batches, start, total = [], 0, 0
    for end, row in enumerate(rows):
        if end > start and (total + sizes[row] > tokens or end - start >= samples):
            batches.append(rows[start:end])
            start, total = end, 0
        total += int(sizes[row])
    if start < len(rows):
        batches.append(rows[start:])
    return batches


def epoch(rows: np.ndarray, sizes: np.ndarray, tokens: int, samples: int, seed: int, number: int) -> list[np.ndarray]:
    """The batches of one epoch: shuffled rows, sorted by size within runs of BUCKET batches, batches shuffled again.

    The same seed and epoch number give the same batches on any machine, so that training resumes at the exact batch.
    """
    random = np.random.default_rng([seed, number])
    rows = random.permutation(rows)
    mean = max(1.0, float(sizes[rows].mean()))
    run = max(1, BUCKET * int(min(samples, max(1, tokens // mean))))
    batches: list[np.ndarray] = []
    for start in range(0, len(rows), run):
        part = rows[start : start + run]
        batches += cut(part[np.argsort(-sizes[part], kind="stable")], sizes, tokens, samples)
    return [batches[i] for i in random.permutation(len(batches))]


def in_order_of_size(rows: np.ndarray, sizes: np.ndarray, tokens: int, samples: int) -> Iterator[np.ndarray]:
    """Batches for prediction: longest first (so that memory runs out at once or never)."""
    yield from cut(rows[np.argsort(-sizes[rows], kind="stable")], sizes, tokens, samples)
