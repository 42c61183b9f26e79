"""A model: an encoder for each input, their fusion, and a head for each target."""

import re
from collections.abc import Iterable
from typing import Self

import torch
from torch import Tensor, nn

from anlage.encoders.protocol import Encoder
from anlage.layers.fusion import Fusion
from anlage.tasks.protocol import Task
from anlage.types import Batch, Encoded, Vectors


class Model(nn.Module):
    """``encoders`` by input name → :class:`Fusion` → a head for each task. One input is the case n = 1."""

    def __init__(self, encoders: dict[str, Encoder], tasks: Iterable[Task]):
        super().__init__()
        tasks = list(tasks)
        self.inputs = list(encoders)
        self.targets = [task.target for task in tasks]
        self.encoders = nn.ModuleDict({_key(name, self.inputs): encoder for name, encoder in encoders.items()})
        self.fusion = Fusion({name: encoder.width for name, encoder in encoders.items()})
        self.heads = nn.ModuleDict({_key(task.target, self.targets): task.head(self.fusion.width) for task in tasks})
        self.resting: list[nn.Module] = []
        """Modules that an adaptation leaves alone: they stay in eval mode while the rest trains."""

    def encoder(self, name: str) -> nn.Module:
        """The encoder of the input called ``name``."""
        return self.encoders[_key(name, self.inputs)]

    def encode(self, batch: Batch) -> Encoded:
        """Each distinct part through its encoder once, then fused: pooled [samples, width]."""
        encoded = {}
        for name in self.inputs:
            encoder, layout = self.encoder(name), batch.parts[name]
            if isinstance(layout, Vectors):
                encoded[name] = (Encoded(pooled=layout.pooled), batch.index[name])
            elif len(layout):
                encoded[name] = (encoder(layout), batch.index[name])
            else:  # the whole batch lacks this input
                nothing = torch.zeros(0, int(encoder.width), device=batch.rows.device)  # type: ignore[arg-type]
                encoded[name] = (Encoded(pooled=nothing), batch.index[name])
        return self.fusion(encoded)

    def train(self, mode: bool = True) -> Self:
        """As torch's, but what rests keeps its running means and drops nothing."""
        super().train(mode)
        for module in self.resting:
            module.eval()
        return self

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Raw output of each target's head."""
        fused = self.encode(batch)
        fused.asked = batch.asked
        return {target: self.heads[_key(target, self.targets)](fused) for target in self.targets}


def _key(name: str, names: list[str]) -> str:
    """A module name for a column name: dots and blanks are not allowed there, and two names must not meet."""
    return f"{names.index(name)}_{re.sub(r'[^0-9A-Za-z_]', '_', name)}"
