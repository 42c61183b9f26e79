"""Multi-label classification: any number of labels can hold together."""

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
from anlage.metrics import multilabel as metrics
from anlage.metrics.metric import Metric
from anlage.tasks.labels import LARGEST_WEIGHT, RARE, as_labels, as_truths, in_order, is_missing, shortened
from anlage.tasks.protocol import Fit, Task

SEPARATORS = (";", "|")
MOST_LABELS = 5000


def _split(cell: str | None, separator: str) -> list[str]:
    """The labels of one cell, without spaces around them; an empty cell has none."""
    return [] if cell is None else [part for piece in cell.split(separator) if (part := piece.strip())]


@dataclass
class MultiLabel(Task):
    """Binary cross-entropy for each label. Labels are joined by ``;`` or ``|`` in one column, where an empty cell has
    none of them, or are several 0/1 columns, where an empty cell is unknown and counts nothing.

    Where a rare label weighs more in the loss, decoding takes the weight out of its probability again.
    """

    name: ClassVar[str] = "multilabel"
    labels: list[str] = field(default_factory=list, init=False)
    separator: str | None = field(default=None, init=False)
    weights: list[float] | None = field(default=None, init=False)
    """How much a positive of each label weighs (pos_weight); None = all 1."""
    empty: int = field(default=0, init=False)
    """Training rows without any label."""

    @classmethod
    def recognise(cls, frame: pd.DataFrame) -> Fit | None:
        if frame.shape[1] > 1:
            unreadable = [c for c in frame if (np.isnan(as_truths(frame[c])) & ~is_missing(frame[c])).any()]
            return None if unreadable else Fit(0.9, f"{frame.shape[1]} columns of yes and no")
        cells = [label for label in as_labels(frame.iloc[:, 0]) if label is not None]
        for separator in SEPARATORS:
            joined = sum(separator in cell for cell in cells)
            parts = Counter(part for cell in cells for part in _split(cell, separator))
            if not joined or len(parts) > MOST_LABELS or sum(parts.values()) < 1.5 * len(parts):
                continue
            if joined >= 0.01 * len(cells):
                where = f"{joined:,} of {len(cells):,} cells"
                return Fit(0.95, f"{len(parts):,} labels, joined by {separator!r} in {where}")
        return None

    def known(self, frame: pd.DataFrame) -> np.ndarray:
        if len(self.columns) == 1:  # an empty cell says: none of the labels
            return np.ones(len(frame), dtype=bool)
        return super().known(frame)

    def check(self, frame: pd.DataFrame) -> list[Problem]:
        problems = []
        if len(self.columns) == 1:
            known = set(self.labels)
            for id_, cell in zip(frame.index, as_labels(frame[self.columns[0]]), strict=True):
                unseen = [label for label in _split(cell, self.separator or ";") if known and label not in known]
                if unseen:
                    reason = f"labels {shortened(unseen)} were not among the training labels; left out"
                    problems.append(Problem(str(id_), self.columns[0], reason, fatal=False))
            return problems
        missing = {column: is_missing(frame[column]) for column in self.columns}
        ids = [str(i) for i in frame.index]
        for column in self.columns:
            for row in np.flatnonzero(np.isnan(as_truths(frame[column])) & ~missing[column]):
                reason = f"{str(frame[column].iloc[row])[:80]!r} is neither 0 nor 1; read as missing"
                problems.append(Problem(ids[row], column, reason, fatal=False))
        for row in np.flatnonzero(np.logical_and.reduce(list(missing.values()))):
            problems.append(Problem(ids[row], self.target, "no label", fatal=False))
        return problems

    def fit(self, frame: pd.DataFrame) -> Self:
        if len(self.columns) == 1:
            cells = as_labels(frame[self.columns[0]])
            held = [cell for cell in cells if cell is not None]
            self.separator = max(SEPARATORS, key=lambda s: sum(s in cell for cell in held))
            self.labels = in_order({label for cell in held for label in _split(cell, self.separator)})
            self.empty = len(cells) - len(held)
            if len(self.labels) > MOST_LABELS:
                raise AnlageError(
                    f"column {self.columns[0]}: {len(self.labels):,} labels, more than the {MOST_LABELS:,} that a "
                    "multi-label target can have; is it free text?"
                )
        else:
            self.labels, self.separator, self.empty = list(self.columns), None, 0
        truth = self.encode(frame)
        positive, negative = (truth == 1).sum(0), (truth == 0).sum(0)
        if not self.labels or not ((positive > 0) & (negative > 0)).any():
            raise AnlageError(
                f"target {self.target}: no label is both present and absent among the training rows, so there is "
                "nothing to tell apart"
            )
        ratio = negative / np.maximum(positive, 1)
        weights = np.where((ratio >= RARE) & (positive > 0), np.minimum(np.sqrt(ratio), LARGEST_WEIGHT), 1.0)
        self.weights = [float(w) for w in weights] if (weights != 1).any() else None
        return self

    def encode(self, frame: pd.DataFrame) -> np.ndarray:
        if len(self.columns) > 1:
            return np.stack([as_truths(frame[column]) for column in self.columns], axis=1).astype(np.float32)
        number = {label: i for i, label in enumerate(self.labels)}
        truth = np.zeros((len(frame), len(self.labels)), dtype=np.float32)
        for row, cell in enumerate(as_labels(frame[self.columns[0]])):
            for label in _split(cell, self.separator or ";"):
                if label in number:
                    truth[row, number[label]] = 1.0
        return truth

    def head(self, width: int) -> nn.Module:
        return PooledHead(width, len(self.labels))

    def loss(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        known = ~torch.isnan(target)
        weights = None if self.weights is None else output.new_tensor(self.weights, dtype=torch.float32)
        cells = nn.functional.binary_cross_entropy_with_logits(
            output.float(), target.nan_to_num(0.0).float(), pos_weight=weights, reduction="none"
        )
        return cells[known].sum(), known.sum()

    def decode(self, output: Tensor) -> np.ndarray:
        scores = output.detach().to("cpu", torch.float64)
        if self.weights is not None:
            scores = scores - scores.new_tensor(self.weights).log()
        return scores.sigmoid().numpy()

    def to_columns(self, values: np.ndarray) -> dict[str, np.ndarray]:
        separator = self.separator or ";"
        held = [separator.join(label for label, p in zip(self.labels, row, strict=True) if p >= 0.5) for row in values]
        columns = {self.target: np.array(held, dtype=object)}
        return columns | {f"{self.target}_probability_{label}": values[:, i] for i, label in enumerate(self.labels)}

    @property
    def metrics(self) -> Mapping[str, Metric]:
        chosen = [metrics.MACRO_AUROC, metrics.MACRO_AVERAGE_PRECISION, metrics.MICRO_F1, metrics.MACRO_F1]
        chosen += [metrics.LOG_LOSS, metrics.BRIER]
        return {metric.name: metric for metric in chosen}

    @property
    def state(self) -> dict[str, Any]:
        learned = ("labels", "separator", "weights", "empty")
        return {name: getattr(self, name) for name in learned}

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        self.labels = [str(label) for label in state["labels"]]
        self.separator = state["separator"]
        self.weights = None if state["weights"] is None else [float(w) for w in state["weights"]]
        self.empty = int(state["empty"])

    @property
    def notes(self) -> list[str]:
        notes = []
        if self.empty:
            notes.append(f"{self.target}: {self.empty:,} empty training cells are read as having none of the labels")
        if self.weights is not None:
            heavy = [f"{label} {w:.1f}" for label, w in zip(self.labels, self.weights, strict=True) if w != 1]
            notes.append(
                f"{self.target}: positives of labels that fewer than 1 row in 20 has weigh more in the loss "
                f"({shortened(heavy)}); probabilities are corrected for it"
            )
        return notes
