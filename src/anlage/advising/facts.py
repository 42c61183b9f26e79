"""What the advice rests on: the training rows in numbers, and the machine. Other rows are only counted."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from anlage.modalities.inputs import Input
from anlage.planning import Plan
from anlage.shapes import ColumnsShape, GridShape, TokensShape
from anlage.splits import given
from anlage.splits.settings import MUTATIONS, POSITIONS
from anlage.tasks.protocol import Task
from anlage.training.batches import PreparedTable
from anlage.training.devices import fabric
from anlage.training.settings import TrainingSettings

GB = 1e9
_CGROUPS = (  # version 2, then 1: (limit, used)
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


@dataclass(frozen=True)
class InputFacts:
    """One input. What its layout does not have is 0, empty or False."""

    name: str
    modality: str
    layout: str
    tokens: int = 0
    """Median tokens of a distinct value."""
    longest: int = 0
    """Most tokens of a value."""
    aligned: bool = False
    """Are the values variants of one parent?"""
    columns: int = 0
    pixels: tuple[int, ...] = ()


@dataclass(frozen=True)
class TargetFacts:
    """One target. ``labels``: training rows of each label, empty where the target is not made of labels."""

    name: str
    task: str
    rows: int
    """Training rows whose target is known."""
    labels: dict[str, int]
    weighted: bool
    """Does the loss weigh rare labels more?"""
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class Machine:
    """Where the fit would run: ``cores`` are those that torch uses, ``free`` is in bytes."""

    device: str
    gpu: bool
    cores: int
    free: int

    def __str__(self) -> str:
        where = self.device if self.gpu else f"{self.cores} CPU core{'s' if self.cores > 1 else ''}, no GPU"
        return f"{where}, {self.free / GB:.1f} GB of memory free"


@dataclass(frozen=True)
class Facts:
    """``rows`` train, ``valid`` are validated, ``used`` are all that the fit reads, test rows included."""

    rows: int
    valid: int
    used: int
    divided: bool
    """Does the table, or the user, say which rows are for the test?"""
    inputs: tuple[InputFacts, ...]
    targets: tuple[TargetFacts, ...]
    machine: Machine

    @property
    def labelled(self) -> int:
        """Training rows of the target that has the most."""
        return max(target.rows for target in self.targets)


def gather(plan: Plan, table: PreparedTable) -> Facts:
    """``table``: the training rows, prepared by the plan's preparation, which is fitted on them."""
    settings, counts = plan.settings, plan.folds[0].counts
    split = settings.split
    ordered = split.time is not None or split.split in (MUTATIONS, POSITIONS)
    divided = ordered or split.folds is not None or given.column(plan.samples.frame, split) is not None
    return Facts(
        rows=counts["train"],
        valid=counts["valid"],
        used=sum(count for part, count in counts.items() if part != "none"),
        divided=divided,
        inputs=tuple(_input(item, table) for item in plan.preparation.inputs),
        targets=tuple(_target(task, table.targets[task.target]) for task in plan.preparation.tasks),
        machine=machine(settings.training),
    )


def _input(item: Input, table: PreparedTable) -> InputFacts:
    shape, sizes = item.modality.shape, table.inputs[item.name].parts.sizes
    plain = InputFacts(item.name, item.modality.name, shape.layout)
    if isinstance(shape, TokensShape):
        measured = {"tokens": int(np.median(sizes)), "longest": int(sizes.max())}
        return InputFacts(**vars(plain) | measured | {"aligned": shape.aligned is not None})
    if isinstance(shape, ColumnsShape):
        return InputFacts(**vars(plain) | {"columns": shape.numbers + len(shape.categories)})
    if isinstance(shape, GridShape):
        return InputFacts(**vars(plain) | {"pixels": shape.space})
    return plain


def _target(task: Task, truth: np.ndarray) -> TargetFacts:
    """``truth`` [training rows, outputs], NaN = missing."""
    labels = list(getattr(task, "labels", []))
    if task.name == "classification":
        counts = [int((truth[:, 0] == number).sum()) for number in range(len(labels))]
    elif task.name == "multilabel":
        counts = [int(positive) for positive in np.nansum(truth, axis=0)]
    else:
        labels, counts = [], []
    return TargetFacts(
        name=task.target,
        task=task.name,
        rows=int((~np.isnan(truth)).any(axis=1).sum()),
        labels=dict(zip(labels, counts, strict=True)),
        weighted=getattr(task, "weights", None) is not None,
        metrics=tuple(task.metrics),
    )


def machine(settings: TrainingSettings) -> Machine:
    """The device on which these settings would train, and what of its memory is free now."""
    device = fabric(settings).device
    cores = torch.get_num_threads()
    if device.type == "cuda":
        return Machine(torch.cuda.get_device_name(device), True, cores, torch.cuda.mem_get_info(device)[0])
    return Machine(device.type, device.type != "cpu", cores, _free_memory())


def _free_memory() -> int:
    """Bytes that a process may still take: what the system has available, less where a container's limit is nearer."""
    try:
        available = int(Path("/proc/meminfo").read_text().split("MemAvailable:")[1].split()[0]) * 1024
    except (OSError, IndexError, ValueError):  # not Linux: all that the machine has
        available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit, used in _CGROUPS:
        try:
            available = min(available, int(Path(limit).read_text()) - int(Path(used).read_text()))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return max(0, available)
