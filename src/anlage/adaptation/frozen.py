"""Frozen: the encoder stays as it is, so that its vectors can be computed once and kept. Only what follows learns."""

from collections.abc import Collection, Sequence

from torch import nn

from anlage.adaptation.protocol import Adapted, rest
from anlage.adaptation.settings import AdaptationSettings


def adapt(
    encoder: nn.Module, blocks: Sequence[nn.Module], fresh: Collection[str], settings: AdaptationSettings
) -> Adapted:
    """Nothing learns, fresh pooling neither: vectors that are computed once cannot follow a pooling that changes."""
    rest(encoder)
    return Adapted(resting=[encoder])
