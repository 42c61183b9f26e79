"""Denoising of records: hide cells, rebuild all of them (Vincent et al. 2008, doi:10.1145/1390156.1390294)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from anlage.draws import Draws
from anlage.errors import AnlageError
from anlage.layers.heads import PooledHead
from anlage.metrics import objectives as metrics
from anlage.metrics.metric import Metric
from anlage.shapes import ColumnsShape
from anlage.tasks.objective import Objective
from anlage.types import Batch, Columns


@dataclass
class Denoising(Objective):
    """A share ``rate`` of the cells becomes missing (masking noise), and the pooled vector must give all cells back:
    squared error for numbers, cross entropy for categories. Cells that are missing in the table count nothing. Measured
    are the hidden cells alone: the others can be copied.

    The target is [samples, 2 (numbers + categories)]: the cells (NaN = missing), then 1 where a cell is hidden, else 0.
    """

    name: ClassVar[str] = "denoising"
    layouts: ClassVar[frozenset[str]] = frozenset({"Columns"})

    rate: float = 0.3
    """Share of the cells that is hidden."""

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1:
            raise AnlageError(f"objective denoising: rate={self.rate}: give a share between 0 and 1")

    def head(self, width: int) -> nn.Module:
        return PooledHead(width, self.columns_shape.numbers + sum(self.columns_shape.categories))

    def views(self, batch: Batch, draws: Draws) -> Iterator[tuple[Batch, Tensor]]:
        """One view; the same cells of a row are hidden whatever rows are with it."""
        layout = batch.parts[self.input]
        assert isinstance(layout, Columns)
        codes = layout.categories.float()
        cells = torch.cat((layout.numbers, codes.masked_fill(codes == 0, torch.nan)), 1)
        rows = self.row_of_part(batch)
        uniform = draws.uniform(rows, torch.full_like(rows, cells.shape[1])).view(cells.shape)
        hidden = (uniform < self.rate) & ~cells.isnan()
        numbers, categories = hidden.split([layout.numbers.shape[1], codes.shape[1]], 1)
        shown = Columns(layout.numbers.masked_fill(numbers, torch.nan), layout.categories.masked_fill(categories, 0))
        index = batch.index[self.input]
        target = torch.cat((cells, hidden.float()), 1)[index.clamp(min=0)]
        target[index < 0] = torch.nan
        yield replace(batch, parts={**batch.parts, self.input: shown}, targets={}), target

    def loss(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Sum over the cells that the table has, and their number."""
        losses, known = self.cells(output, target)[0], ~target[:, : self.cell_count].isnan()
        return losses[known].sum(), known.sum()

    def measure(self, output: Tensor, target: Tensor, view: Batch) -> Float[np.ndarray, "samples k"]:
        """[samples, (loss, cells, squared error, numbers, right categories, categories)] of the hidden cells."""
        losses, right = self.cells(output.detach(), target)
        hidden = target[:, self.cell_count :] == 1
        numbers = torch.arange(self.cell_count, device=target.device) < self.columns_shape.numbers
        chosen = [hidden, hidden & numbers, hidden & ~numbers]
        lost, squared = ((losses * mask).sum(1) for mask in chosen[:2])
        every, n, c = (mask.sum(1) for mask in chosen)
        columns = [lost, every, squared, n, (right & chosen[2]).sum(1), c]
        return torch.stack([column.double() for column in columns], 1).cpu().numpy()

    def cells(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """[samples, cells] the loss of each cell (0 where the table has none), and whether a category is right."""
        n = self.columns_shape.numbers
        cells = target[:, : self.cell_count]
        known = ~cells.isnan()
        losses = [torch.where(known[:, :n], (output[:, :n] - cells[:, :n].nan_to_num(0.0)) ** 2, 0.0)]
        right = [torch.zeros_like(known[:, :n])]
        logits = output[:, n:].split(list(self.columns_shape.categories), 1) if self.columns_shape.categories else ()
        for j, scores in enumerate(logits):
            code, there = cells[:, n + j].nan_to_num(0.0).long(), known[:, n + j]
            losses.append(torch.where(there, F.cross_entropy(scores, code, reduction="none"), 0.0)[:, None])
            right.append((scores.argmax(1) == code)[:, None])
        return torch.cat(losses, 1), torch.cat(right, 1)

    @property
    def metrics(self) -> Mapping[str, Metric]:
        chosen = [metrics.CELL_LOSS]
        chosen += [metrics.NUMBER_ERROR] if self.columns_shape.numbers else []
        chosen += [metrics.CATEGORY_ACCURACY] if self.columns_shape.categories else []
        return {metric.name: metric for metric in chosen}

    @property
    def columns_shape(self) -> ColumnsShape:
        """The input's shape."""
        assert isinstance(self.shape, ColumnsShape)
        return self.shape

    @property
    def cell_count(self) -> int:
        """Numbers and categories of a row."""
        return self.columns_shape.numbers + len(self.columns_shape.categories)
