"""Classification: one of two or more labels that exclude one another."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from anlage.errors import AnlageError, Problem
from anlage.layers.heads import PooledHead
from anlage.metrics import classification as metrics
from anlage.metrics.metric import Metric
from anlage.tasks.labels import as_labels, as_numbers, in_order, is_missing, loss_weights, shortened
from anlage.tasks.protocol import Fit, Task

FEW = 20
"""Whole numbers with more distinct values than this are read as quantities, unless the user says otherwise."""
MANY = 50
"""Beyond this many classes, metrics that sort once for each class are left out."""
NAMED = 100
"""Beyond this many classes, a prediction shows the probability of the predicted label only."""


@dataclass
class Classification(Task):
    """Cross-entropy over the labels of the training rows. Two labels are a softmax of two, the positive one last.

    Where the loss is weighted for rare labels, decoding divides the weights out of the probabilities again (a model
    that minimises the weighted loss estimates weight × probability), so that they stay calibrated.
    """

    name: ClassVar[str] = "classification"
    labels: list[str] = field(default_factory=list, init=False)
    weights: list[float] | None = field(default=None, init=False)

    @classmethod
    def recognise(cls, frame: pd.DataFrame) -> Fit | None:
        if frame.shape[1] != 1:
            return None
        column = frame.iloc[:, 0]
        known = column[~is_missing(column)]
        labels = [label for label in as_labels(known) if label is not None]
        if not labels:
            return None
        distinct, rows = len(set(labels)), len(labels)
        numbers = as_numbers(known)
        if np.isnan(numbers).mean() > 0.5 or pd.api.types.is_bool_dtype(known):
            if distinct > 0.5 * rows and distinct > FEW:
                return Fit(0.2, f"text, but {distinct:,} distinct values in {rows:,} rows: hardly labels")
            return Fit(0.9, f"{distinct:,} distinct labels: {shortened(in_order(set(labels)), 4)}")
        numbers = numbers[~np.isnan(numbers)]
        if (numbers != np.round(numbers)).any():
            return None
        if distinct <= 2:
            return Fit(0.9, f"{distinct} distinct whole numbers: {shortened(in_order(set(labels)), 4)}")
        if distinct <= FEW and rows >= 3 * distinct:
            why = f"{distinct} distinct whole numbers, each in {rows / distinct:,.0f} rows on average"
            return Fit(0.8, f"{why} (--task {frame.columns[0]}=regression if they are quantities)")
        return None

    def check(self, frame: pd.DataFrame) -> list[Problem]:
        column, known = self.columns[0], set(self.labels)
        problems = []
        for id_, label in zip(frame.index, as_labels(frame[column]), strict=True):
            if label is None:
                problems.append(Problem(str(id_), column, "no label", fatal=False))
            elif known and label not in known:
                among = shortened(self.labels)
                reason = f"label {label[:80]!r} was not among the training labels ({among})"
                problems.append(Problem(str(id_), column, reason, fatal=False))
        return problems

    def fit(self, frame: pd.DataFrame) -> Self:
        counts = Counter(label for label in as_labels(frame[self.columns[0]]) if label is not None)
        if not counts:
            raise AnlageError(f"column {self.columns[0]}: no training row has a label")
        if len(counts) == 1:
            only = next(iter(counts))
            raise AnlageError(
                f"column {self.columns[0]}: all {counts[only]:,} training labels are {only[:80]!r}; at least two "
                "different labels are needed"
            )
        self.labels = in_order(set(counts))
        self.weights = loss_weights([counts[label] for label in self.labels])
        return self

    def encode(self, frame: pd.DataFrame) -> np.ndarray:
        number = {label: float(i) for i, label in enumerate(self.labels)}
        codes = [np.nan if label is None else number.get(label, np.nan) for label in as_labels(frame[self.columns[0]])]
        return np.array(codes, dtype=np.float32).reshape(-1, 1)

    def head(self, width: int) -> nn.Module:
        return PooledHead(width, len(self.labels))

    def loss(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        known = ~torch.isnan(target[:, 0])
        scores, classes = output[known].float(), target[known, 0].long()
        weights = None if self.weights is None else scores.new_tensor(self.weights)
        total = nn.functional.cross_entropy(scores, classes, weight=weights, reduction="sum")
        return total, known.sum()

    def decode(self, output: Tensor) -> np.ndarray:
        scores = output.detach().to("cpu", torch.float64)
        if self.weights is not None:
            scores = scores - scores.new_tensor(self.weights).log()
        return scores.softmax(dim=1).numpy()

    def to_columns(self, values: np.ndarray) -> dict[str, np.ndarray]:
        best = values.argmax(1)
        columns = {
            self.target: np.array(self.labels, dtype=object)[best],
            f"{self.target}_probability": values[np.arange(len(values)), best],
        }
        if len(self.labels) <= NAMED:
            columns |= {f"{self.target}_probability_{label}": values[:, i] for i, label in enumerate(self.labels)}
        return columns

    @property
    def metrics(self) -> Mapping[str, Metric]:
        if len(self.labels) == 2:
            chosen = [metrics.AUROC, metrics.ACCURACY, metrics.BALANCED_ACCURACY, metrics.MACRO_F1, metrics.MCC]
            chosen += [metrics.AVERAGE_PRECISION, metrics.LOG_LOSS, metrics.BRIER]
        else:
            chosen = [metrics.ACCURACY, metrics.BALANCED_ACCURACY, metrics.MACRO_F1, metrics.MCC]
            if len(self.labels) <= MANY:
                chosen += [metrics.AUROC, metrics.AVERAGE_PRECISION]
            chosen += [metrics.LOG_LOSS, metrics.BRIER]
        return {metric.name: metric for metric in chosen}

    @property
    def state(self) -> dict[str, Any]:
        return {"labels": list(self.labels), "weights": self.weights}

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        self.labels = [str(label) for label in state["labels"]]
        self.weights = None if state["weights"] is None else [float(w) for w in state["weights"]]

    @property
    def notes(self) -> list[str]:
        notes = []
        if len(self.labels) == 2:
            negative, positive = self.labels
            notes.append(f"{self.target}: {positive!r} is the positive label, {negative!r} the negative one")
        if self.weights is not None:
            named = [f"{label} {weight:.2f}" for label, weight in zip(self.labels, self.weights, strict=True)]
            notes.append(
                f"{self.target}: rare labels weigh more in the loss ({shortened(named)}), because the most frequent "
                "one is at least 20 times as frequent as the rarest; probabilities are corrected for it"
            )
        return notes
