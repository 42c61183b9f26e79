"""From the encodings of several inputs, a row for each distinct part, to one vector for each sample."""

import torch
from jaxtyping import Int
from torch import Tensor, nn

from anlage.types import Encoded


class Fusion(nn.Module):
    """Side by side, with a learned vector where an input is missing; several inputs are then projected to one width.

    ``widths``: the encoder's width for each input; ``width``: that of the result (the widest input's).
    """

    def __init__(self, widths: dict[str, int]):
        super().__init__()
        self.inputs = list(widths)
        self.width = max(widths.values())
        # keyed by number: an input's name may hold a dot, which parameters' names must not
        self.missing = nn.ParameterList([nn.Parameter(torch.zeros(1, w)) for w in widths.values()])
        self.project = (
            nn.Sequential(nn.Linear(sum(widths.values()), self.width), nn.GELU(), nn.LayerNorm(self.width))
            if len(widths) > 1
            else nn.Identity()
        )

    def forward(self, encoded: dict[str, tuple[Encoded, Int[Tensor, " samples"]]]) -> Encoded:
        """One pooled row for each sample. With a single input its elements, lengths, spans and space go with it, those
        of a repeated part once for each sample (levels and pairs only where the parts are the samples, in order)."""
        columns = []
        for name, missing in zip(self.inputs, self.missing, strict=True):
            parts, index = encoded[name]
            with_missing = torch.cat((missing.to(parts.pooled.dtype), parts.pooled))
            columns.append(with_missing.index_select(0, index + 1))
        pooled = self.project(torch.cat(columns, 1))
        if len(self.inputs) > 1:
            return Encoded(pooled=pooled)
        parts, index = encoded[self.inputs[0]]
        if torch.equal(index, torch.arange(len(parts.pooled), device=index.device)):
            return Encoded(pooled, parts.elements, parts.lengths, parts.space, parts.spans, parts.levels, parts.pairs)
        return _repeated(pooled, parts, index)


def _repeated(pooled: Tensor, parts: Encoded, index: Int[Tensor, " samples"]) -> Encoded:
    """The elements of each sample's part, once for every sample that has it; none where it is missing."""
    if parts.elements is None or parts.lengths is None:
        return Encoded(pooled)
    starts = torch.cumsum(parts.lengths, 0) - parts.lengths
    present = index.clamp(min=0)
    lengths = torch.where(index < 0, 0, parts.lengths[present])
    before = torch.cumsum(lengths, 0) - lengths
    where = torch.repeat_interleave(starts[present] - before, lengths) + torch.arange(
        int(lengths.sum()), device=index.device
    )
    spans = None if parts.spans is None else parts.spans[where]
    return Encoded(pooled, parts.elements[where], lengths, parts.space, spans)
