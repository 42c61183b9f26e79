"""How long and how fast: durations in words, the learning rate at a step, the optimiser's groups."""

import math
import re
from collections.abc import Mapping

import torch
from torch import nn

from anlage.errors import AnlageError


def seconds(text: str) -> float:
    """ "90s", "10m", "1.5h" or "2d" → seconds."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd]?)\s*", text)
    if not match:
        raise AnlageError(f"'{text}' is no duration: write 90s, 10m or 1.5h")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]


def rate(step: int, total: int, warmup: float) -> float:
    """Factor on the peak learning rate at ``step`` of ``total``: linear warm-up, then cosine to zero
    (Loshchilov & Hutter 2017)."""
    rising = max(1, round(warmup * total))
    if step < rising:
        return (step + 1) / rising
    progress = (step - rising) / max(1, total - rising)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def optimiser(
    model: nn.Module, learning_rate: float, weight_decay: float, factors: Mapping[str, float]
) -> torch.optim.AdamW:
    """AdamW over the parameters that train. It decays matrices only: not biases, norms or other vectors. ``factors``:
    a part of the learning rate for each parameter by name (1 where none is given), kept as "factor" in its group."""
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((factors.get(name, 1.0), parameter.ndim >= 2), []).append(parameter)
    described = [
        {"params": parameters, "weight_decay": weight_decay if matrices else 0.0, "factor": factor}
        for (factor, matrices), parameters in groups.items()
    ]
    return torch.optim.AdamW(described, lr=learning_rate, betas=(0.9, 0.98))
