"""The FT-transformer (Gorishniy 2021): columns as tokens that attend to one another."""

from typing import ClassVar

import torch
from torch import nn

from anlage.encoders.column_attention_settings import ColumnAttentionSettings
from anlage.encoders.protocol import Encoder
from anlage.errors import AnlageError
from anlage.layers.attention import TransformerBlock
from anlage.layers.columns import Categories, LinearNumbers
from anlage.layers.packing import grouped
from anlage.shapes import ColumnsShape
from anlage.types import Columns, Encoded


class ColumnVectors(nn.Module):
    """A vector for each column and, first, one that gathers them all."""

    def __init__(self, shape: ColumnsShape, width: int):
        super().__init__()
        if not shape.numbers and not shape.categories:
            raise AnlageError("a record needs at least one column: none was left after preparation")
        self.gather = nn.Parameter(torch.randn(1, 1, width) * width**-0.5)
        self.numbers = LinearNumbers(shape.numbers, width) if shape.numbers else None
        self.categories = Categories(shape, width) if shape.categories else None

    def forward(self, layout: Columns) -> torch.Tensor:
        columns = [self.gather.expand(len(layout), -1, -1)]
        if self.numbers is not None:
            columns.append(self.numbers(layout.numbers))
        if self.categories is not None:
            columns.append(self.categories(layout.categories))
        return torch.cat(columns, 1)


class ColumnAttention(Encoder):
    """Elements are the columns, numbers first; pooled is the gathering vector."""

    layouts: ClassVar[frozenset[str]] = frozenset({"Columns"})

    def __init__(self, settings: ColumnAttentionSettings, shape: ColumnsShape):
        super().__init__(settings, shape)
        self.width = settings.width
        self.input = ColumnVectors(shape, self.width)
        self.layers = nn.ModuleList(
            TransformerBlock(self.width, settings.head_width, self.width * 4, False, settings.dropout)
            for _ in range(settings.layers)
        )
        self.norm = nn.LayerNorm(self.width)

    @property
    def blocks(self) -> list[nn.Module]:
        return [self.input, *self.layers, self.norm]

    def forward(self, layout: Columns) -> Encoded:
        vectors = self.input(layout)
        parts, columns, _ = vectors.shape
        lengths = torch.full((parts,), columns, dtype=torch.long, device=vectors.device)
        groups = grouped(lengths, waste=0.0)
        x = vectors.flatten(0, 1)
        for layer in self.layers:
            x = layer(x, groups, None)
        x = self.norm(x).view(parts, columns, -1)
        return Encoded(x[:, 0], x[:, 1:].flatten(0, 1), lengths - 1)
