"""Next token: predict each token from those to the left of it (Bengio et al. 2003; GPT, Radford et al. 2018)."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from anlage.draws import Draws
from anlage.tasks.token_objective import TokenObjective, is_letter
from anlage.types import Batch


@dataclass
class NextToken(TokenObjective):
    """Each vector predicts the token after its own; the encoder reads from left to right. The end token is learned too
    (a sampler must know when to stop), but measured are letters alone."""

    name: ClassVar[str] = "next_token"
    causal: ClassVar[bool] = True

    def views(self, batch: Batch, draws: Draws) -> Iterator[tuple[Batch, Tensor]]:
        """The batch as it is; all but the last token of each part are asked for what follows."""
        tokens = self.tokens(batch)
        last = torch.zeros(len(tokens.ids), dtype=torch.bool)
        last[torch.cumsum(tokens.lengths, 0) - 1] = True
        token, _ = self.elements(batch)
        asked = (~last[token]).nonzero().squeeze(1)
        yield replace(batch, targets={}, asked=asked), tokens.ids[token[asked] + 1]

    def counted(self, view: Batch) -> Bool[Tensor, " asked"]:
        return is_letter(self.tokens(view))[self._place(view) + 1]

    def before(self, view: Batch) -> Int[Tensor, " asked"]:
        return self.tokens(view).ids[self._place(view)]

    def _place(self, view: Batch) -> Int[Tensor, " asked"]:
        return self.elements(view)[0][view.asked]
