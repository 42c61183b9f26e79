"""Contrastive learning: two variations of one sample are alike, those of others are not.

NT-Xent: SimCLR, Chen et al. 2020, arXiv:2002.05709. VICReg: Bardes et al. 2022, arXiv:2105.04906.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from anlage.draws import Draws
from anlage.errors import AnlageError
from anlage.metrics import objectives as metrics
from anlage.metrics.metric import Metric
from anlage.tasks.objective import Objective
from anlage.types import Batch, Columns, Encoded, Grid, Layout, Tokens

LIKENESS, SPREAD, DEPENDENCE = 25.0, 25.0, 1.0
"""Weights of VICReg's three terms (its section 4.2)."""


class Projection(nn.Module):
    """Linear → LayerNorm → ReLU → Linear on the pooled vector: what is alike need not be all that the encoder knows."""

    def __init__(self, width: int, outputs: int):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, width), nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, outputs))

    def forward(self, encoded: Encoded) -> Float[Tensor, "samples outputs"]:
        """The projection of each sample."""
        return self.layers(encoded.pooled)


@dataclass
class Contrastive(Objective):
    """Each sample stands twice in the view, varied as its modality knows how. The target is the row of each sample, so
    that a pair is two equal numbers. Measured is how near (cosine) the partner is among all others of the batch: its
    reciprocal rank, which tells more of few samples than how often it comes first."""

    name: ClassVar[str] = "contrastive"
    layouts: ClassVar[frozenset[str]] = frozenset({"Grid", "Tokens", "Columns"})
    coupled: ClassVar[bool] = True

    method: Literal["ntxent", "vicreg"] = "ntxent"
    """ntxent tells the partner from the other samples; vicreg needs no others, but spread and independent outputs."""
    temperature: float = 0.2
    """Of NT-Xent: the lower, the more the most similar strangers matter."""
    outputs: int = 64
    """Length of the projected vectors."""

    def __post_init__(self) -> None:
        for option in ("temperature", "outputs"):
            if getattr(self, option) <= 0:
                raise AnlageError(f"objective contrastive: {option}={getattr(self, option)}: give a number above 0")

    def head(self, width: int) -> nn.Module:
        return Projection(width, self.outputs)

    def views(self, batch: Batch, draws: Draws) -> Iterator[tuple[Batch, Tensor]]:
        """One view of 2n samples: the first variation of each, then the second."""
        layout, index, generator = batch.parts[self.input], batch.index[self.input], draws.generator()
        both = _joined(self.augment(layout, generator), self.augment(layout, generator))
        twice = torch.cat((index, torch.where(index < 0, index, index + len(layout))))
        rows = torch.cat((batch.rows, batch.rows))
        yield Batch(parts={self.input: both}, index={self.input: twice}, rows=rows), rows

    def loss(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Sum over the samples of the view, and their number."""
        count = torch.tensor(len(output), device=output.device)
        if self.method == "ntxent":
            return self.nt_xent(output, target)[0].sum(), count
        return self.vicreg(output, target) * count, count

    def nt_xent(self, output: Tensor, target: Tensor) -> tuple[Float[Tensor, " samples"], Int[Tensor, " samples"]]:
        """The loss of each sample, and the rank of its partner among all others (1 = nearest)."""
        unit = F.normalize(output, dim=1)
        alike = (unit @ unit.T / self.temperature).fill_diagonal_(-torch.inf)
        partner = self.partner(target)
        rank = 1 + (alike > alike.gather(1, partner[:, None])).sum(1)
        return F.cross_entropy(alike, partner, reduction="none"), rank

    def vicreg(self, output: Tensor, target: Tensor) -> Tensor:
        """Mean squared distance of partners, standard deviations below 1, and covariances of the outputs."""
        first = self.first(target)
        a, b = output[first], output[self.partner(target)[first]]
        loss = LIKENESS * F.mse_loss(a, b)
        for half in (a, b):
            centred = half - half.mean(0)
            variance = centred.square().sum(0) / max(1, len(half) - 1)
            covariance = centred.T @ centred / max(1, len(half) - 1)
            beside = covariance.square().sum() - covariance.diagonal().square().sum()
            loss = loss + SPREAD / 2 * F.relu(1 - torch.sqrt(variance + 1e-4)).mean()
            loss = loss + DEPENDENCE * beside / output.shape[1]
        return loss

    def measure(self, output: Tensor, target: Tensor, view: Batch) -> Float[np.ndarray, "samples k"]:
        """[samples, (NT-Xent, right ones, count, reciprocal ranks)]; the two variations of a sample together."""
        losses, rank = self.nt_xent(output.detach(), target)
        right = (rank == 1).double()
        columns = torch.stack((losses.double(), right, torch.ones_like(right), 1 / rank.double()), 1)
        return columns.unflatten(0, (2, -1)).sum(0).cpu().numpy()

    def partner(self, target: Tensor) -> Int[Tensor, " samples"]:
        """For each sample the other one of its row."""
        same = target[:, None] == target
        return same.fill_diagonal_(False).int().argmax(1)

    def first(self, target: Tensor) -> Int[Tensor, " pairs"]:
        """The first sample of each pair."""
        return (self.partner(target) > torch.arange(len(target), device=target.device)).nonzero().squeeze(1)

    @property
    def metrics(self) -> Mapping[str, Metric]:
        chosen = (metrics.RECIPROCAL_RANK, metrics.RETRIEVAL, metrics.CONTRASTIVE_LOSS)
        return {metric.name: metric for metric in chosen}


def _joined(a: Layout, b: Layout) -> Layout:
    """The parts of ``a``, then those of ``b``."""
    if isinstance(a, Grid) and isinstance(b, Grid):
        return Grid(torch.cat((a.pixels, b.pixels)))
    if isinstance(a, Columns) and isinstance(b, Columns):
        return Columns(torch.cat((a.numbers, b.numbers)), torch.cat((a.categories, b.categories)))
    assert isinstance(a, Tokens) and isinstance(b, Tokens)
    lengths = torch.cat((a.lengths, b.lengths))
    return Tokens(torch.cat((a.ids, b.ids)), lengths, torch.cat((a.spans, b.spans)))
