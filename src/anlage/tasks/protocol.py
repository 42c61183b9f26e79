"""The protocol of a task: the target that it reads, its head, loss, decoding and metrics. One task = one short file.

A task is a module in ``tasks/`` that defines one subclass of :class:`Task`; it is found by its file name. A
self-supervised objective (:class:`anlage.tasks.objective.Objective`) is a task whose ``views`` make the target.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from torch import Tensor, nn

from anlage.draws import Draws
from anlage.errors import Problem
from anlage.metrics.metric import Metric
from anlage.types import Batch


@dataclass(frozen=True)
class Fit:
    """How well target columns fit a task (0 to 1), and why, in words for the user."""

    score: float
    evidence: str


@dataclass
class Task(ABC):
    """One target: ``target`` names it, ``columns`` are the table's columns that hold it (usually that one)."""

    name: ClassVar[str]
    coupled: ClassVar[bool] = False
    """True where the loss couples samples (Cox, contrastive): the loop then gathers outputs over ranks first."""

    target: str
    columns: list[str]

    @classmethod
    @abstractmethod
    def recognise(cls, frame: pd.DataFrame) -> Fit | None:
        """Do these target columns look like mine? None = no."""

    @abstractmethod
    def check(self, frame: pd.DataFrame) -> list[Problem]:
        """Name target values that cannot be read (they then count as missing). The frame's index is the row ids."""

    def known(self, frame: pd.DataFrame) -> np.ndarray:
        """[rows] whether a row says anything about this target. Needs no fit."""
        return frame[self.columns].notna().any(axis=1).to_numpy()

    @abstractmethod
    def fit(self, frame: pd.DataFrame) -> Self:
        """Learn label names, scaling and loss weights from TRAINING rows alone; returns self.
        Raises AnlageError where nothing can be learned (one class only, no labels)."""

    @abstractmethod
    def encode(self, frame: pd.DataFrame) -> np.ndarray:
        """[samples, outputs] float32 truth in the metrics' units, NaN = missing. Labels never seen in training are
        NaN as well, and ``check`` of a fitted task names them."""

    @abstractmethod
    def head(self, width: int) -> nn.Module:
        """A module from :class:`Encoded` (one pooled row for each sample) to the raw output."""

    def views(self, batch: Batch, draws: Draws) -> Iterator[tuple[Batch, Tensor]]:
        """The (batch, target) pairs to learn from. Supervised tasks: the batch as it is. What an objective hides or
        changes follows from ``draws``."""
        yield batch, batch.targets[self.target]

    @abstractmethod
    def loss(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """(sum of the losses, count): the loop divides by the count over all ranks and accumulation steps.
        ``target`` is [samples, outputs] as ``encode`` made it; missing values count nothing."""

    @abstractmethod
    def decode(self, output: Tensor) -> np.ndarray:
        """Raw output → [samples, k] float64 values that the metrics read: probabilities, or numbers in the target's
        own units."""

    @abstractmethod
    def to_columns(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """Values → named columns for a person (label, its probabilities, value). Names start with the target."""

    @property
    @abstractmethod
    def metrics(self) -> Mapping[str, Metric]:
        """The metrics that the field reports for this task; the first is the primary one (greater = better)."""

    @property
    @abstractmethod
    def state(self) -> dict[str, Any]:
        """What ``fit`` learned, as JSON-able values."""

    @state.setter
    @abstractmethod
    def state(self, state: dict[str, Any]) -> None: ...

    def to_json(self) -> dict[str, Any]:
        """Name, target and fitted state, for the bundle."""
        return {"task": self.name, "target": self.target, "columns": self.columns, "state": self.state}

    @property
    def notes(self) -> list[str]:
        """What fitting decided that the user should read (loss weights, scaling)."""
        return []
