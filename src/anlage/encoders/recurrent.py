"""The recurrent encoder: bidirectional RNN, LSTM or GRU.

The backward direction runs forward over reversed parts, so that padding always comes last and needs no mask: exact,
and on CPUs twenty times as fast as packed sequences (measured; the fused kernels do not take those).
"""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from anlage.encoders.protocol import Encoder
from anlage.encoders.recurrent_settings import RecurrentSettings
from anlage.errors import AnlageError
from anlage.layers.packing import Grouped, grouped
from anlage.layers.pooling import Pooling, choose_pooling
from anlage.layers.tokens import TokenEmbedding
from anlage.shapes import TokensShape
from anlage.types import Encoded, Tokens

CELLS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
WASTE = 0.25
"""Padding allowed in a group: steps run one after the other, so few long runs beat many short ones."""


class Directions(nn.Module):
    """One bidirectional layer with residual sum and norm."""

    def __init__(self, cell: str, width: int, dropout: float):
        super().__init__()
        self.forwards = CELLS[cell](width, width // 2, batch_first=True)
        self.backwards = CELLS[cell](width, width // 2, batch_first=True)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "tokens width"], rows: Grouped) -> Float[Tensor, "tokens width"]:
        answers = []
        for group in rows.groups:
            place = torch.arange(group.tokens.shape[1], device=x.device)
            mirror = (group.lengths[:, None] - 1 - place).clamp(min=0)
            ahead = self._run(self.forwards, x, group.tokens)
            behind = self._run(self.backwards, x, group.tokens.gather(1, mirror))
            back_in_order = mirror + torch.arange(len(mirror), device=x.device)[:, None] * mirror.shape[1]
            behind = behind.flatten(0, 1).index_select(0, back_in_order.flatten()).view_as(ahead)
            answers.append(torch.cat((ahead, behind), -1).flatten(0, 1))
        return self.norm(x + self.dropout(torch.cat(answers).index_select(0, rows.restore)))

    @staticmethod
    def _run(cell: nn.Module, x: Tensor, tokens: Tensor) -> Tensor:
        return cell(x.index_select(0, tokens.flatten()).view(*tokens.shape, -1))[0]


class Recurrent(Encoder):
    """Embedding, bidirectional layers with residual sums, pooling."""

    layouts: ClassVar[frozenset[str]] = frozenset({"Tokens"})

    def __init__(self, settings: RecurrentSettings, shape: TokensShape):
        super().__init__(settings, shape)
        if settings.width % 4:
            raise AnlageError(f"encoder option width is {settings.width}: give a multiple of 4")
        self.width = settings.width
        pooling = choose_pooling(settings.pooling, shape)
        self.embedding = TokenEmbedding(shape, self.width, settings.token_dropout, pooling == "aligned")
        self.layers = nn.ModuleList(
            Directions(settings.cell, self.width, settings.dropout) for _ in range(settings.layers)
        )
        self.pooling = Pooling(self.width, pooling, shape.aligned, dropout=settings.dropout)

    @property
    def blocks(self) -> list[nn.Module]:
        return [self.embedding, *self.layers, self.pooling]

    def forward(self, layout: Tokens) -> Encoded:
        rows = grouped(layout.lengths, WASTE)
        x = self.embedding(layout.ids, layout.lengths)
        for layer in self.layers:
            x = layer(x, rows)
        return Encoded(self.pooling(x, layout.lengths), x, layout.lengths, spans=layout.spans)
