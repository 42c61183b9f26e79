"""Where token encoders begin: embedding, tokens hidden in training, and positions of aligned sequences."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from anlage.layers.packing import position_in_part
from anlage.shapes import TokensShape


class TokenEmbedding(nn.Module):
    """A vector for each token id; in training a fraction ``dropout`` of the ids is replaced by the mask id.

    Where the sequences are ``aligned`` (a variant library), a learned vector for each position is added.
    """

    def __init__(self, shape: TokensShape, width: int, dropout: float, aligned: bool):
        super().__init__()
        self.mask_id, self.dropout = shape.mask_id, dropout
        self.ids = nn.Embedding(shape.vocabulary, width)
        nn.init.normal_(self.ids.weight, std=0.5)
        self.positions = nn.Parameter(torch.randn(shape.aligned, width) * 0.1) if aligned and shape.aligned else None

    def forward(self, ids: Int[Tensor, " tokens"], lengths: Int[Tensor, " parts"]) -> Float[Tensor, "tokens width"]:
        if self.training and self.dropout:
            hidden = torch.rand(ids.shape, device=ids.device) < self.dropout
            ids = ids.masked_fill(hidden, self.mask_id)
        vectors = self.ids(ids)
        if self.positions is None:
            return vectors
        # a part longer than the library's sequences has no learned position at its end: one zero row stands for that
        known = torch.cat((self.positions, self.positions.new_zeros(1, self.positions.shape[1])))
        return vectors + known.index_select(0, position_in_part(lengths).clamp(max=len(known) - 1))
