"""Predictions and the vectors that they were made from, in one pass through the model."""

from collections.abc import Sequence
from typing import cast

import numpy as np
from jaxtyping import Float
from torch import Tensor, nn

from anlage.model import Model
from anlage.tasks.protocol import Task
from anlage.training.batches import PreparedTable
from anlage.training.predict import predict
from anlage.types import Batch, Encoded

_VECTORS = "\x00vectors"
"""Under this name the vectors travel beside the targets: no column of a table is called so."""


def predict_pooled(
    model: Model, tasks: Sequence[Task], table: PreparedTable, rows: np.ndarray
) -> tuple[dict[str, Float[np.ndarray, "rows k"]], Float[np.ndarray, "rows width"]]:
    """As :func:`predict`, and beside it the fused vector of each row that the heads read, float32, in the order of
    ``rows``."""
    both = cast(Sequence[Task], [*tasks, _Vectors()])
    values = predict(_WithVectors(model), both, table, rows)
    vectors = values.pop(_VECTORS)
    return values, vectors if len(rows) else np.zeros((0, model.fusion.width), dtype=np.float32)


class _Vectors:
    """Stands where a task does: what it decodes is the vectors."""

    target = _VECTORS

    def decode(self, output: Tensor) -> np.ndarray:
        return output.cpu().numpy()


class _WithVectors(nn.Module):
    """A model that gives the vectors that its heads read, beside what they say."""

    def __init__(self, model: Model):
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        fused: list[Tensor] = []

        def keep(module: nn.Module, given: object, encoded: Encoded) -> None:
            fused.append(encoded.pooled)

        hook = self.model.fusion.register_forward_hook(keep)
        try:
            outputs: dict[str, Tensor] = self.model(batch)
        finally:
            hook.remove()
        return {**outputs, _VECTORS: fused[0]}
