"""The convolutional encoder: residual, dilated convolutions over packed sequences."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from anlage.encoders.convolutional_settings import ConvolutionalSettings
from anlage.encoders.protocol import Encoder
from anlage.errors import AnlageError
from anlage.layers.convolution import ChannelNorm, ConvolutionBlock
from anlage.layers.packing import spaced, spread_rows
from anlage.layers.pooling import Pooling, choose_pooling, noise
from anlage.layers.tokens import TokenEmbedding
from anlage.shapes import TokensShape
from anlage.types import Encoded, Tokens

FINE_LAYERS = 2
"""Layers on every token before the others work on means of ``stride`` tokens."""


class Convolutional(Encoder):
    """Two layers on every token; the others on means of ``stride`` tokens, whose vectors are added back to each."""

    layouts: ClassVar[frozenset[str]] = frozenset({"Tokens"})

    def __init__(self, settings: ConvolutionalSettings, shape: TokensShape):
        super().__init__(settings, shape)
        if settings.kernel % 2 == 0:
            raise AnlageError(f"encoder option kernel is {settings.kernel}: give an odd number")
        self.width, self.stride = settings.width, settings.stride
        pooling = choose_pooling(settings.pooling, shape)
        dilations = [settings.dilations[i % len(settings.dilations)] for i in range(settings.layers)]
        reach = [d * (1 if i < FINE_LAYERS else self.stride) for i, d in enumerate(dilations)]
        self.gap = settings.kernel // 2 * max(reach)
        dropout, hidden_tokens = noise(pooling, settings.dropout, settings.token_dropout)
        self.embedding = TokenEmbedding(shape, self.width, hidden_tokens, pooling == "aligned")
        self.layers = nn.ModuleList(
            ConvolutionBlock(self.width, settings.kernel, dilation, dropout) for dilation in dilations
        )
        self.norm = ChannelNorm(self.width)
        self.pooling = Pooling(self.width, pooling, shape, dropout=dropout)

    @property
    def blocks(self) -> list[nn.Module]:
        return [self.embedding, *self.layers, self.norm, self.pooling]

    def forward(self, layout: Tokens) -> Encoded:
        rows = spaced(layout.lengths, self.gap, self.stride)
        keep = rows.spread(torch.ones_like(layout.ids, dtype=torch.float32), 0)[:, None]
        vectors = self.embedding(layout.ids, layout.lengths)
        x = spread_rows(vectors, rows.where, rows.rows * rows.columns)
        x = x.view(rows.rows, rows.columns, self.width).transpose(1, 2).contiguous()
        for layer in self.layers[:FINE_LAYERS]:
            x = layer(x, keep)
        if len(self.layers) > FINE_LAYERS:
            x = self._coarse(x, keep)
        elements = rows.collect(self.norm(x, keep))
        pooled = self.pooling(elements, layout)
        return Encoded(pooled, elements, layout.lengths, spans=layout.spans)

    def _coarse(self, x: Float[Tensor, "rows width columns"], keep: Tensor) -> Float[Tensor, "rows width columns"]:
        if self.stride == 1:
            for layer in self.layers[FINE_LAYERS:]:
                x = layer(x, keep)
            return x
        count = keep.unflatten(2, (-1, self.stride)).sum(-1)
        means = (x * keep).unflatten(2, (-1, self.stride)).sum(-1) / count.clamp(min=1)
        coarse_keep = (count > 0).to(keep.dtype)
        y = means
        for layer in self.layers[FINE_LAYERS:]:
            y = layer(y, coarse_keep)
        # only what the coarse layers learned comes back: the means themselves are in x already
        back = (y - means)[..., None].expand(-1, -1, -1, self.stride)
        return x + back.flatten(2)
