"""The plain baselines of each objective, measured on the very views on which the model is."""

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from anlage.evaluation.baselines import Baseline
from anlage.evaluation.token_baselines import Bigram, Counts, Unigram
from anlage.parts import Parts
from anlage.tasks.contrastive import Contrastive
from anlage.tasks.denoising import Denoising
from anlage.tasks.masked_patches import MaskedPatches
from anlage.tasks.objective import Objective
from anlage.tasks.token_objective import TokenObjective
from anlage.training.batches import PreparedTable
from anlage.training.predict import predict
from anlage.types import Batch, Columns, Grid, Tokens

CHUNK = 1024
"""Parts that are averaged at a time."""


class Plain(nn.Module):
    """A function from a view to the output of a head, as a model."""

    def __init__(self, target: str, answer: Callable[[Batch], Tensor]):
        super().__init__()
        self.target, self.answer = target, answer
        self.nothing = nn.Parameter(torch.zeros(0), requires_grad=False)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The answer for each sample of the view."""
        return {self.target: self.answer(batch)}


def objective_baselines(
    objective: Objective, table: PreparedTable, train: np.ndarray, judged: np.ndarray
) -> list[Baseline]:
    """The baselines of an objective, learned from the rows ``train`` alone, with what ``measure`` gives for each of the
    rows ``judged``."""
    prepared = table.inputs[objective.input]
    found = []
    started = time.monotonic()
    for name, model, note in _models(objective, prepared.parts, prepared.index[train]):
        values = predict(model, [objective], table, judged)[objective.target]
        found.append(Baseline(name, values, seconds=time.monotonic() - started, note=note))
        started = time.monotonic()
    return found


def _models(objective: Objective, parts: Parts, train: np.ndarray) -> list[tuple[str, nn.Module, str]]:
    """Name, model, and what it does, in words."""
    if isinstance(objective, TokenObjective):
        counts = Counts(parts, train, objective.tokens_shape.vocabulary)
        return [
            ("unigram", Unigram(objective, counts), "how common each token is in the training rows"),
            ("bigram", Bigram(objective, counts), "how common each token is after the one that is shown to its left"),
        ]
    if isinstance(objective, MaskedPatches):
        image = _mean_image(parts, train)
        return [
            ("mean pixel", Plain(objective.target, lambda view: torch.zeros(len(view), *image.shape)),
             "0, the mean of all training pixels"),
            ("mean image", Plain(objective.target, lambda view: image.expand(len(view), *image.shape)),
             "the mean of the training images at each pixel"),
        ]  # fmt: skip
    if isinstance(objective, Denoising):
        cells = _common_cells(objective, parts, train)
        note = "the mean of each number, the training frequencies of each category"
        return [("training mean", Plain(objective.target, lambda view: cells.expand(len(view), -1)), note)]
    if isinstance(objective, Contrastive):
        name = objective.input
        note = "the nearest by the values as they are, without an encoder"
        return [("raw values", Plain(objective.target, lambda view: _raw(view, name)), note)]
    raise TypeError(f"the objective {objective.name} has no baselines")


def _mean_image(parts: Parts, train: np.ndarray) -> Tensor:
    total: Tensor | None = None
    for start in range(0, len(train), CHUNK):
        layout = parts.take(train[start : start + CHUNK])
        assert isinstance(layout, Grid)
        summed = layout.pixels.double().sum(0)
        total = summed if total is None else total + summed
    assert total is not None
    return (total / len(train)).float()


def _common_cells(objective: Denoising, parts: Parts, train: np.ndarray) -> Tensor:
    """Means of the numbers, and log frequencies of the categories' codes (one of each added)."""
    layout = parts.take(train)
    assert isinstance(layout, Columns)
    pieces = [layout.numbers.nanmean(0).nan_to_num(0.0)]
    for codes, size in zip(layout.categories.T, objective.columns_shape.categories, strict=True):
        counts = torch.bincount(codes[codes > 0], minlength=size).float() + 1
        counts[0] = 1e-6  # stands for missing cells, which are never asked for
        pieces.append((counts / counts.sum()).log())
    return torch.cat(pieces)


def _raw(view: Batch, name: str) -> Tensor:
    """[samples, numbers] the parts themselves: pixels, cells, or how often each token occurs."""
    layout = view.parts[name]
    if isinstance(layout, Grid):
        values = layout.pixels.flatten(1)
    elif isinstance(layout, Columns):
        values = torch.cat((layout.numbers.nan_to_num(0.0), layout.categories.float()), 1)
    else:
        assert isinstance(layout, Tokens)
        part = torch.repeat_interleave(layout.lengths)
        size = int(layout.ids.max()) + 1
        values = torch.bincount(part * size + layout.ids, minlength=len(layout) * size).view(-1, size).float()
    return values[view.index[name]]
