"""Regression: one or several numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from anlage.errors import AnlageError, Problem
from anlage.layers.heads import PooledHead
from anlage.metrics import regression as metrics
from anlage.metrics.metric import Metric
from anlage.tasks.labels import as_numbers, is_missing, shortened
from anlage.tasks.protocol import Fit, Task


@dataclass
class Regression(Task):
    """Squared error on targets that are standardised by the mean and deviation of the training rows."""

    name: ClassVar[str] = "regression"
    mean: list[float] = field(default_factory=list, init=False)
    scale: list[float] = field(default_factory=list, init=False)

    @classmethod
    def recognise(cls, frame: pd.DataFrame) -> Fit | None:
        seen = []
        for column in frame:
            missing = is_missing(frame[column])
            numbers = as_numbers(frame[column])
            if missing.all() or pd.api.types.is_bool_dtype(frame[column]):
                return None
            if np.isnan(numbers[~missing]).mean() > 0.1:
                return None
            seen.append(numbers[~np.isnan(numbers)])
        distinct = len(np.unique(np.concatenate(seen)))
        if frame.shape[1] > 1:
            return Fit(0.7, f"{frame.shape[1]} columns of numbers")
        if (seen[0] == np.round(seen[0])).all():
            hint = f"--task {frame.columns[0]}=classification if they are labels"
            return Fit(0.5, f"{distinct:,} distinct whole numbers in {len(seen[0]):,} rows ({hint})")
        return Fit(0.9, f"{distinct:,} distinct numbers in {len(seen[0]):,} rows")

    def check(self, frame: pd.DataFrame) -> list[Problem]:
        problems, missing = [], {column: is_missing(frame[column]) for column in self.columns}
        ids = [str(i) for i in frame.index]
        for column in self.columns:
            for row in np.flatnonzero(np.isnan(as_numbers(frame[column])) & ~missing[column]):
                reason = f"{str(frame[column].iloc[row])[:80]!r} is no finite number; read as missing"
                problems.append(Problem(ids[row], column, reason, fatal=False))
        for row in np.flatnonzero(np.logical_and.reduce(list(missing.values()))):
            problems.append(Problem(ids[row], self.target, "no value", fatal=False))
        return problems

    def fit(self, frame: pd.DataFrame) -> Self:
        self.mean, self.scale = [], []
        for column in self.columns:
            numbers = as_numbers(frame[column])
            numbers = numbers[~np.isnan(numbers)]
            if not len(numbers):
                hint = f"for labels say --task {self.target}=classification"
                raise AnlageError(f"column {column}: no training row has a number ({hint})")
            if (numbers == numbers[0]).all():
                raise AnlageError(f"column {column}: all {len(numbers):,} training values are {numbers[0]:g}")
            self.mean.append(float(numbers.mean()))
            self.scale.append(float(numbers.std()))
        return self

    def encode(self, frame: pd.DataFrame) -> np.ndarray:
        return np.stack([as_numbers(frame[column]) for column in self.columns], axis=1).astype(np.float32)

    def head(self, width: int) -> nn.Module:
        return PooledHead(width, len(self.columns))

    def loss(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        known = ~torch.isnan(target)
        mean, scale = (target.new_tensor(v, dtype=torch.float64) for v in (self.mean, self.scale))
        standard = ((target.double() - mean) / scale).nan_to_num(0.0).float()
        return ((output.float() - standard) ** 2)[known].sum(), known.sum()

    def decode(self, output: Tensor) -> np.ndarray:
        return output.detach().to("cpu", torch.float64).numpy() * np.array(self.scale) + np.array(self.mean)

    def to_columns(self, values: np.ndarray) -> dict[str, np.ndarray]:
        if len(self.columns) == 1:
            return {self.target: values[:, 0]}
        return {f"{self.target}_{column}": values[:, i] for i, column in enumerate(self.columns)}

    @property
    def metrics(self) -> Mapping[str, Metric]:
        chosen = [metrics.SPEARMAN, metrics.PEARSON, metrics.R2, metrics.RMSE, metrics.MAE]
        return {metric.name: metric for metric in chosen}

    @property
    def state(self) -> dict[str, Any]:
        return {"mean": list(self.mean), "scale": list(self.scale)}

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        self.mean, self.scale = ([float(v) for v in state[key]] for key in ("mean", "scale"))

    @property
    def notes(self) -> list[str]:
        named = [f"{c} {m:.4g} ± {s:.4g}" for c, m, s in zip(self.columns, self.mean, self.scale, strict=True)]
        return [f"{self.target}: standardised by the training rows ({shortened(named)})"] if named else []
