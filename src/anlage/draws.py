"""Random numbers that belong to a row and a step, not to a batch.

An objective hides tokens at random. Were the numbers drawn batch by batch, two processes that share a batch, or a batch
cut in pieces, would hide others than one process does. Here each number is a hash of (seed, step, row, position), so
that any cut of the rows sees the same ones. Needs no state: a resumed run repeats an undisturbed one.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

_GOLDEN = -7046029254386353131  # 2^64 / golden ratio, as a signed number: spreads neighbouring keys
_FIRST, _SECOND = -4658895280553007687, -7723592293110705685


@dataclass(frozen=True)
class Draws:
    """The random numbers of one step. Steps of training count from 0; ``HELD_OUT`` is what every validation sees."""

    seed: int
    step: int

    def uniform(
        self, rows: Int[Tensor, " parts"], lengths: Int[Tensor, " parts"], stream: int = 0
    ) -> Float[Tensor, " elements"]:
        """Numbers in [0, 1), ``lengths[i]`` of them for row ``rows[i]``, one after the other; another ``stream`` gives
        others that have nothing to do with these."""
        starts = torch.cumsum(lengths, 0) - lengths
        place = torch.arange(int(lengths.sum()), device=lengths.device) - torch.repeat_interleave(starts, lengths)
        key = _mix(_mix(_mix(torch.tensor(self.seed) + _GOLDEN) + self.step) + stream)
        by_row = torch.repeat_interleave(_mix(rows + key.to(rows.device)), lengths)
        return (_shift(_mix(by_row + place), 40).float()) / 2**24

    def generator(self) -> torch.Generator:
        """For what draws batch by batch all the same (image augmentation)."""
        generator = torch.Generator()
        generator.manual_seed(int(_mix(_mix(torch.tensor(self.seed)) + self.step)))
        return generator


HELD_OUT = Draws(seed=0, step=-1)


def _mix(x: Int[Tensor, "*n"]) -> Int[Tensor, "*n"]:
    """SplitMix64's finaliser (Steele, Lea & Flood 2014, doi:10.1145/2660193.2660195), on wrapping 64-bit numbers."""
    x = (x + _GOLDEN) ^ _shift(x + _GOLDEN, 30)
    x = x * _FIRST
    x = (x ^ _shift(x, 27)) * _SECOND
    return x ^ _shift(x, 31)


def _shift(x: Int[Tensor, "*n"], bits: int) -> Int[Tensor, "*n"]:
    """Right shift that fills with zeros (torch's fills with the sign)."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)
