"""From packed runs of tokens to the two arrangements that fast kernels need, and back. Exact: no token is lost.

``spaced``: for convolutions, all parts in one or more rows with zeros between them, so that none sees its neighbour.
``grouped``: for attention and recurrence, parts of near-equal length side by side, with little padding.
"""

from dataclasses import dataclass
from typing import Any

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


class _Collect(torch.autograd.Function):
    """Rows that are each taken once: the gradient is copied back, where index_select would add it up (8 x slower)."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, where: Tensor) -> Tensor:
        ctx.save_for_backward(where)
        ctx.places = len(values)
        return values.index_select(0, where)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (where,) = ctx.saved_tensors
        return spread_rows(gradient, where, ctx.places), None


def collect_rows(values: Float[Tensor, "places width"], where: Int[Tensor, " tokens"]) -> Float[Tensor, "tokens width"]:
    """Row ``where[i]`` of ``values`` for each token i; no two tokens share a place."""
    return _Collect.apply(values, where)


def spread_rows(
    values: Float[Tensor, "tokens width"], where: Int[Tensor, " tokens"], places: int
) -> Float[Tensor, "places width"]:
    """The inverse of :func:`collect_rows`: zeros where no token stands."""
    return values.new_zeros(places, values.shape[1]).index_copy_(0, where, values)


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
        return collect_rows(values.transpose(1, 2).flatten(0, 1), self.where)


def spaced(lengths: Int[Tensor, " parts"], gap: int, multiple: int = 1) -> Spaced:
    """Place parts at least ``gap`` apart in one row, or each in its own row, whichever takes less room.

    Every part starts at a multiple of ``multiple``, so that pooling by so many places never mixes two parts.
    """

    room = -(-(lengths + gap) // multiple) * multiple
    longest = -(-int(lengths.max()) // multiple) * multiple
    if len(lengths) * longest <= int(room.sum()):
        rows, columns = len(lengths), longest
        starts = torch.arange(rows, device=lengths.device) * columns
    else:
        rows, columns = 1, int(room.sum())
        starts = torch.cumsum(room, 0) - room
    return Spaced(rows, columns, torch.repeat_interleave(starts, lengths) + position_in_part(lengths))


class _Repeat(torch.autograd.Function):
    """Rows laid out with padding: forward and backward are plain copies, and no zeros are written."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, source: Tensor, where: Tensor) -> Tensor:
        ctx.save_for_backward(where)
        return values.index_select(0, source)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (where,) = ctx.saved_tensors
        return gradient.index_select(0, where), None, None


@dataclass
class Group:
    """Parts of near-equal length, as rows."""

    members: int
    longest: int
    valid: Bool[Tensor, "members longest"] | None
    """False at padding; None where all lengths are equal."""
    lengths: Int[Tensor, " members"]


@dataclass
class Grouped:
    """All parts in groups; token i of the packed run is place ``where[i]`` of the groups laid end to end."""

    groups: list[Group]
    where: Int[Tensor, " tokens"]
    source: Int[Tensor, " places"]
    """The token at each place; padding repeats token 0, of which nothing comes back."""

    def split(self, values: Float[Tensor, "tokens width"]) -> list[Float[Tensor, "members longest width"]]:
        """The rows of each group. Padding holds no zeros, and gradients that reach it are dropped."""
        laid_out = _Repeat.apply(values, self.source, self.where).split([g.members * g.longest for g in self.groups])
        return [rows.view(g.members, g.longest, -1) for g, rows in zip(self.groups, laid_out, strict=True)]

    def join(self, rows: list[Float[Tensor, "members longest width"]]) -> Float[Tensor, "tokens width"]:
        """The inverse of :meth:`split`."""
        return collect_rows(torch.cat([r.flatten(0, 1) for r in rows]), self.where)


def grouped(lengths: Int[Tensor, " parts"], waste: float) -> Grouped:
    """Cut the parts, sorted by length, into groups in which padding is at most ``waste`` of the tokens."""
    order = torch.argsort(lengths, stable=True)
    groups, first_place, placed = [], torch.empty_like(lengths), 0
    for cut in _cuts(lengths[order].tolist(), waste):
        members = order[cut]
        size = lengths[members]
        longest = int(size[-1])
        valid = torch.arange(longest, device=lengths.device) < size[:, None]
        first_place[members] = placed + longest * torch.arange(len(members), device=lengths.device)
        groups.append(Group(len(members), longest, None if bool(valid.all()) else valid, size))
        placed += len(members) * longest
    where = torch.repeat_interleave(first_place, lengths) + position_in_part(lengths)
    source = torch.zeros(placed, dtype=torch.long, device=where.device)
    source[where] = torch.arange(len(where), device=where.device)
    return Grouped(groups, where, source)


def _cuts(ascending: list[int], waste: float) -> list[slice]:
    cuts, first, real = [], 0, 0
    for i, length in enumerate(ascending):
        if i > first and length * (i - first + 1) > (1 + waste) * (real + length):
            cuts.append(slice(first, i))
            first, real = i, 0
        real += length
    return [*cuts, slice(first, len(ascending))]
