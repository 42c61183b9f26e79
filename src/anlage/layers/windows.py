"""Parts longer than a model's learned positions, read in overlapping windows."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from anlage.types import Tokens


@dataclass
class Windows:
    """``layout``: every part that is short enough, and the windows of those that are not, as parts of their own."""

    layout: Tokens
    where: Int[Tensor, " tokens"]
    """Token i of the whole parts has the vector of token ``where[i]`` of the windows."""

    def collect(self, values: Float[Tensor, "places width"]) -> Float[Tensor, "tokens width"]:
        """From the vectors of all windows to one vector for each token of the whole parts."""
        return values.index_select(0, self.where)


def windowed(layout: Tokens, limit: int) -> Windows | None:
    """Cut parts of more than ``limit`` tokens (at least 4) into windows of exactly so many; None where there is none.

    A window begins and ends as parts did in training: with the part's own added tokens (those with an empty span at
    its ends). Neighbours share at least half of their letters, and a letter's vector comes from the window in which it
    stands nearest to the middle, so it saw a quarter of a window on either side unless the part itself ends there.
    """
    lengths = layout.lengths.tolist()
    if max(lengths) <= limit:
        return None
    added = (layout.spans[:, 0] == layout.spans[:, 1]).tolist()
    taken, sizes, where = [], [], []
    first = placed = 0
    for length in lengths:
        start, end = int(added[first]), int(added[first + length - 1])
        if length <= limit:
            tokens, own = torch.arange(length)[None], torch.arange(length)
        else:
            tokens, own = _cut(length, start, end, limit)
        taken.append((first + tokens).flatten())
        sizes += [tokens.shape[1]] * len(tokens)
        where.append(placed + own)
        first, placed = first + length, placed + tokens.numel()
    device = layout.ids.device
    source = torch.cat(taken).to(device)
    cut = Tokens(layout.ids[source], torch.tensor(sizes, device=device), layout.spans[source])
    return Windows(cut, torch.cat(where).to(device))


def _cut(length: int, start: int, end: int, limit: int) -> tuple[Int[Tensor, "windows limit"], Int[Tensor, " length"]]:
    """The tokens of each window, and for each token its place in the windows laid end to end."""
    letters, room = length - start - end, limit - start - end
    count = 1 + -(-(letters - room) // (room // 2))
    begins = torch.arange(count) * (letters - room) // (count - 1)
    inside = start + begins[:, None] + torch.arange(room)
    edges = [torch.zeros(count, start, dtype=torch.long), inside, torch.full((count, end), length - 1)]
    # twice the middle between neighbouring windows' middles, so that all stays in whole numbers
    borders = begins[:-1] + begins[1:] + room - 1
    window = torch.bucketize(2 * torch.arange(letters), borders)
    own = window * limit + start + torch.arange(letters) - begins[window]
    first, last = torch.zeros(start, dtype=torch.long), torch.full((end,), count * limit - 1)
    return torch.cat(edges, 1), torch.cat((first, own, last))
