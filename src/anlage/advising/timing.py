"""How long a training would take here: real optimiser steps on real batches of the training rows, some seconds of them,
times the steps that the loop would make. What is said of memory comes from the same steps.
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from anlage.adapting import adapt
from anlage.choosing import Choice, build_chosen
from anlage.evaluation.evaluate import primary_metric
from anlage.model import Model
from anlage.parts import Parts, Prepared, VectorParts
from anlage.settings import FitSettings
from anlage.training.batches import PreparedTable
from anlage.training.devices import fabric
from anlage.training.loop import Job, Loop
from anlage.training.predict import predict
from anlage.training.preparation import Preparation
from anlage.training.vectors import encode_parts

SECONDS = 4.0
"""Steps are timed for about so long: a dozen and more on small models; one large step may take longer."""
FEWEST, MOST = 3, 300
"""Timed steps of whole batches."""
GROWTH = 4
"""A batch is tried from its first two rows on, so many times larger each time: a model that is far too large for this
machine shows it on a few rows."""
FASTER = 0.7
"""One thread is taken where its steps take less than this part of the time."""
OTHER_SECONDS = 2.0
"""Prediction and frozen encoders are timed for about so long."""
PEAK = 1.5
"""A step's memory is so many times what is kept for the backward pass: measured were 0.7 (LSTM) to 1.7 (ResNet)."""
ADAM_COPIES = 5
"""Besides each weight that learns: its gradient, Adam's two means, the best and the averaged weights."""


@dataclass(frozen=True)
class Bench:
    """The training rows, prepared, and what would be trained on them."""

    preparation: Preparation
    choice: dict[str, Choice]
    table: PreparedTable
    settings: FitSettings
    valid: int
    """Validation rows."""
    used: int
    """Rows of which a frozen encoder computes vectors."""


@dataclass(frozen=True)
class Pace:
    """One training: seconds of a step, of a validation, and of all vectors of frozen encoders (before the first step);
    ``steps`` are made unless training stops early."""

    name: str | None
    """The adaptation; None where no encoder is pretrained."""
    step: float
    steps: int
    epoch_steps: int
    validation: float
    validations: int
    vectors: float
    timed: int
    """Steps that were timed; 0 = parts of one batch, since a whole one would have taken too long."""
    learned: int
    """Weights that learn."""
    weights: int
    fixed_bytes: int
    """Of weights, gradients, the optimiser and copies."""
    batch_bytes: int
    """What the largest batch needs beside these."""

    @property
    def training(self) -> float:
        """Seconds of all steps and validations."""
        return self.step * self.steps + self.validation * self.validations


def measure(bench: Bench, name: str | None = None) -> Pace:
    """Train for some seconds, with the encoders adapted as ``name`` says. Raises Unsuitable where they cannot be."""
    torch.manual_seed(bench.settings.seed)
    model, factors = build_chosen(bench.preparation, bench.choice), {}
    if name is not None:
        factors = adapt(model, bench.choice, name, bench.settings.adaptation)
    table, vectors = _with_vectors(bench, model) if name == "frozen" else (bench.table, 0.0)
    loop = _loop(bench, model, table, factors)
    step, timed, needed = _step(loop)
    learned = sum(p.numel() for p in model.parameters() if p.requires_grad)
    weights = sum(p.numel() for p in model.parameters())
    return Pace(
        name=name,
        step=step,
        steps=loop.progress.total_steps,
        epoch_steps=loop.epoch_steps,
        validation=_prediction(loop, bench.valid),
        validations=_validations(loop),
        vectors=vectors,
        timed=timed,
        learned=learned,
        weights=weights,
        fixed_bytes=4 * (weights + ADAM_COPIES * learned),
        batch_bytes=needed,
    )


def faster_threads(bench: Bench) -> int:
    """Torch's number of threads, or 1 where steps are faster with one: small models, on many or on busy cores."""
    threads = torch.get_num_threads()
    if threads == 1 or fabric(bench.settings.training).device.type != "cpu":
        return threads
    loop = _loop(bench, build_chosen(bench.preparation, bench.choice), bench.table, {})
    rows, work = _largest(loop)
    try:
        torch.set_num_threads(1)  # busy cores slow many threads without bound, one thread only by its share
        most, alone = _grow(lambda count: _advance(loop, rows[:count]), work, SECONDS)[-1]
    finally:
        torch.set_num_threads(threads)
    count = int(np.searchsorted(work, most)) + 1
    together = [_advance(loop, rows[:count]) for _ in range(FEWEST)]
    return 1 if alone < FASTER * np.mean(together) else threads


def _loop(bench: Bench, model: Model, table: PreparedTable, factors: Mapping[str, float]) -> Loop:
    """The loop of the fit, before its first step. It writes nothing until it saves, which it is never told to."""
    tasks = bench.preparation.tasks
    return Loop(Job(
        model=model, tasks=tasks, table=table, train=np.arange(len(table)), valid=np.arange(0),
        modalities={item.name: item.modality for item in bench.preparation.inputs}, settings=bench.settings.training,
        metric={task.target: primary_metric(task, bench.settings.evaluation) for task in tasks}, factors=factors,
        seed=bench.settings.seed, folder=Path(os.devnull), fingerprint="", say=_silent,
    ))  # fmt: skip


def _silent(line: str) -> None:
    """What the loop says of the steps that are only timed."""


def _step(loop: Loop) -> tuple[float, int, int]:
    """(seconds of a step, averaged over an epoch; steps timed; bytes that the largest batch needs)."""
    every = np.array([loop.sizes[rows].sum() for rows in loop.batches], dtype=float)
    (rows, work), hooks = _largest(loop), _Kept(loop.trained)

    def some(count: int) -> float:
        hooks.seen.clear()
        return _advance(loop, rows[:count])

    with hooks:
        tried = _grow(some, work, SECONDS)
    whole = _extrapolated(tried, every.max())
    needed = int(PEAK * sum(hooks.seen.values()) * every.max() / tried[-1][0])
    if whole > SECONDS:
        return whole * float(every.mean() / every.max()), 0, needed
    batches = [loop.batches[i] for i in spread(np.argsort(every, kind="stable"))]
    times: list[float] = []
    while len(times) < FEWEST or (sum(times) < SECONDS and len(times) < MOST):
        times.append(_advance(loop, batches[len(times) % len(batches)]))
    return float(np.mean(times)), len(times), needed


def _largest(loop: Loop) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the largest batch, short ones first, and the work of all up to each."""
    rows = max(loop.batches, key=lambda rows: loop.sizes[rows].sum())
    rows = rows[np.argsort(loop.sizes[rows], kind="stable")]
    return rows, np.cumsum(loop.sizes[rows]).astype(float)


def _grow(some: Callable[[int], float], work: np.ndarray, limit: float) -> list[tuple[float, float]]:
    """(work, seconds) of ``some(count)``, which does something with the first of many things and says how long it took,
    for ever more of them until all, or until the next would take more than ``limit`` seconds. ``work`` [things] is that
    of all up to each."""
    count, tried = min(2, len(work)), []
    some(count)  # warms up
    while True:
        took = some(count)
        tried.append((float(work[count - 1]), took))
        known = len(tried) > 1 or took > limit
        if count == len(work) or (known and took * GROWTH > limit):
            return tried
        count = min(len(work), GROWTH * count)


def _extrapolated(tried: list[tuple[float, float]], work: float) -> float:
    """Seconds for ``work``, on the line through the last two of ``tried`` (work, seconds); in proportion to one."""
    (before, sooner), (most, took) = ([(0.0, 0.0)] + tried)[-2:]
    return took + max(0.0, took - sooner) / (most - before) * (work - most)


def _advance(loop: Loop, rows: np.ndarray) -> float:
    """One step on these rows; returns its seconds."""
    started = time.monotonic()
    loop.step(rows)
    loop.progress.step += 1
    return time.monotonic() - started


def spread(order: np.ndarray) -> np.ndarray:
    """``order`` in another one, of which every beginning is spread over the whole (the middle, then the quarters, then
    the eighths: van der Corput's sequence): so the mean over small and large is about right however few are timed."""
    places = np.zeros(1, dtype=np.int64)
    while len(places) < len(order):
        places = np.concatenate([2 * places, 2 * places + 1])
    places = np.roll(places, -1) * len(order) // len(places)
    return order[places[np.sort(np.unique(places, return_index=True)[1])]]


def _validations(loop: Loop) -> int:
    """How often the loop would validate, if it ran to the end."""
    count, loop.progress.step = 0, 0
    while loop.progress.step < loop.progress.total_steps:
        loop.progress.step += 1
        count += loop.validation_is_due()
    return count


def _prediction(loop: Loop, count: int) -> float:
    """Seconds to predict ``count`` rows, from training rows."""
    rows = spread(np.argsort(loop.sizes, kind="stable"))[:count]

    def some(number: int) -> float:
        started = time.monotonic()
        predict(loop.trained, loop.job.tasks, loop.job.table, rows[:number])
        return time.monotonic() - started

    return _extrapolated(_grow(some, np.arange(1.0, len(rows) + 1), OTHER_SECONDS), count)


def _with_vectors(bench: Bench, model: Model) -> tuple[PreparedTable, float]:
    """The table with vectors in place of frozen inputs, and the seconds to compute those of all rows. Only some are
    computed; the other parts get a copy of one of these, which trains as fast."""
    inputs, total, device = dict(bench.table.inputs), 0.0, fabric(bench.settings.training).device
    for item in bench.preparation.inputs:
        if bench.choice[item.name].foundation is None:
            continue
        encoder, prepared = model.encoder(item.name).to(device), inputs[item.name]
        seconds, some = _vectors(encoder, prepared.parts)
        total += seconds * bench.used / len(bench.table)
        inputs[item.name] = Prepared(VectorParts(np.resize(some, (len(prepared.parts), some.shape[1]))), prepared.index)
    return replace(bench.table, inputs=inputs), total


def _vectors(encoder: nn.Module, parts: Parts) -> tuple[float, np.ndarray]:
    """Seconds to encode all ``parts``, and the vectors of those that were encoded to find it out."""
    which = spread(np.argsort(parts.sizes, kind="stable"))
    found: list[np.ndarray] = []

    def some(number: int) -> float:
        started = time.monotonic()
        found[:] = [pooled for _, pooled in encode_parts(encoder, parts, which[:number])]
        return time.monotonic() - started

    work = np.cumsum(parts.sizes[which]).astype(float)
    return _extrapolated(_grow(some, work, OTHER_SECONDS), work[-1]), np.concatenate(found)


class _Kept(torch.autograd.graph.saved_tensors_hooks):
    """Notes what the forward pass keeps for the backward pass, weights apart: bytes by storage."""

    def __init__(self, model: nn.Module):
        super().__init__(self._pack, lambda tensor: tensor)
        self.seen: dict[int, int] = {}
        self.own = {tensor.untyped_storage().data_ptr() for tensor in model.parameters()}

    def _pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self.own:
            self.seen[storage.data_ptr()] = storage.nbytes()
        return tensor
