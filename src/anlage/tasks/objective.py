"""Objectives: self-supervised tasks. They make their own target, and are measured by sums over what they predicted."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import fields
from typing import Any, ClassVar, Self, get_type_hints

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

    layouts: ClassVar[frozenset[str]]
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

    @classmethod
    def options(cls) -> dict[str, Any]:
        """The settings of this objective (its own dataclass fields) and their types."""
        hints = get_type_hints(cls)
        return {f.name: hints[f.name] for f in fields(cls) if f.name not in {g.name for g in fields(Task)}}

    @property
    def state(self) -> dict[str, Any]:
        options = {name: getattr(self, name) for name in self.options()}
        return {"shape": shape_to_json(self.shape), "options": options}

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        self.shape = shape_from_json(state["shape"])
        for name in self.options().keys() & state["options"].keys():
            setattr(self, name, state["options"][name])
