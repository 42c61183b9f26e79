"""The protocol of an adaptation: one function that prepares a pretrained encoder for training, in place.

An adaptation is a module in ``adaptation/`` that defines ``adapt``; it is found by its file name. It knows modules and
blocks, never what they read: every encoder can be adapted in every way, from outside.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from torch import nn

from anlage.adaptation.settings import AdaptationSettings
from anlage.errors import AnlageError

PRETRAINED_RATE = 0.3
"""Where pretrained weights themselves learn, the peak of their learning rate as a part of that of fresh weights (1e-3
unless set). Large steps undo what was learned before; published recipes for adapting a whole encoder lie between 1e-5
(hundreds of millions of weights) and 5e-4 (some millions), and layer-wise decay takes the lower blocks down further.
LoRA's matrices are fresh, start without effect and take the full rate: ten or so times the rate of full adaptation is
common (Hu 2021, doi:10.48550/arXiv.2106.09685, appendix D)."""


@dataclass
class Adapted:
    """How an adapted encoder is to be trained. Parameters that do not learn have ``requires_grad`` False."""

    factors: dict[str, float] = field(default_factory=dict)
    """A part of the learning rate by the parameter's name in the encoder; 1 where none is given."""
    resting: list[nn.Module] = field(default_factory=list)
    """Modules that stay in eval mode while the rest trains: they drop nothing, and their running means stand still."""


Adapt = Callable[[nn.Module, Sequence[nn.Module], Collection[str], AdaptationSettings], Adapted]
"""``adapt(encoder, blocks, fresh, settings)``: ``blocks`` are the encoder's layers from input to output; ``fresh``
names parameters and buffers that were not trained before (a pooling that the checkpoint lacked), which learn as fresh
weights do. Raises :class:`Unsuitable` where this encoder cannot be adapted so."""


class Unsuitable(AnlageError):
    """This adaptation finds nothing to work on in this encoder."""


def depths(encoder: nn.Module, blocks: Sequence[nn.Module], fresh: Collection[str]) -> list[int]:
    """For each block, how many blocks that hold a pretrained matrix lie above it. So a norm goes with the layer below
    it, and a fresh pooling counts for nothing."""
    names = {parameter: name for name, parameter in encoder.named_parameters()}
    result, above = [], 0
    for block in reversed(blocks):
        result.append(above)
        above += any(p.ndim >= 2 and names[p] not in fresh for p in block.parameters())
    return result[::-1]


def rest(module: nn.Module) -> None:
    """No parameter of ``module`` learns."""
    for parameter in module.parameters():
        parameter.requires_grad_(False)
