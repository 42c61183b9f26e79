"""From a model and a prepared table to the values that the metrics read."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from anlage.draws import HELD_OUT
from anlage.tasks.objective import Objective
from anlage.tasks.protocol import Task
from anlage.training.batches import PreparedTable, in_order_of_size
from anlage.types import Batch


@torch.inference_mode()
def predict(
    model: nn.Module,
    tasks: Sequence[Task],
    table: PreparedTable,
    rows: np.ndarray,
    tokens: int = 32768,
    samples: int = 512,
) -> dict[str, np.ndarray]:
    """Values of each target, [len(rows), k] float64, in the order of ``rows``. The model is left in eval mode.
    Where memory runs out the batches are halved."""
    try:
        return _predict(model, tasks, table, rows, tokens, samples)
    except RuntimeError as error:
        if not out_of_memory(error) or samples == 1:
            raise
    return predict(model, tasks, table, rows, tokens // 2, samples // 2)


def out_of_memory(error: RuntimeError) -> bool:
    """Did memory run out, on a GPU or a CPU?"""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _predict(
    model: nn.Module, tasks: Sequence[Task], table: PreparedTable, rows: np.ndarray, tokens: int, samples: int
) -> dict[str, np.ndarray]:
    model.eval()
    device = next(model.parameters()).device
    sizes = table.sizes()
    pieces: dict[str, list[np.ndarray]] = {task.target: [] for task in tasks}
    order = []
    for batch_rows in in_order_of_size(np.arange(len(rows)), sizes[rows], tokens, samples):
        batch = table.batch(rows[batch_rows])
        outputs = model(batch.to(device)) if any(not isinstance(task, Objective) for task in tasks) else {}
        for task in tasks:
            if isinstance(task, Objective):
                pieces[task.target].append(_measured(model, task, batch, device))
            else:
                pieces[task.target].append(task.decode(outputs[task.target].float()))
        order.append(batch_rows)
    if not order:
        return {task.target: np.zeros((0, 0)) for task in tasks}
    back = np.argsort(np.concatenate(order), kind="stable")
    return {target: np.concatenate(values)[back] for target, values in pieces.items()}


def _measured(model: nn.Module, objective: Objective, batch: Batch, device: torch.device) -> np.ndarray:
    """[samples, k] what an objective measures, on the views that every held-out measurement draws."""
    views = objective.views(batch, HELD_OUT)
    found = [objective.measure(model(v.to(device))[objective.target].float(), t.to(device), v) for v, t in views]
    return np.sum(found, axis=0)
