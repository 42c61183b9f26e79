"""From packed runs of tokens to the two arrangements that fast kernels need, and back. Exact: no token is lost.

``spaced``: for convolutions, all parts in one or more rows with zeros between them, so that none sees its neighbour.
``grouped``: for attention and recurrence, parts of near-equal length side by side, with little padding.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def part_of_token(lengths: Int[Tensor, " parts"]) -> Int[Tensor, " tokens"]:
    """The number of the part that each token belongs to."""
    return torch.repeat_interleave(lengths)


def position_in_part(lengths: Int[Tensor, " parts"]) -> Int[Tensor, " tokens"]:
    """0, 1, 2 … from the first token of each part."""
    starts = torch.cumsum(lengths, 0) - lengths
    return torch.arange(int(lengths.sum()), device=lengths.device) - torch.repeat_interleave(starts, lengths)


@dataclass
class Spaced:
    """Parts in ``rows`` rows of ``columns`` places; token i stands at place ``where[i]`` of the flattened rows."""

    rows: int
    columns: int
    where: Int[Tensor, " tokens"]

    def spread(self, values: Tensor, empty: float | int) -> Tensor:
        """[tokens] values → [rows, columns], ``empty`` where no token stands."""
        flat = values.new_full((self.rows * self.columns,), empty)
        return flat.index_copy(0, self.where, values).view(self.rows, self.columns)

    def collect(self, values: Float[Tensor, "rows width columns"]) -> Float[Tensor, "tokens width"]:
        """The vectors of the tokens, packed again."""
        return values.transpose(1, 2).reshape(self.rows * self.columns, -1).index_select(0, self.where)


def spaced(lengths: Int[Tensor, " parts"], gap: int, multiple: int = 1) -> Spaced:
    """Place parts at least ``gap`` apart in one row, or each in its own row, whichever takes less room.

    Every part starts at a multiple of ``multiple``, so that pooling by so many places never mixes two parts.
    """

    def up(n: Tensor | int) -> Tensor | int:
        return (n + multiple - 1) // multiple * multiple

    room = up(lengths + gap)
    longest = int(up(int(lengths.max())))
    if len(lengths) * longest <= int(room.sum()):
        rows, columns = len(lengths), longest
        starts = torch.arange(rows, device=lengths.device) * columns
    else:
        rows, columns = 1, int(room.sum())
        starts = torch.cumsum(room, 0) - room
    return Spaced(rows, columns, torch.repeat_interleave(starts, lengths) + position_in_part(lengths))


@dataclass
class Group:
    """Parts of near-equal length: ``tokens`` are their places in the packed run (padding repeats the first token)."""

    tokens: Int[Tensor, "members longest"]
    valid: Bool[Tensor, "members longest"] | None
    """False at padding; None where all lengths are equal."""
    lengths: Int[Tensor, " members"]


@dataclass
class Grouped:
    """All parts in groups; token i of the packed run is place ``restore[i]`` of the groups laid end to end."""

    groups: list[Group]
    restore: Int[Tensor, " tokens"]


def grouped(lengths: Int[Tensor, " parts"], waste: float) -> Grouped:
    """Cut the parts, sorted by length, into groups in which padding is at most ``waste`` of the tokens."""
    order = torch.argsort(lengths, stable=True)
    groups, restore = [], torch.empty(int(lengths.sum()), dtype=torch.long, device=lengths.device)
    starts, placed = torch.cumsum(lengths, 0) - lengths, 0
    for members in _cuts(lengths[order].tolist(), waste):
        size = lengths[order[members]]
        longest = int(size.max())
        column = torch.arange(longest, device=lengths.device)
        valid = column < size[:, None]
        tokens = starts[order[members]][:, None] + column * valid
        places = torch.arange(placed, placed + tokens.numel(), device=lengths.device).view_as(tokens)
        restore[tokens[valid]] = places[valid]
        groups.append(Group(tokens, None if bool(valid.all()) else valid, size))
        placed += tokens.numel()
    return Grouped(groups, restore)


def _cuts(ascending: list[int], waste: float) -> list[slice]:
    cuts, first, real = [], 0, 0
    for i, length in enumerate(ascending):
        if i > first and length * (i - first + 1) > (1 + waste) * (real + length):
            cuts.append(slice(first, i))
            first, real = i, 0
        real += length
    return [*cuts, slice(first, len(ascending))]
