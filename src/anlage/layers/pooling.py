"""From the vectors of all elements of a part to one vector, on packed runs: no padding."""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from anlage.errors import AnlageError
from anlage.layers.dropout import Dropout
from anlage.layers.packing import part_of_token, position_in_part
from anlage.shapes import TokensShape

PoolingKind = Literal["attention", "mean", "max", "aligned"]
ALIGNED_CHANNELS = 16
SHARED_MOMENTUM = 0.05


def choose_pooling(wish: str, shape: TokensShape) -> PoolingKind:
    """``auto`` → aligned where all training sequences have one length, else attention; other wishes are checked."""
    if wish == "auto":
        return "attention" if shape.aligned is None else "aligned"
    if wish == "aligned" and shape.aligned is None:
        raise AnlageError("pooling=aligned needs training sequences of one length: use attention, mean or max")
    return wish  # type: ignore[return-value]


def segment_mean(values: Float[Tensor, "tokens width"], lengths: Int[Tensor, " parts"]) -> Float[Tensor, "parts width"]:
    """Mean over the tokens of each part."""
    sums = values.new_zeros(len(lengths), values.shape[1]).index_add(0, part_of_token(lengths), values)
    return sums / lengths[:, None]


def segment_max(values: Float[Tensor, "tokens width"], lengths: Int[Tensor, " parts"]) -> Float[Tensor, "parts width"]:
    """Maximum over the tokens of each part."""
    return torch.segment_reduce(values, "max", lengths=lengths, axis=0)


def segment_softmax(
    scores: Float[Tensor, "tokens heads"], lengths: Int[Tensor, " parts"]
) -> Float[Tensor, "tokens heads"]:
    """Softmax over the tokens of each part."""
    part = part_of_token(lengths)
    highest = segment_max(scores.detach(), lengths)
    weights = torch.exp(scores - highest.index_select(0, part))
    sums = weights.new_zeros(len(lengths), weights.shape[1]).index_add(0, part, weights)
    return weights / sums.index_select(0, part)


class Pooling(nn.Module):
    """One vector for each part.

    attention: softmax-weighted means (heads look for different things), beside the mean and the maximum.
    aligned: every position's vector through one small projection, then all positions side by side: sequences of
    another length are cut or filled with zeros.
    """

    shared: Tensor

    def __init__(self, width: int, kind: PoolingKind, positions: int | None = None, heads: int = 4, dropout: float = 0):
        super().__init__()
        self.kind, self.heads, self.positions = kind, heads, positions
        self.dropout = Dropout(dropout)
        if kind == "attention":
            self.scores = nn.Linear(width, heads)
            self.mix = nn.Linear(width * 3, width)
        elif kind == "aligned":
            assert positions is not None
            self.project = nn.Linear(width, ALIGNED_CHANNELS)
            self.mix = nn.Linear(positions * ALIGNED_CHANNELS, width)
            # what all variants share would drown the few positions in which they differ: it is taken away, and a
            # bias of the size of a normalised vector takes its place
            self.register_buffer("shared", torch.zeros(positions * ALIGNED_CHANNELS))
            nn.init.normal_(self.mix.bias)

    def forward(
        self, values: Float[Tensor, "tokens width"], lengths: Int[Tensor, " parts"]
    ) -> Float[Tensor, "parts width"]:
        with torch.autocast(values.device.type, enabled=False):  # differences of variants vanish in 16 bits
            return self._pool(values.float(), lengths)

    def _pool(self, values: Tensor, lengths: Tensor) -> Tensor:
        match self.kind:
            case "mean":
                pooled = segment_mean(values, lengths)
            case "max":
                pooled = segment_max(values, lengths)
            case "aligned":
                pooled = self.mix(self.dropout(self._centred(self._side_by_side(self.project(values), lengths))))
            case "attention":
                weights = segment_softmax(self.scores(values), lengths)
                weighted = (values.unflatten(1, (self.heads, -1)) * weights[:, :, None]).flatten(1)
                part = part_of_token(lengths)
                attended = values.new_zeros(len(lengths), values.shape[1]).index_add(0, part, weighted)
                together = (attended, segment_mean(values, lengths), segment_max(values, lengths))
                pooled = self.mix(self.dropout(torch.cat(together, 1)))
        return pooled

    def _centred(self, table: Float[Tensor, "parts features"]) -> Float[Tensor, "parts features"]:
        """Minus the running mean of training batches (so that at prediction no vector depends on batch-mates)."""
        if self.training:
            with torch.no_grad():
                self.shared.lerp_(table.mean(0), SHARED_MOMENTUM)
        return table - self.shared

    def _side_by_side(self, values: Tensor, lengths: Tensor) -> Tensor:
        assert self.positions is not None
        place = position_in_part(lengths)
        fits = place < self.positions
        where = (part_of_token(lengths) * self.positions + place)[fits]
        table = values.new_zeros(len(lengths) * self.positions, values.shape[1])
        return table.index_copy(0, where, values[fits]).view(len(lengths), -1)
