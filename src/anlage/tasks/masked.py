"""Masked tokens: hide some, predict them from the others (BERT, Devlin et al. 2019, arXiv:1810.04805)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from anlage.draws import Draws
from anlage.errors import AnlageError
from anlage.layers.packing import part_of_token
from anlage.tasks.token_objective import TokenObjective, is_letter
from anlage.types import Batch, Tokens

MASKED, REPLACED = 0.8, 0.1
"""Of the hidden tokens so many become the mask and so many another letter; the others stay as they are."""
LONGEST = 10
"""Tokens of a span, at most (SpanBERT)."""


@dataclass
class Masked(TokenObjective):
    """A share ``rate`` of the letters is hidden, in spans of ``span`` letters on average: 80 % of the spans behind the
    mask, 10 % behind other letters of the same sequence, 10 % not at all. Added start and end tokens never are.

    Measured are the masked letters alone: of a letter that stands there, or its likeness, a model could copy what it
    sees, which no baseline does.
    """

    name: ClassVar[str] = "masked"

    rate: float = 0.15
    """Share of the letters that is hidden."""
    span: float = 1.0
    """Mean length of what is hidden in a row (geometric, cut at 10; SpanBERT, Joshi et al. 2020, arXiv:1907.10529)."""

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1:
            raise AnlageError(f"objective masked: rate={self.rate}: give a share between 0 and 1")
        if not 1 <= self.span <= LONGEST:
            raise AnlageError(f"objective masked: span={self.span}: give a mean length from 1 to {LONGEST}")

    def views(self, batch: Batch, draws: Draws) -> Iterator[tuple[Batch, Tensor]]:
        """One view; the same letters of a row are hidden whatever rows are with it."""
        tokens = self.tokens(batch)
        hidden, ids = self.hide(tokens, self.row_of_part(batch), draws)
        token, _ = self.elements(batch)
        asked = hidden[token].nonzero().squeeze(1)
        parts = {**batch.parts, self.input: replace(tokens, ids=ids)}
        yield replace(batch, parts=parts, targets={}, asked=asked), tokens.ids[token[asked]]

    def hide(
        self, tokens: Tokens, rows: Int[Tensor, " parts"], draws: Draws
    ) -> tuple[Bool[Tensor, " tokens"], Int[Tensor, " tokens"]]:
        """Which tokens are hidden, and the ids that are shown."""
        letter, part = is_letter(tokens), part_of_token(tokens.lengths)
        place = torch.arange(len(part))
        begins, length, fate, other = (draws.uniform(rows, tokens.lengths, stream) for stream in range(4))
        starts = letter & (begins < self._start_rate())
        until = torch.minimum(place + self._spans(length), torch.cumsum(tokens.lengths, 0)[part])
        change = torch.zeros(len(part) + 1, dtype=torch.long)
        change.index_add_(0, place[starts], torch.ones_like(place[starts]))
        change.index_add_(0, until[starts], -torch.ones_like(place[starts]))
        hidden = letter & (torch.cumsum(change, 0)[:-1] > 0)
        first = torch.cummax(torch.where(starts, place, 0), 0).values  # the span that a hidden token belongs to
        fate = fate[first]
        ids = torch.where(hidden & (fate < MASKED), self.tokens_shape.mask_id, tokens.ids)
        swapped = hidden & (fate >= MASKED) & (fate < MASKED + REPLACED)
        return hidden, torch.where(swapped, _letters_of_same_part(tokens.ids, letter, part, other), ids)

    def counted(self, view: Batch) -> Bool[Tensor, " asked"]:
        return self.tokens(view).ids[self.elements(view)[0][view.asked]] == self.tokens_shape.mask_id

    def before(self, view: Batch) -> Int[Tensor, " asked"]:
        tokens = self.tokens(view)
        place = self.elements(view)[0][view.asked]
        left = (place - 1).clamp(min=0)
        part = part_of_token(tokens.lengths)
        return torch.where((place > 0) & (part[left] == part[place]), tokens.ids[left], self.tokens_shape.mask_id)

    def _spans(self, uniform: Tensor) -> Int[Tensor, " tokens"]:
        """Geometric lengths with the mean ``span`` (but for the cut at LONGEST)."""
        if self.span == 1:
            return torch.ones(len(uniform), dtype=torch.long)
        return (torch.log1p(-uniform) / math.log(1 - 1 / self.span)).long().clamp(max=LONGEST - 1) + 1

    def _start_rate(self) -> float:
        """How often a span must start so that a letter is hidden by one or more spans with probability ``rate``:
        Π over d of (1 − start · P(length > d)) = 1 − rate."""
        tails = [(1 - 1 / self.span) ** d for d in range(LONGEST)] if self.span > 1 else [1.0]
        low, high = 0.0, 1.0
        for _ in range(50):
            middle = (low + high) / 2
            shown = math.prod(1 - middle * tail for tail in tails)
            low, high = (middle, high) if shown > 1 - self.rate else (low, middle)
        return high


def _letters_of_same_part(
    ids: Int[Tensor, " tokens"], letter: Bool[Tensor, " tokens"], part: Int[Tensor, " tokens"], uniform: Tensor
) -> Int[Tensor, " tokens"]:
    """For each token the id at a random letter of its own part: it depends on no other part, and is a letter."""
    letters = letter.nonzero().squeeze(1)
    if not len(letters):
        return ids
    count = torch.bincount(part[letters], minlength=int(part[-1]) + 1)
    first = torch.cumsum(count, 0) - count
    chosen = (uniform * count[part]).long().clamp(max=count[part] - 1)
    return ids[letters[(first[part] + chosen).clamp(min=0, max=len(letters) - 1)]]
