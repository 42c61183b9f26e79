"""Losses against a teacher's values, one for each task: what the student's raw output lacks to predict the same.

Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network (2015), doi:10.48550/arXiv.1503.02531: cross
entropy against probabilities that a temperature T has softened, times T² so that its gradient keeps its size. Taken off
is the teacher's own entropy, which has no gradient: the loss is zero where both predict the same.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from anlage.errors import AnlageError
from anlage.tasks.protocol import Task

SoftLoss = Callable[[Task, Tensor, Tensor, float], Tensor]
LEAST = 1e-6
"""Probabilities are kept this far from 0 and 1, where their logarithms have no bounds."""


def soft_loss(task: Task) -> SoftLoss:
    """(task, output [samples, k], values [samples, k] as ``task.decode`` gives them, temperature) → a loss for each
    cell of the truth, [samples, cells]. AnlageError where the task cannot be taught."""
    if task.name not in SOFT or task.coupled:
        raise AnlageError(f"target {task.target}: {task.name} cannot be learned from a teacher; possible are "
                          f"{', '.join(SOFT)}")  # fmt: skip
    return SOFT[task.name]


def _scores(task: Task, output: Tensor) -> Tensor:
    """Scores whose probabilities are those that the task decodes: without the weights of its loss."""
    weights: list[float] | None = getattr(task, "weights", None)
    scores = output.float()
    return scores if weights is None else scores - scores.new_tensor(weights).log()


def _classification(
    task: Task, output: Float[Tensor, "samples labels"], values: Float[Tensor, "samples labels"], temperature: float
) -> Float[Tensor, "samples 1"]:
    mine = (_scores(task, output) / temperature).log_softmax(1)
    teacher = (values.float().clamp(min=LEAST).log() / temperature).log_softmax(1)
    return temperature**2 * (teacher.exp() * (teacher - mine)).sum(1, keepdim=True)


def _multilabel(
    task: Task, output: Float[Tensor, "samples labels"], values: Float[Tensor, "samples labels"], temperature: float
) -> Float[Tensor, "samples labels"]:
    wanted = (values.float().logit(LEAST) / temperature).sigmoid()
    cross = nn.functional.binary_cross_entropy_with_logits(
        _scores(task, output) / temperature, wanted, reduction="none"
    )
    entropy = nn.functional.binary_cross_entropy(wanted, wanted, reduction="none")
    return temperature**2 * (cross - entropy)


def _regression(
    task: Task, output: Float[Tensor, "samples columns"], values: Float[Tensor, "samples columns"], temperature: float
) -> Float[Tensor, "samples columns"]:
    """Squared error in units of the training rows' deviation: numbers have no temperature."""
    mean, scale = (torch.tensor(getattr(task, name), device=values.device) for name in ("mean", "scale"))
    return (output.float() - (values.float() - mean) / scale) ** 2


SOFT: dict[str, SoftLoss] = {
    "classification": _classification,
    "multilabel": _multilabel,
    "regression": _regression,
}
