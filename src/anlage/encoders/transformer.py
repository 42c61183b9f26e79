"""The transformer encoder over packed sequences; its settings make it ESM-2, BERT or a plain pre-norm transformer."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from anlage.encoders.protocol import Encoder
from anlage.encoders.transformer_settings import TransformerSettings
from anlage.errors import AnlageError
from anlage.layers.attention import WASTE, Style, TransformerBlock, rotations
from anlage.layers.packing import grouped, position_in_part
from anlage.layers.pooling import Pooling, choose_pooling, noise
from anlage.layers.tokens import TokenEmbedding
from anlage.layers.windows import windowed
from anlage.shapes import TokensShape
from anlage.types import Encoded, Tokens

SHORTEST_LIMIT = 4
"""Learned positions that a window needs: two letters between a start and an end token."""


class Transformer(Encoder):
    """Embedding, transformer blocks, a last norm (pre-norm only), pooling.

    ``limit``: tokens beyond which a part is read in windows (learned positions); None = any length is read whole.
    """

    layouts: ClassVar[frozenset[str]] = frozenset({"Tokens"})

    def __init__(self, settings: TransformerSettings, shape: TokensShape):
        super().__init__(settings, shape)
        self.width, self.head_width = settings.width, settings.head_width
        self.limit = settings.position_limit if settings.positions == "learned" else None
        if self.limit is not None and self.limit < SHORTEST_LIMIT:
            raise AnlageError(f"encoder option position_limit is {self.limit}: give at least {SHORTEST_LIMIT}")
        self.rounded, self.recompute = settings.rotary == "half", settings.activations == "recomputed"
        gated = settings.activation == "swiglu"
        hidden = self.width * settings.expansion
        if gated:
            hidden = -(-hidden * 2 // 3 // 8) * 8
        style = Style(
            post_norm=settings.norm == "post",
            bias=settings.bias == "yes",
            epsilon=settings.epsilon,
            tanh=settings.activation == "gelu-tanh",
            causal=settings.attention == "causal",
        )
        pooling = choose_pooling(settings.pooling, shape)
        dropout, hidden_tokens = noise(pooling, settings.dropout, settings.token_dropout)
        self.embedding = TokenEmbedding(
            shape,
            self.width,
            hidden_tokens,
            aligned=pooling == "aligned",
            limit=self.limit,
            zero_masks=settings.masked == "zero",
            norm_epsilon=settings.epsilon if settings.embedding_norm == "yes" else None,
        )
        self.layers = nn.ModuleList(
            TransformerBlock(self.width, self.head_width, hidden, gated, dropout, style) for _ in range(settings.layers)
        )
        self.norm = None if style.post_norm else nn.LayerNorm(self.width, eps=settings.epsilon)
        self.pooling = Pooling(self.width, pooling, shape, dropout=dropout)

    @property
    def blocks(self) -> list[nn.Module]:
        last = [] if self.norm is None else [self.norm]
        return [self.embedding, *self.layers, *last, self.pooling]

    def forward(self, layout: Tokens) -> Encoded:
        windows = None if self.limit is None else windowed(layout, self.limit)
        x = self._vectors(layout) if windows is None else windows.collect(self._vectors(windows.layout))
        return Encoded(self.pooling(x, layout), x, layout.lengths, spans=layout.spans)

    def _vectors(self, layout: Tokens) -> Float[Tensor, "tokens width"]:
        groups = grouped(layout.lengths, WASTE)
        turns = None
        if self.limit is None:
            turns = rotations(position_in_part(layout.lengths), self.head_width, self.rounded)
        x = self.embedding(layout.ids, layout.lengths)
        recompute = self.recompute and self.training and torch.is_grad_enabled()
        for layer in self.layers:
            x = checkpoint(layer, x, groups, turns, use_reentrant=False) if recompute else layer(x, groups, turns)
        return x if self.norm is None else self.norm(x)
