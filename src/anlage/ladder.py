"""The rungs of an adaptation: each trained from the pretrained weights, judged on validation rows, the best one kept.

Frozen, then LoRA, then full: more weights learn on each, and each takes longer. The next one is tried while the last
gain is real, which means that its paired 95 % bootstrap interval on the validation rows lies above zero; what is kept
is the highest rung whose gain is real, so the simplest one within the noise. Frozen is kept for a start: it has no rung
below it, and where it does not beat the plain baselines there is the more reason to climb. Test rows are never read.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from anlage.adaptation.lora import merge
from anlage.adaptation.protocol import Unsuitable
from anlage.adapting import adapt, planned, with_vectors
from anlage.choosing import Choice, build_chosen, describe
from anlage.evaluation.estimates import estimate_json, resampled_groups
from anlage.evaluation.evaluate import primary_metric
from anlage.evaluation.intervals import Estimate, Resampled, estimate, resample, weights
from anlage.metrics.metric import Metric
from anlage.metrics.weighted import mean_of_defined
from anlage.model import Model
from anlage.report.ladder import lines
from anlage.settings import FitSettings
from anlage.training.batches import PreparedTable
from anlage.training.checkpoints import Progress
from anlage.training.devices import fabric, leads, sums
from anlage.training.loop import Job, train
from anlage.training.predict import predict
from anlage.training.preparation import Preparation
from anlage.training.schedule import seconds

LEAST_EPOCHS = 3
"""Passes over the training rows that the budget must allow, or a higher rung is not begun."""
LEAST_PART = 0.1
"""Part of the budget that is left for training, however long the vectors of a frozen encoder took."""


@dataclass
class Bench:
    """What all rungs share: prepared rows, the choice of encoders, the settings. ``train`` and ``valid`` are row
    numbers of ``table``; ``groups`` [valid] are resampled together."""

    preparation: Preparation
    choice: dict[str, Choice]
    table: PreparedTable
    train: np.ndarray
    valid: np.ndarray
    groups: np.ndarray
    settings: FitSettings
    folder: Path
    fingerprint: str
    say: Callable[[str], None]
    interactive: bool

    @property
    def metrics(self) -> dict[str, Metric]:
        """The metric that decides, for each target."""
        return {task.target: primary_metric(task, self.settings.evaluation) for task in self.preparation.tasks}

    @property
    def resampled(self) -> np.ndarray | None:
        """The groups to resample; None = rows."""
        return resampled_groups(self.groups, {"valid": np.arange(len(self.valid))})

    def decided(self, answer: bool) -> bool:
        """The answer of the process that leads: all must go the same way."""
        return sums(fabric(self.settings.training), [answer and leads()])[0] > 0


@dataclass
class Rung:
    """One trained model; ``name`` is None where no encoder is pretrained."""

    name: str | None
    model: Model = field(repr=False)
    table: PreparedTable = field(repr=False)
    """What the model reads: vectors in place of frozen inputs."""
    progress: Progress
    seconds: float
    """Training, and the vectors where they were not kept from before."""
    learned: int
    """Parameters that learned."""


@dataclass
class Step:
    """A rung as it was judged on the validation rows."""

    rung: Rung
    scores: dict[str, Resampled]
    """The deciding metric of each target."""
    gain: Estimate | None = None
    """Over the rung below, mean over targets; positive = better."""


def climb(bench: Bench) -> tuple[Rung, dict[str, Any] | None]:
    """The rung that is kept, and the ladder for metrics.json (None where no encoder is pretrained).

    An interrupted climb goes on where it stopped: each rung has a folder, and a finished one is not trained again."""
    names = planned(bench.settings.adaptation, bench.choice)
    budget = bench.settings.training.budget
    whole = seconds(budget) if budget else None
    if len(names) <= 1:
        rung = _train(bench, names[0] if names else None, bench.folder, whole, first=True)
        return rung, _ladder(bench, rung, "named by you", [_judge(bench, rung, None)]) if names else None
    steps, kept, why = _climb(bench, names, whole)
    ladder = _ladder(bench, kept, why, steps)
    for line in lines(ladder):
        bench.say(line)
    return kept, ladder


def _climb(bench: Bench, names: tuple[str, ...], budget: float | None) -> tuple[list[Step], Rung, str]:
    """The rungs that were trained, the one that is kept, and why no other."""
    steps: list[Step] = []
    for name in names:
        first = not steps
        if steps and budget is not None and bench.decided(budget <= 0):
            return steps, steps[-1].rung, f"the budget does not allow {name}"
        share = budget / 2 if budget is not None and first and len(names) > 1 else budget  # some is left to climb
        try:
            rung = _train(bench, name, bench.folder / name, share, first)
        except Unsuitable as error:
            bench.say(f"adaptation {name} left out: {error}")
            continue
        budget = None if budget is None else budget - rung.seconds
        if not rung.progress.history:
            return steps, steps[-1].rung, f"the budget does not allow {name}"
        steps.append(_judge(bench, rung, None if first else steps[-1]))
        if not first and not bench.decided(_real(steps[-1])):
            return steps, steps[-2].rung, f"the validation rows show no real gain by {name}"
    why = f"its gain over {steps[-2].rung.name} is real" if len(steps) > 1 else "no other suits this encoder"
    return steps, steps[-1].rung, why


def _train(bench: Bench, name: str | None, folder: Path, budget: float | None, first: bool) -> Rung:
    """A model from the pretrained weights, adapted and trained for at most ``budget`` seconds."""
    settings, say = bench.settings, bench.say
    torch.manual_seed(settings.seed)
    model = build_chosen(bench.preparation, bench.choice)
    factors: dict[str, float] = {}
    if first:
        _tell_encoders(bench, model)
    total = sum(p.numel() for p in model.parameters())
    if name is not None:
        factors = adapt(model, bench.choice, name, settings.adaptation)
    learned = sum(p.numel() for p in model.parameters() if p.requires_grad)
    if name is not None:
        say(f"adaptation {name}: {learned:,} weights learn, {total:,} are in the model")
    table, before = bench.table, 0.0
    if name == "frozen":
        started = time.monotonic()
        table = with_vectors(table, model, bench.preparation, bench.choice, settings.training, say)
        before = time.monotonic() - started
    within = settings.training.budget
    if budget is not None and budget - before != seconds(str(within)):
        within = f"{max(budget - before, LEAST_PART * budget):.1f}s"
    job = Job(
        model=model, tasks=bench.preparation.tasks, table=table, train=bench.train, valid=bench.valid,
        modalities={item.name: item.modality for item in bench.preparation.inputs},
        settings=replace(settings.training, budget=within), metric=bench.metrics, seed=settings.seed, folder=folder,
        fingerprint=hashlib.sha256(f"{bench.fingerprint} {name}".encode()).hexdigest(), say=say,
        interactive=bench.interactive, factors=factors, least_epochs=0 if first else LEAST_EPOCHS,
    )  # fmt: skip
    progress = train(job)
    merge(model)
    if progress.history:
        say(f"trained {progress.step} steps in {progress.seconds:.0f} s; best at step {progress.best_step}")
    return Rung(name, model, table, progress, before + progress.seconds, learned)


def _judge(bench: Bench, rung: Rung, below: Step | None) -> Step:
    """``rung`` on the validation rows, beside the rung below it on the same resamples."""
    groups, valid = bench.resampled, bench.valid
    counts = weights(groups, len(valid), bench.settings.evaluation.resamples, bench.settings.seed)
    values = predict(rung.model, bench.preparation.tasks, rung.table, valid)
    truth = {target: bench.table.targets[target][valid] for target in bench.metrics}
    step = Step(rung, {t: resample(metric, truth[t], values[t], counts) for t, metric in bench.metrics.items()})
    if below is not None:
        signed = [(1 if m.greater_is_better else -1, step.scores[t], below.scores[t]) for t, m in bench.metrics.items()]
        value = mean_of_defined([np.array([sign * (a.value - b.value)]) for sign, a, b in signed])
        draws = mean_of_defined([sign * (a.draws - b.draws) for sign, a, b in signed])
        step.gain = estimate(Resampled(float(value[0]), draws), next(iter(truth.values())), groups)
    return step


def _real(step: Step) -> bool:
    """Does the gain over the rung below clear its own noise? (NaN, where the rows cannot judge, does not.)"""
    return step.gain is not None and step.gain.low > 0


def _ladder(bench: Bench, kept: Rung, why: str, steps: list[Step]) -> dict[str, Any]:
    """What metrics.json says of the adaptation."""
    groups = bench.resampled
    rungs = []
    for step in steps:
        scores = {}
        for target, metric in bench.metrics.items():
            truth = bench.table.targets[target][bench.valid]
            found = estimate(step.scores[target], truth, groups)
            scores[target] = {"metric": metric.name, **estimate_json(found, counts=False)}
        rungs.append({
            "adaptation": step.rung.name,
            "scores": scores,
            "gain": None if step.gain is None else estimate_json(step.gain, counts=False),
            "seconds": round(step.rung.seconds, 1),
            "steps": step.rung.progress.step,
            "learned_parameters": step.rung.learned,
        })  # fmt: skip
    return {"asked": bench.settings.adaptation.adapt or "auto", "kept": kept.name, "why": why, "rungs": rungs}


def _tell_encoders(bench: Bench, model: Model) -> None:
    for name, chosen in bench.choice.items():
        size = sum(p.numel() for p in model.encoder(name).parameters())
        before = f", pretrained: {chosen.foundation.source}" if chosen.foundation else ""
        bench.say(f"encoder of {name}: {describe(chosen.settings)}, {size:,} parameters{before}")
        for note in chosen.foundation.notes if chosen.foundation else ():
            bench.say(f"encoder of {name}: {note}")
