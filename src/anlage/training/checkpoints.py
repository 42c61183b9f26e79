"""One file holds everything that training needs to go on: atomic to write, no pickle to read."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from anlage.errors import AnlageError
from anlage.training.devices import cut_like


@dataclass
class Progress:
    """Where training stands. Stored with the weights, so that a resumed run repeats an undisturbed one."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    """Batches of this epoch that are done."""
    total_steps: int = 0
    """Where the schedule ends; lowered once when a time budget has been measured."""
    measured: bool = False
    """Whether the time budget has been turned into total_steps."""
    splits: int = 1
    """Pieces into which each batch is cut (doubled when memory ran out)."""
    rate: float = 1.0
    """Factor on the learning rate (halved when a loss was not a number)."""
    best: float = float("-inf")
    best_step: int = 0
    waited: int = 0
    """Validations since the best one."""
    seconds: float = 0.0
    loss_sum: float = 0.0
    loss_count: int = 0
    finished: bool = False
    history: list[dict[str, Any]] = field(default_factory=list)


def save(
    path: Path,
    progress: Progress,
    fingerprint: str,
    weights: dict[str, dict[str, Tensor]],
    optimizer: dict[str, Tensor],
) -> None:
    """Write all of it to ``path`` in one atomic step: a killed process leaves the old file or the new one.

    ``weights`` has a state dict for each of "model", "best" and, where weights are averaged, "average".
    """
    tensors = {f"{kind}/{name}": t for kind, state in weights.items() for name, t in state.items()}
    tensors |= {f"optimizer/{name}": t for name, t in optimizer.items()}
    tensors = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".partial")
    save_file(tensors, temporary, metadata={"progress": json.dumps(asdict(progress)), "fingerprint": fingerprint})
    with open(temporary, "rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)


def load(path: Path, fingerprint: str) -> tuple[Progress, dict[str, dict[str, Tensor]], dict[str, Tensor]]:
    """The inverse of :func:`save`. AnlageError where the file is broken or belongs to other data or settings."""
    tensors: dict[str, dict[str, Tensor]] = {}
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            for name in file.keys():  # noqa: SIM118 (not a dict)
                kind, _, rest = name.partition("/")
                tensors.setdefault(kind, {})[rest] = file.get_tensor(name)
        progress = Progress(**json.loads(metadata["progress"]))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise AnlageError(f"{path}: not a readable checkpoint ({error}); start again without --resume") from error
    if metadata.get("fingerprint") != fingerprint:
        raise AnlageError(f"{path}: belongs to other data, splits or settings; choose another --out or start again")
    optimizer = tensors.pop("optimizer", {})
    return progress, tensors, optimizer


def optimizer_state(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's tensors, named by parameter: ``<parameter>:<entry>``."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    return {
        f"{names[parameter]}:{entry}": value
        for parameter, state in optimizer.state.items()
        for entry, value in state.items()
    }


def restore_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer, saved: dict[str, Tensor]) -> None:
    """The inverse of :func:`optimizer_state`."""
    parameters = dict(model.named_parameters())
    for key, value in saved.items():
        name, _, entry = key.rpartition(":")
        parameter = parameters[name]
        on = value if entry == "step" else cut_like({name: value.to(parameter.device)}, parameters)[name]
        optimizer.state[parameter][entry] = on
