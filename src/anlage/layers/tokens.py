"""Where token encoders begin: embedding, tokens hidden in training, and learned positions."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from anlage.layers.packing import part_of_token, position_in_part
from anlage.shapes import TokensShape

SEEN = 1 - 0.15 * 0.8
"""Share of the tokens that masked training left visible: 15 % were chosen, and of these 80 % hidden (BERT, ESM-2)."""


class TokenEmbedding(nn.Module):
    """A vector for each token id; in training a fraction ``dropout`` of the ids is replaced by the mask id.

    Where the sequences are ``aligned`` (a variant library), a learned vector for each position is added.
    ``limit``: learned vectors for so many positions, as in BERT; no part may be longer.
    ``zero_masks``: mask ids get zeros, and the others are scaled by SEEN over the share of the part that is no mask,
    so that the sum is as in training however many are hidden (ESM-2, Lin 2023, doi:10.1126/science.ade2574).
    ``norm_epsilon``: normalise the sum of all this, with that epsilon; None = not at all.
    """

    def __init__(
        self,
        shape: TokensShape,
        width: int,
        dropout: float,
        aligned: bool,
        limit: int | None = None,
        zero_masks: bool = False,
        norm_epsilon: float | None = None,
    ):
        super().__init__()
        self.mask_id, self.dropout, self.zero_masks = shape.mask_id, dropout, zero_masks
        self.ids = nn.Embedding(shape.vocabulary, width)
        nn.init.normal_(self.ids.weight, std=0.5)
        self.positions = nn.Parameter(torch.randn(shape.aligned, width) * 0.1) if aligned and shape.aligned else None
        self.places = nn.Parameter(torch.randn(limit, width) * 0.1) if limit else None
        self.norm = None if norm_epsilon is None else nn.LayerNorm(width, eps=norm_epsilon)

    def forward(self, ids: Int[Tensor, " tokens"], lengths: Int[Tensor, " parts"]) -> Float[Tensor, "tokens width"]:
        if self.training and self.dropout:
            hidden = torch.rand(ids.shape, device=ids.device) < self.dropout
            ids = ids.masked_fill(hidden, self.mask_id)
        vectors = self.ids(ids)
        if self.zero_masks:
            vectors = vectors * self._scales(ids, lengths)[:, None]
        if self.positions is not None:
            # a part longer than the library's sequences has no learned position at its end: one zero row stands there
            known = torch.cat((self.positions, self.positions.new_zeros(1, self.positions.shape[1])))
            vectors = vectors + known.index_select(0, position_in_part(lengths).clamp(max=len(known) - 1))
        if self.places is not None:
            vectors = vectors + self.places.index_select(0, position_in_part(lengths))
        return vectors if self.norm is None else self.norm(vectors)

    def _scales(self, ids: Int[Tensor, " tokens"], lengths: Int[Tensor, " parts"]) -> Float[Tensor, " tokens"]:
        visible, part = (ids != self.mask_id).float(), part_of_token(lengths)
        left = visible.new_zeros(len(lengths)).index_add(0, part, visible)
        return visible * (SEEN * lengths / left.clamp(min=1)).index_select(0, part)
