"""Objectives: self-supervised tasks. They make their own target, and are measured by sums over what they predicted."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from anlage.errors import Problem
from anlage.shapes import Shape, shape_from_json, shape_to_json
from anlage.tasks.protocol import Fit, Task
from anlage.types import Batch, Layout


class Objective(Task):
    """A task on one input that needs no labels; ``columns`` names that input.

    ``views`` hides or changes something, the head tells what it was, and ``measure`` gives for each SAMPLE sums (of
    losses, of hits) and their count: metrics divide the sums, so that a bootstrap over samples is right whatever their
    lengths.
    """

    layouts: frozenset[str]
    """Names of the layouts that it can work on."""

    def bind(self, shape: Shape, augment: Callable[[Layout, torch.Generator], Layout]) -> Self:
        """Say what the input looks like, and how its modality varies it; returns self. Before anything else."""
        self.shape, self.augment = shape, augment
        return self

    @abstractmethod
    def measure(self, output: Tensor, target: Tensor, view: Batch) -> Float[np.ndarray, "samples k"]:
        """What ``metrics`` read: sums and counts for each sample of the batch, float64."""

    @property
    def input(self) -> str:
        """The input that it works on."""
        return self.columns[0]

    def row_of_part(self, batch: Batch) -> Int[Tensor, " parts"]:
        """The row that each part of the input belongs to (the lowest of several)."""
        index = batch.index[self.input]
        known = index >= 0
        unset = batch.rows.new_full((len(batch.parts[self.input]),), torch.iinfo(torch.int64).max)
        return unset.scatter_reduce(0, index[known], batch.rows[known], "amin")

    # What a task reads from target columns, which an objective has none of

    @classmethod
    def recognise(cls, frame: pd.DataFrame) -> Fit | None:
        return None

    def check(self, frame: pd.DataFrame) -> list[Problem]:
        return []

    def fit(self, frame: pd.DataFrame) -> Self:
        return self

    def encode(self, frame: pd.DataFrame) -> np.ndarray:
        return np.zeros((len(frame), 1), dtype=np.float32)

    def decode(self, output: Tensor) -> np.ndarray:
        raise TypeError(f"{self.name} has no predictions: it is measured, not decoded")

    def to_columns(self, values: np.ndarray) -> dict[str, np.ndarray]:
        raise TypeError(f"{self.name} has no predictions: it is measured, not decoded")

    @property
    def state(self) -> dict[str, Any]:
        return {"shape": shape_to_json(self.shape)}

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        self.shape = shape_from_json(state["shape"])
