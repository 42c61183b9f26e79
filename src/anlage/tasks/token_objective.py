"""What objectives on sequences share: a head that answers for the tokens asked for, loss, sums and metrics."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from anlage.draws import Draws
from anlage.errors import AnlageError
from anlage.metrics import objectives as metrics
from anlage.metrics.metric import Metric
from anlage.shapes import TokensShape
from anlage.tasks.objective import Objective
from anlage.types import Batch, Encoded, Tokens


class TokenHead(nn.Module):
    """Dense → GELU → LayerNorm → Linear to the vocabulary (the head of BERT, with weights of its own)."""

    def __init__(self, width: int, vocabulary: int):
        super().__init__()
        self.dense = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, vocabulary)

    def forward(self, encoded: Encoded) -> Float[Tensor, "asked vocabulary"]:
        """Logits of the tokens that are asked for."""
        if encoded.elements is None:
            raise AnlageError("this encoder gives no vector for each token: objectives on tokens cannot train it")
        elements = encoded.elements if encoded.asked is None else encoded.elements[encoded.asked]
        return self.output(self.norm(F.gelu(self.dense(elements))))


@dataclass
class TokenObjective(Objective):
    """Base of the objectives that predict tokens. ``views`` sets ``Batch.asked``; the target is their true ids."""

    layouts: ClassVar[frozenset[str]] = frozenset({"Tokens"})
    causal: ClassVar[bool] = False
    """True where a token's vector must not know what follows: the encoder then reads from left to right."""

    @abstractmethod
    def views(self, batch: Batch, draws: Draws) -> Iterator[tuple[Batch, Tensor]]: ...

    @abstractmethod
    def counted(self, view: Batch) -> Bool[Tensor, " asked"]:
        """Which of the tokens asked for are measured."""

    @abstractmethod
    def before(self, view: Batch) -> Int[Tensor, " asked"]:
        """For each token asked for, what the view shows to the left of it (the mask id where nothing stands there)."""

    def head(self, width: int) -> nn.Module:
        return TokenHead(width, self.tokens_shape.vocabulary)

    def loss(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Sum of the cross entropies, and how many tokens were asked for."""
        return F.cross_entropy(output, target, reduction="sum"), torch.tensor(len(target), device=output.device)

    def measure(self, output: Tensor, target: Tensor, view: Batch) -> Float[np.ndarray, "samples k"]:
        """[samples, (sum of −ln p, right ones, count)]"""
        output = output.detach()
        losses = F.cross_entropy(output, target, reduction="none")
        right = output.argmax(1) == target
        counted = self.counted(view).numpy()
        sample = self.elements(view)[1][view.asked].numpy()[counted]
        columns = [losses.double().cpu().numpy()[counted], right.double().cpu().numpy()[counted], None]
        return np.stack([np.bincount(sample, weights, len(view)).astype(np.float64) for weights in columns], axis=1)

    @property
    def metrics(self) -> Mapping[str, Metric]:
        return {metric.name: metric for metric in (metrics.PERPLEXITY, metrics.TOKEN_ACCURACY)}

    @property
    def tokens_shape(self) -> TokensShape:
        """The input's shape."""
        assert isinstance(self.shape, TokensShape)
        return self.shape

    def tokens(self, batch: Batch) -> Tokens:
        """The input's layout."""
        layout = batch.parts[self.input]
        assert isinstance(layout, Tokens)
        return layout

    def elements(self, batch: Batch) -> tuple[Int[Tensor, " elements"], Int[Tensor, " elements"]]:
        """For each element that the head sees its token and its sample: the tokens of a part that several samples have
        come once for each of them (see :class:`anlage.layers.fusion.Fusion`)."""
        lengths, index = self.tokens(batch).lengths, batch.index[self.input]
        first = torch.cumsum(lengths, 0) - lengths
        part = index.clamp(min=0)
        repeats = torch.where(index < 0, 0, lengths[part])
        sample = torch.repeat_interleave(repeats)
        shift = first[part] - (torch.cumsum(repeats, 0) - repeats)
        return torch.arange(len(sample)) + shift[sample], sample


def is_letter(tokens: Tokens) -> Bool[Tensor, " tokens"]:
    """True for tokens that stand for something in the source: not for added start and end tokens."""
    return tokens.spans[:, 1] > tokens.spans[:, 0]
