"""Partial: the last blocks learn, those below stay as they are."""

from collections.abc import Collection, Sequence

from torch import nn

from anlage.adaptation.protocol import PRETRAINED_RATE, Adapted, depths, rest
from anlage.adaptation.settings import AdaptationSettings


def adapt(
    encoder: nn.Module, blocks: Sequence[nn.Module], fresh: Collection[str], settings: AdaptationSettings
) -> Adapted:
    """The last ``settings.top_blocks`` blocks that hold a pretrained matrix learn, with the norms above them."""
    rest(encoder)
    adapted = Adapted()
    learning = set()
    for block, depth in zip(blocks, depths(encoder, blocks, fresh), strict=True):
        if depth < settings.top_blocks:
            learning |= set(block.parameters())
        else:
            adapted.resting.append(block)
    for name, parameter in encoder.named_parameters():
        parameter.requires_grad_(parameter in learning or name in fresh)
        if parameter in learning and name not in fresh:
            adapted.factors[name] = PRETRAINED_RATE
    return adapted
