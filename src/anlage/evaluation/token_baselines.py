"""What a model of sequences must beat: how common each token is, alone and after the token to its left.

Both are models with the interface of any other, so that they are measured on the very tokens that the model is.
"""

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp
import torch
from jaxtyping import Float
from torch import Tensor, nn

from anlage.layers.packing import position_in_part
from anlage.parts import Parts
from anlage.tasks.token_objective import TokenObjective, is_letter
from anlage.types import Batch, Tokens

ADDED = 1.0
"""Pseudocount (add-k smoothing): of the unigram for each token, of the bigram spread over a row as the unigram says."""
CHUNK = 2_000_000
"""Tokens that are counted at a time."""


class Counts:
    """How often each letter stands in the training rows, and how often after which token."""

    def __init__(self, parts: Parts, which: np.ndarray, vocabulary: int):
        self.pairs = sp.csr_matrix((vocabulary, vocabulary))
        for left, letter in _pairs(parts, which):
            self.pairs += sp.csr_matrix((np.ones(len(letter)), (left, letter)), shape=self.pairs.shape)
        single = np.asarray(self.pairs.sum(0))[0] + ADDED
        self.share = single / single.sum()
        self.after = np.asarray(self.pairs.sum(1))[:, 0]


def _pairs(parts: Parts, which: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(token to the left, letter) for all letters of these parts, in pieces."""
    bounds = np.cumsum(parts.sizes[which]) // CHUNK
    for piece in np.split(which, np.flatnonzero(np.diff(bounds)) + 1):
        tokens = parts.take(piece)
        assert isinstance(tokens, Tokens)
        place = (is_letter(tokens) & (position_in_part(tokens.lengths) > 0)).nonzero().squeeze(1)
        yield tokens.ids[place - 1].numpy(), tokens.ids[place].numpy()


class Unigram(nn.Module):
    """The share of each token, whatever stands around it."""

    def __init__(self, objective: TokenObjective, counts: Counts):
        super().__init__()
        self.objective = objective
        self.share = nn.Parameter(torch.from_numpy(counts.share), requires_grad=False)

    def forward(self, batch: Batch) -> dict[str, Float[Tensor, "asked vocabulary"]]:
        """Log-probabilities of the tokens asked for."""
        asked = self.objective.before(batch)
        return {self.objective.target: self.share.log().expand(len(asked), -1)}


class Bigram(nn.Module):
    """The share of each token after the one that the view shows to the left; after one that is hidden, the unigram."""

    def __init__(self, objective: TokenObjective, counts: Counts):
        super().__init__()
        self.objective, self.counts = objective, counts
        self.share = nn.Parameter(torch.from_numpy(counts.share), requires_grad=False)

    def forward(self, batch: Batch) -> dict[str, Float[Tensor, "asked vocabulary"]]:
        """Log-probabilities of the tokens asked for."""
        left = self.objective.before(batch).numpy()
        seen = self.counts.pairs[left].toarray() + ADDED * self.counts.share
        return {self.objective.target: torch.from_numpy(np.log(seen / (self.counts.after[left, None] + ADDED)))}
