"""A task that learns from a teacher as well: a wrapper around it, which is taken off when training is done."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn

from anlage.distillation.settings import DistillationSettings
from anlage.distillation.soft import soft_loss
from anlage.draws import Draws
from anlage.errors import Problem
from anlage.metrics.metric import Metric
from anlage.model import Model
from anlage.tasks.protocol import Fit, Task
from anlage.types import Batch, Encoded


@dataclass
class Lesson:
    """What the teacher says of the rows of a prepared table; NaN in the rows of which it says nothing."""

    values: Float[Tensor, "rows k"]
    """As the task decodes them."""
    vectors: Float[Tensor, "rows width"]
    """Its fused, pooled vectors; width 0 where they are not to be learned."""


class Beside(nn.Module):
    """A task's own head, and beside its output the pooled vector as the teacher would have it."""

    def __init__(self, plain: nn.Module, width: int, teacher_width: int):
        super().__init__()
        self.plain = plain
        self.project = nn.Linear(width, teacher_width)

    def forward(self, encoded: Encoded) -> Float[Tensor, "samples outputs"]:
        """[samples, k + teacher_width]"""
        return torch.cat((self.plain(encoded).float(), self.project(encoded.pooled).float()), 1)


class Distilled(Task):
    """``task``, fitted, with a teacher's ``lesson`` of the rows that it learns from.

    The target holds truth, the teacher's values and its vectors side by side. Of the mean loss over rows a label has
    the part 1 − ``teacher_weight`` where both are known; :mod:`anlage.distillation.soft` is the other part. The cosine
    distance between the student's projected vector and the teacher's is added, as in Sanh, Debut, Chaumond and Wolf,
    DistilBERT (2019), doi:10.48550/arXiv.1910.01108. All else is the task's own: metrics see the truth alone.
    """

    def __init__(self, task: Task, lesson: Lesson, settings: DistillationSettings):
        super().__init__(task.target, task.columns)
        self.name = task.name  # type: ignore[misc]
        self.task, self.lesson, self.settings = task, lesson, settings
        self.soft = soft_loss(task)

    def head(self, width: int) -> nn.Module:
        plain, wanted = self.task.head(width), self.lesson.vectors.shape[1]
        return Beside(plain, width, wanted) if wanted else plain

    def views(self, batch: Batch, draws: Draws) -> Iterator[tuple[Batch, Tensor]]:
        for view, truth in self.task.views(batch, draws):
            rows = view.rows.cpu()
            yield view, torch.cat((truth, self.lesson.values[rows], self.lesson.vectors[rows]), 1)

    def loss(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        k, width = self.lesson.values.shape[1], self.lesson.vectors.shape[1]
        truth, values, vectors = target.split((target.shape[1] - k - width, k, width), dim=1)
        raw, mine = self._raw(output), output[:, output.shape[1] - width :]
        taught = ~torch.isnan(values).any(1, keepdim=True)
        shared, _ = self.task.loss(raw, truth.masked_fill(~taught, torch.nan))
        alone, count = self.task.loss(raw, truth.masked_fill(taught, torch.nan))
        cells = self.soft(self.task, raw, values.nan_to_num(0.5), self.settings.temperature)
        weight = self.settings.teacher_weight
        part = torch.where(torch.isnan(truth), 1.0, weight) * taught
        total = (1 - weight) * shared + alone + (part * cells).sum()
        if width:
            apart = 1 - nn.functional.cosine_similarity(mine.float(), vectors.nan_to_num(1.0), dim=1)
            total = total + cells.shape[1] * (apart * taught[:, 0]).sum()
        return total, count + cells.shape[1] * taught.sum()

    def decode(self, output: Tensor) -> np.ndarray:
        return self.task.decode(self._raw(output))

    def _raw(self, output: Tensor) -> Tensor:
        return output[:, : output.shape[1] - self.lesson.vectors.shape[1]]

    @property
    def metrics(self) -> Mapping[str, Metric]:
        return self.task.metrics

    @classmethod
    def recognise(cls, frame: pd.DataFrame) -> Fit | None:
        return None

    def check(self, frame: pd.DataFrame) -> list[Problem]:
        return self.task.check(frame)

    def fit(self, frame: pd.DataFrame) -> Self:
        self.task.fit(frame)
        return self

    def encode(self, frame: pd.DataFrame) -> np.ndarray:
        return self.task.encode(frame)

    def to_columns(self, values: np.ndarray) -> dict[str, np.ndarray]:
        return self.task.to_columns(values)

    @property
    def state(self) -> dict[str, Any]:
        return self.task.state

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        self.task.state = state


def plain(model: Model) -> Model:
    """``model`` with the tasks' own heads alone, in place: as if there had been no teacher."""
    for name, head in model.heads.items():
        model.heads[name] = head.plain if isinstance(head, Beside) else head
    return model
