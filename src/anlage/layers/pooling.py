"""From the vectors of all elements of a part to one vector, on packed runs: no padding."""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from anlage.errors import AnlageError
from anlage.layers.dropout import Dropout
from anlage.layers.packing import part_of_token, position_in_part
from anlage.shapes import TokensShape
from anlage.types import Tokens

PoolingKind = Literal["attention", "mean", "max", "aligned"]
ALIGNED_CHANNELS = 16
SHARED_MOMENTUM = 0.05


def choose_pooling(wish: str, shape: TokensShape) -> PoolingKind:
    """``auto`` → aligned where the training sequences are variants of one parent, else attention; else as wished."""
    if wish == "auto":
        return "attention" if shape.aligned is None else "aligned"
    if wish == "aligned" and shape.aligned is None:
        raise AnlageError("pooling=aligned needs variants of one sequence, of one length: use attention, mean or max")
    return wish  # type: ignore[return-value]


def noise(pooling: PoolingKind, *fractions: float) -> tuple[float, ...]:
    """Dropout fractions as they are; none for aligned variants. These differ in a few tokens, and noise on all the
    others would drown them: a hidden token looks like a mutation."""
    return tuple(0.0 for _ in fractions) if pooling == "aligned" else fractions


def segment_mean(values: Float[Tensor, "tokens width"], lengths: Int[Tensor, " parts"]) -> Float[Tensor, "parts width"]:
    """Mean over the tokens of each part."""
    sums = values.new_zeros(len(lengths), values.shape[1]).index_add(0, part_of_token(lengths), values)
    return sums / lengths[:, None]


def source_mean(values: Float[Tensor, "tokens width"], layout: Tokens) -> Float[Tensor, "parts width"]:
    """Mean over the tokens that stand for something in the source (residues), not over added start and end tokens.
    What published protein models call the embedding of a sequence."""
    real = (layout.spans[:, 1] > layout.spans[:, 0]).to(values.dtype)
    part = part_of_token(layout.lengths)
    sums = values.new_zeros(len(layout), values.shape[1]).index_add(0, part, values * real[:, None])
    return sums / real.new_zeros(len(layout)).index_add(0, part, real).clamp(min=1)[:, None]


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
    mean: over the tokens that stand for something in the source.
    aligned: for variants of one sequence. Every position's vector through one small projection, all positions side by
    side, plus an effect learned for each token at each position (the additive model of a mutational scan, which the
    head then bends: global epistasis, Otwinowski et al. 2018, doi:10.1073/pnas.1804015115). What all variants share
    would drown the few positions in which they differ: its running mean is taken away. Sequences of another length are
    cut or filled with zeros.
    """

    shared: Tensor
    shared_effect: Tensor

    def __init__(self, width: int, kind: PoolingKind, shape: TokensShape, heads: int = 4, dropout: float = 0):
        super().__init__()
        self.kind, self.heads = kind, heads
        self.dropout = Dropout(dropout)
        if kind == "attention":
            self.scores = nn.Linear(width, heads)
            self.mix = nn.Linear(width * 3, width)
        elif kind == "aligned":
            assert shape.aligned is not None
            self.positions, self.vocabulary = shape.aligned, shape.vocabulary
            self.project = nn.Linear(width, ALIGNED_CHANNELS)
            self.mix = nn.Linear(self.positions * ALIGNED_CHANNELS, width)
            nn.init.normal_(self.mix.bias)
            self.effects = nn.Embedding(self.positions * self.vocabulary, width)
            nn.init.zeros_(self.effects.weight)
            self.register_buffer("shared", torch.zeros(self.positions * ALIGNED_CHANNELS))
            self.register_buffer("shared_effect", torch.zeros(width))

    def start_as_mean(self) -> None:
        """Make fresh attention pooling give the plain mean over a part's tokens: so a pretrained encoder's vectors are
        what it learned, until the pooling learns to do better. Nothing random is left: vectors hold for any seed."""
        if self.kind == "attention":
            width = self.mix.out_features
            with torch.no_grad():
                self.scores.weight.zero_()
                self.scores.bias.zero_()
                self.mix.weight.zero_()
                self.mix.weight[:, width : 2 * width] = torch.eye(width)
                self.mix.bias.zero_()

    def forward(self, values: Float[Tensor, "tokens width"], layout: Tokens) -> Float[Tensor, "parts width"]:
        """``values``: a vector for each token of ``layout``."""
        with torch.autocast(values.device.type, enabled=False):  # differences of variants vanish in 16 bits
            return self._pool(values.float(), layout)

    def _pool(self, values: Tensor, layout: Tokens) -> Tensor:
        lengths = layout.lengths
        match self.kind:
            case "mean":
                pooled = source_mean(values, layout)
            case "max":
                pooled = segment_max(values, lengths)
            case "aligned":
                pooled = self._aligned(values, layout)
            case "attention":
                weights = segment_softmax(self.scores(values), lengths)
                weighted = (values.unflatten(1, (self.heads, -1)) * weights[:, :, None]).flatten(1)
                part = part_of_token(lengths)
                attended = values.new_zeros(len(lengths), values.shape[1]).index_add(0, part, weighted)
                together = (attended, segment_mean(values, lengths), segment_max(values, lengths))
                pooled = self.mix(self.dropout(torch.cat(together, 1)))
        return pooled

    def _aligned(self, values: Tensor, layout: Tokens) -> Float[Tensor, "parts width"]:
        lengths = layout.lengths
        place, part = position_in_part(lengths), part_of_token(lengths)
        fits = place < self.positions
        where = (part * self.positions + place)[fits]
        projected = self.project(values)
        table = projected.new_zeros(len(lengths) * self.positions, ALIGNED_CHANNELS)
        table = table.index_copy(0, where, projected[fits]).view(len(lengths), -1)
        site = (place * self.vocabulary + layout.ids)[fits]
        starts = lengths.clamp(max=self.positions).cumsum(0) - lengths.clamp(max=self.positions)
        effect = nn.functional.embedding_bag(site, self.effects.weight, starts, mode="sum")
        if self.training:  # running means: at prediction no vector depends on its batch-mates
            with torch.no_grad():
                self.shared.lerp_(table.mean(0), SHARED_MOMENTUM)
                self.shared_effect.lerp_(effect.mean(0), SHARED_MOMENTUM)
        return self.mix(self.dropout(table - self.shared)) + effect - self.shared_effect
