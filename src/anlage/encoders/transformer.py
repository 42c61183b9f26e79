"""The transformer encoder: pre-norm, rotary positions, packed sequences."""

from typing import ClassVar

from torch import nn

from anlage.encoders.protocol import Encoder
from anlage.encoders.transformer_settings import TransformerSettings
from anlage.layers.attention import WASTE, TransformerBlock, rotations
from anlage.layers.packing import grouped, position_in_part
from anlage.layers.pooling import Pooling, choose_pooling, noise
from anlage.layers.tokens import TokenEmbedding
from anlage.shapes import TokensShape
from anlage.types import Encoded, Tokens


class Transformer(Encoder):
    """Embedding, transformer blocks, a last norm, pooling."""

    layouts: ClassVar[frozenset[str]] = frozenset({"Tokens"})

    def __init__(self, settings: TransformerSettings, shape: TokensShape):
        super().__init__(settings, shape)
        self.width, self.head_width = settings.width, settings.head_width
        gated = settings.activation == "swiglu"
        hidden = self.width * settings.expansion
        if gated:
            hidden = -(-hidden * 2 // 3 // 8) * 8
        pooling = choose_pooling(settings.pooling, shape)
        dropout, hidden_tokens = noise(pooling, settings.dropout, settings.token_dropout)
        self.embedding = TokenEmbedding(shape, self.width, hidden_tokens, pooling == "aligned")
        self.layers = nn.ModuleList(
            TransformerBlock(self.width, self.head_width, hidden, gated, dropout) for _ in range(settings.layers)
        )
        self.norm = nn.LayerNorm(self.width)
        self.pooling = Pooling(self.width, pooling, shape, dropout=dropout)

    @property
    def blocks(self) -> list[nn.Module]:
        return [self.embedding, *self.layers, self.norm, self.pooling]

    def forward(self, layout: Tokens) -> Encoded:
        groups = grouped(layout.lengths, WASTE)
        turns = rotations(position_in_part(layout.lengths), self.head_width)
        x = self.embedding(layout.ids, layout.lengths)
        for layer in self.layers:
            x = layer(x, groups, turns)
        x = self.norm(x)
        return Encoded(self.pooling(x, layout), x, layout.lengths, spans=layout.spans)
