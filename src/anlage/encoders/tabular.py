"""The tabular multi-layer perceptron, with numerical embeddings where the table is narrow enough."""

from typing import ClassVar

import torch
from torch import nn

from anlage.encoders.protocol import Encoder
from anlage.encoders.tabular_settings import TabularSettings
from anlage.errors import AnlageError
from anlage.layers.columns import Categories, PeriodicNumbers, PlainNumbers
from anlage.layers.dropout import Dropout
from anlage.shapes import ColumnsShape
from anlage.types import Columns, Encoded

NARROW = 64
"""Numerical columns up to which each gets its own periodic embedding."""
NUMBER_WIDTH = 16
CATEGORY_WIDTH = 16


class ColumnInput(nn.Module):
    """All columns side by side in one vector."""

    def __init__(self, settings: TabularSettings, shape: ColumnsShape):
        super().__init__()
        periodic = settings.numbers == "periodic" or (settings.numbers == "auto" and shape.numbers <= NARROW)
        self.numbers: nn.Module | None = None
        self.categories: Categories | None = None
        self.width = 0
        if shape.numbers:
            self.numbers = (
                PeriodicNumbers(shape.numbers, NUMBER_WIDTH)
                if periodic
                else PlainNumbers(shape.numbers, settings.input_dropout)
            )
            self.width += shape.numbers * (NUMBER_WIDTH if periodic else 1)
        if shape.categories:
            self.categories = Categories(shape, CATEGORY_WIDTH)
            self.width += len(shape.categories) * CATEGORY_WIDTH
        if not self.width:
            raise AnlageError("a record needs at least one column: none was left after preparation")

    def forward(self, layout: Columns) -> torch.Tensor:
        columns = []
        if self.numbers is not None:
            columns.append(self.numbers(layout.numbers).flatten(1))
        if self.categories is not None:
            columns.append(self.categories(layout.categories).flatten(1))
        return torch.cat(columns, 1)


class Tabular(Encoder):
    """Columns side by side, then linear, norm, relu and dropout, layer after layer (norm over a part's own width)."""

    layouts: ClassVar[frozenset[str]] = frozenset({"Columns"})

    def __init__(self, settings: TabularSettings, shape: ColumnsShape):
        super().__init__(settings, shape)
        self.width = settings.width
        self.input = ColumnInput(settings, shape)
        widths = [self.input.width] + [settings.width] * settings.layers
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(a, b), nn.LayerNorm(b), nn.ReLU(), Dropout(settings.dropout))
            for a, b in zip(widths, widths[1:], strict=False)
        )

    @property
    def blocks(self) -> list[nn.Module]:
        return [self.input, *self.layers]

    def forward(self, layout: Columns) -> Encoded:
        x = self.input(layout)
        for layer in self.layers:
            x = layer(x)
        return Encoded(x)
