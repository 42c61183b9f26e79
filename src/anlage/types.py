"""The shapes that pass between the parts of anlage: layouts, batches, encodings, predictions.

Legend of shape letters (jaxtyping names, used on all public functions):

    samples    rows of the table in this batch
    parts      distinct values of one input column among these samples (samples >= parts, when values repeat)
    tokens     all tokens of all parts, one after the other: no padding anywhere
    elements   what an encoder gives a vector to: residues, bases, patches, columns (all parts, one after the other)
    width      length of a vector
    classes    labels of a task;   outputs: numbers that a regression predicts

A *layout* is the shape that an encoder accepts. Modalities make layouts, encoders read them, and neither knows the
other: N + M pieces, not N x M. A batch holds each distinct part once and an index from samples to parts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor


class Layout:
    """Base of all layouts: a dataclass of tensors whose parts can be counted and moved to a device."""

    name: ClassVar[str]

    def __len__(self) -> int:
        raise NotImplementedError

    def to(self, device: torch.device | str) -> Self:
        """The same layout on another device; what is no tensor stays as it is."""
        moved = {f.name: v.to(device) for f in fields(self) if isinstance(v := getattr(self, f.name), Tensor)}  # type: ignore[arg-type]
        return replace(self, **moved)  # type: ignore[type-var]


@dataclass
class Tokens(Layout):
    """Packed sequences: one flat run of token ids and how many of them belong to each part."""

    name: ClassVar[str] = "Tokens"
    ids: Int[Tensor, " tokens"]
    lengths: Int[Tensor, " parts"]
    spans: Int[Tensor, "tokens 2"]
    """First and one past the last character of the source that each token covers; (0, 0) for added tokens."""

    def __len__(self) -> int:
        return len(self.lengths)


@dataclass
class Grid(Layout):
    """Images or volumes of one size, scaled by what the training rows taught: about zero mean, unit variance."""

    name: ClassVar[str] = "Grid"
    pixels: Float[Tensor, "parts channels *space"]

    def __len__(self) -> int:
        return len(self.pixels)


@dataclass
class Columns(Layout):
    """Numbers (standardised; NaN = missing) and categories (0 = missing or never seen in training)."""

    name: ClassVar[str] = "Columns"
    numbers: Float[Tensor, "parts numbers"]
    categories: Int[Tensor, "parts categories"]

    def __len__(self) -> int:
        return len(self.numbers)


@dataclass
class Vectors(Layout):
    """Parts that an encoder has read already: their pooled vectors (a frozen encoder runs once for each part)."""

    name: ClassVar[str] = "Vectors"
    pooled: Float[Tensor, "parts width"]

    def __len__(self) -> int:
        return len(self.pooled)


@dataclass
class Batch:
    """Samples on their way through a model.

    ``index[input][i]`` is the part of ``parts[input]`` that sample i has, or -1 where it is missing.
    ``targets`` are absent at prediction. ``rows`` are the positions of the samples in the prepared table.
    ``asked``: the elements for which alone heads need an answer (masked tokens); None = all.
    """

    parts: dict[str, Layout]
    index: dict[str, Int[Tensor, " samples"]]
    rows: Int[Tensor, " samples"]
    targets: dict[str, Tensor] = field(default_factory=dict)
    asked: Int[Tensor, " asked"] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on another device."""
        return Batch(
            parts={k: v.to(device) for k, v in self.parts.items()},
            index={k: v.to(device) for k, v in self.index.items()},
            rows=self.rows.to(device),
            targets={k: v.to(device) for k, v in self.targets.items()},
            asked=None if self.asked is None else self.asked.to(device),
        )


@dataclass
class Encoded:
    """What an encoder returns, and what fusion hands to the heads (then ``pooled`` has a row for each sample).

    ``elements`` are the vectors of all elements, part after part; ``lengths`` says how many each part has; for grids
    ``space`` gives their arrangement (height, width). ``spans`` lead from an element back to the source.
    ``levels`` (a feature pyramid) and ``pairs`` (a matrix for each part) are there only where a head asks for them.
    ``asked`` is the batch's: a head on elements answers for these alone.
    """

    pooled: Float[Tensor, "parts width"]
    elements: Float[Tensor, "elements width"] | None = None
    lengths: Int[Tensor, " parts"] | None = None
    space: tuple[int, ...] | None = None
    spans: Int[Tensor, "elements 2"] | None = None
    levels: list[Tensor] | None = None
    pairs: list[Tensor] | None = None
    asked: Int[Tensor, " asked"] | None = None


@dataclass
class Prediction:
    """Predictions of one target: a row of ``values`` for each id, in the order asked for.

    ``values`` is what the metrics read: probabilities (samples x classes) or numbers (samples x outputs);
    ``columns`` is what a person reads: label names, named probabilities, numbers in the target's own units.
    """

    ids: np.ndarray
    values: Float[np.ndarray, "samples outputs"]
    columns: Mapping[str, Any]
