"""LoRA: beside each weight matrix, which stays as it is, two small ones learn what must be added to it.

Hu 2021, doi:10.48550/arXiv.2106.09685: y = W x + B A x · alpha / rank, A random, B zero at first. A convolution gets
one to ``rank`` channels and one of a single place back (as in LoCon, Yeh 2023, doi:10.48550/arXiv.2309.14859).
"""

from collections.abc import Collection, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from anlage.adaptation.protocol import Adapted, Unsuitable, rest
from anlage.adaptation.settings import AdaptationSettings

ALPHA = 16.0
"""Kept while the rank changes, so that the learning rate need not (Hu 2021, section 4.1); 2 x the usual rank of 8."""
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


class LowRank(nn.Module):
    """A linear or convolutional layer with two small matrices beside it."""

    def __init__(self, base: nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d, rank: int):
        super().__init__()
        self.base, self.scale = base, ALPHA / rank
        rest(base)
        if isinstance(base, nn.Linear):
            self.down: nn.Module = nn.Linear(base.in_features, rank, bias=False)
            self.up: nn.Module = nn.Linear(rank, base.out_features, bias=False)
        else:
            kind: Any = type(base)
            self.down = kind(base.in_channels, rank, base.kernel_size, base.stride, base.padding, base.dilation,
                             bias=False, padding_mode=base.padding_mode)  # fmt: skip
            self.up = kind(rank, base.out_channels, 1, bias=False)
        nn.init.zeros_(self.up.weight)  # type: ignore[arg-type]  # torch's own start of ``down`` is Kaiming's
        self.to(base.weight.device)

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return self.base(x) + self.up(self.down(x)) * self.scale

    @property
    def weight(self) -> Tensor:
        """The weight of the one layer that computes the same. Encoders that read a layer's weight see this."""
        down, up = self.down.weight, self.up.weight.flatten(1)  # type: ignore[operator]
        return self.base.weight + self.scale * torch.einsum("or,r...->o...", up, down)

    @property
    def bias(self) -> Tensor | None:
        """The layer's bias."""
        return self.base.bias


def adapt(
    encoder: nn.Module, blocks: Sequence[nn.Module], fresh: Collection[str], settings: AdaptationSettings
) -> Adapted:
    """Wrap every pretrained linear and convolutional layer; norms and embeddings stay as they are, as do grouped
    convolutions (each channel has a filter of its own there, which no small matrix can stand beside)."""
    found = [(parent, name, layer) for parent, name, layer in _layers(encoder, fresh) if _suits(layer)]
    recurrent = any(isinstance(module, nn.RNNBase) for module in encoder.modules())
    if recurrent or not found:
        why = "its layers are recurrent" if recurrent else "it has no linear or convolutional layer"
        raise Unsuitable(f"LoRA finds nothing to put small matrices beside ({why}): use partial or full")
    for name, parameter in encoder.named_parameters():
        parameter.requires_grad_(name in fresh)
    for parent, name, layer in found:
        setattr(parent, name, LowRank(layer, settings.rank))  # type: ignore[arg-type]
    return Adapted(resting=_running(encoder, fresh))


@torch.no_grad()
def merge(model: nn.Module) -> None:
    """Fold what was learned into plain weights and take the wrappers away: the model is then as it was built."""
    wrapped = [(parent, name, child) for parent in list(model.modules()) for name, child in parent.named_children()
               if isinstance(child, LowRank)]  # fmt: skip
    for parent, name, child in wrapped:
        child.base.weight.copy_(child.weight)
        setattr(parent, name, child.base)


def _layers(encoder: nn.Module, fresh: Collection[str]) -> list[tuple[nn.Module, str, nn.Module]]:
    """(parent, name in it, layer) of all pretrained layers."""
    return [
        (parent, name, layer)
        for path, parent in encoder.named_modules()
        for name, layer in parent.named_children()
        if _named(_named(path, name), "weight") not in fresh
    ]


def _suits(layer: nn.Module) -> bool:
    """Exactly these classes: a subclass may compute something else."""
    return type(layer) is nn.Linear or (type(layer) in CONVOLUTIONS and layer.groups == 1)  # type: ignore[return-value]


def _running(encoder: nn.Module, fresh: Collection[str]) -> list[nn.Module]:
    """The modules with pretrained buffers that are kept in bundles: training would move them (running means)."""
    kept = encoder.state_dict().keys() - fresh
    return [module for path, module in encoder.named_modules()
            if any(_named(path, name) in kept for name, _ in module.named_buffers(recurse=False))]  # fmt: skip


def _named(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
