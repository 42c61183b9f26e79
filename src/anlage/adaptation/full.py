"""Full: every weight learns, the lower the more slowly."""

from collections.abc import Collection, Sequence

from torch import nn

from anlage.adaptation.protocol import PRETRAINED_RATE, Adapted, depths
from anlage.adaptation.settings import AdaptationSettings


def adapt(
    encoder: nn.Module, blocks: Sequence[nn.Module], fresh: Collection[str], settings: AdaptationSettings
) -> Adapted:
    """Learning rates that fall by ``settings.layer_decay`` from each block to the one below it: what lies near the
    input holds for most targets (Howard & Ruder 2018, ULMFiT, doi:10.18653/v1/P18-1031; with a constant ratio as in
    BEiT, Bao 2021, doi:10.48550/arXiv.2106.08254)."""
    factor: dict[nn.Parameter, float] = {}
    for block, depth in zip(blocks, depths(encoder, blocks, fresh), strict=True):
        factor |= dict.fromkeys(block.parameters(), PRETRAINED_RATE * settings.layer_decay**depth)
    named = encoder.named_parameters()
    return Adapted(factors={name: factor[p] for name, p in named if p in factor and name not in fresh})
