"""The one training loop, for every modality, task and objective. Read :meth:`Loop.run` top to bottom.

What makes it resume bit for bit: an epoch's batches follow from (seed, epoch), dropout and augmentation of a step from
(seed, step), and everything else that changes lies in :class:`Progress` and the tensors beside it in the checkpoint.
"""

import contextlib
import copy
import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from anlage.draws import Draws
from anlage.errors import AnlageError
from anlage.metrics.metric import Metric
from anlage.modalities.protocol import Modality
from anlage.tasks.protocol import Task
from anlage.training import checkpoints, devices
from anlage.training.batches import PreparedTable, epoch
from anlage.training.checkpoints import Progress
from anlage.training.log import Log
from anlage.training.predict import out_of_memory, predict
from anlage.training.schedule import optimiser, rate, seconds
from anlage.training.settings import TrainingSettings
from anlage.types import Vectors

TIMED = range(2, 12)  # steps that are timed before a budget becomes a number of steps; earlier ones warm up
USUAL_EPOCHS, FEWEST_STEPS = 20, 1000
VALIDATION_STEPS = 50
MOST_SPLITS = 64
MOST_HALVINGS = 6


@dataclass
class Job:
    """What to train, on what, and how to judge it. ``train`` and ``valid`` are row numbers of ``table``."""

    model: nn.Module
    tasks: Sequence[Task]
    modalities: Mapping[str, Modality]
    table: PreparedTable
    train: np.ndarray
    valid: np.ndarray
    settings: TrainingSettings
    metric: Mapping[str, Metric]
    """For each target the metric that decides which weights are best."""
    seed: int
    folder: Path
    fingerprint: str
    """Hash of data, split and settings: a checkpoint of another job is refused."""
    say: Callable[[str], None]
    interactive: bool = False
    """Show a progress bar instead of a line for each validation."""
    factors: Mapping[str, float] = field(default_factory=dict)
    """A part of the learning rate for parameters by name; 1 where none is given."""
    least_epochs: int = 0
    """Passes over the training rows that the budget must allow; else training ends after the steps that measured it,
    without a validation."""


class Interrupted(KeyboardInterrupt):
    """A signal asked to stop; the checkpoint is written."""


def train(job: Job) -> Progress:
    """Train ``job.model`` in place, leaving the best weights in it; goes on from a checkpoint where there is one."""
    return Loop(job).run()


class Loop:
    """The state of a training run: the model and its optimiser, where it stands, the best weights so far."""

    def __init__(self, job: Job):
        self.job, self.settings = job, job.settings
        self.sizes = job.table.sizes()
        self.fabric = devices.fabric(job.settings)
        self.trained = copy.deepcopy(job.model) if job.settings.shard else job.model
        self.model = self.fabric.setup_module(self.trained)
        optimizer = optimiser(self.trained, job.settings.learning_rate, job.settings.weight_decay, job.factors)
        self.optimizer: Any = self.fabric.setup_optimizers(optimizer)
        self.progress = Progress()
        self.batches = self.plan(0)
        self.epoch_steps = len(self.batches)
        usual = max(USUAL_EPOCHS * self.epoch_steps, FEWEST_STEPS)
        self.progress.total_steps = job.settings.epochs * self.epoch_steps if job.settings.epochs else usual
        self.best, self.average = _copy(self.trained), _copy(self.trained)
        self.path = job.folder / "checkpoint.safetensors"
        if self.path.exists():
            self.restore()
        self.before, self.started = self.progress.seconds, time.monotonic()
        self.step_seconds: list[float] = []

    def run(self) -> Progress:
        job, progress = self.job, self.progress
        saved = time.monotonic()
        with _signals() as stop, Log(job, progress) as log:
            while not progress.finished:
                if progress.batch == len(self.batches):
                    progress.epoch, progress.batch = progress.epoch + 1, 0
                    self.batches = self.plan(progress.epoch)
                tick = time.monotonic()
                self.step(self.batches[progress.batch])
                progress.step, progress.batch = progress.step + 1, progress.batch + 1
                self.step_seconds.append(time.monotonic() - tick)
                measuring = self.settings.budget and not progress.measured and len(self.step_seconds) == TIMED.stop
                if measuring:
                    self.measure_budget(seconds(str(self.settings.budget)))
                if not progress.finished and self.validation_is_due():
                    self.validate()
                    log.validated()
                progress.seconds = self.before + time.monotonic() - self.started
                log.stepped(self.step_seconds)
                due = devices.leads() and time.monotonic() - saved > self.settings.checkpoint_seconds
                stopping, saving = devices.sums(self.fabric, [bool(stop), due])  # any process may be told to stop
                if progress.finished or stopping or measuring or saving:
                    self.save()
                    saved = time.monotonic()
                if stopping and not progress.finished:
                    raise Interrupted(f"stopped at step {progress.step} of {progress.total_steps}; nothing is lost")
        _put(devices.whole(self.best), job.model)
        return progress

    def plan(self, number: int) -> list[np.ndarray]:
        """The batches of epoch ``number``."""
        return epoch(
            self.job.train, self.sizes, self.settings.batch_tokens, self.settings.batch_samples, self.job.seed, number
        )

    @property
    def usually_every(self) -> int:
        """Steps between validations in a fit of more than ten of them."""
        return max(self.epoch_steps, VALIDATION_STEPS)

    def validation_is_due(self) -> bool:
        """After each epoch, at least ten times in all and where possible VALIDATION_STEPS apart, and at the end."""
        every = min(max(1, self.progress.total_steps // 10), self.usually_every)
        left = self.progress.total_steps - self.progress.step
        return left <= 0 or (self.progress.step % every == 0 and left > every // 2)

    def step(self, rows: np.ndarray) -> None:
        """One optimiser step on one batch, whole or (after memory ran out) in pieces with the same gradient."""
        progress, settings = self.progress, self.settings
        factor = progress.rate * rate(progress.step, progress.total_steps, settings.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = settings.learning_rate * factor * group["factor"]
        buffers = {name: buffer.clone() for name, buffer in self.trained.named_buffers()}
        world = self.fabric.world_size
        own = rows[self.fabric.global_rank :: world]  # of a batch in order of size: equal shares
        while True:
            try:
                loss = self.gradient(np.array_split(own, progress.splits))
                break
            except RuntimeError as error:
                if not out_of_memory(error) or progress.splits >= MOST_SPLITS:
                    raise
                if world > 1:
                    raise AnlageError(
                        "memory ran out in one process: lower --batch-tokens or --batch-samples"
                    ) from error
                progress.splits *= 2
                self.put_back(buffers)
                torch.cuda.empty_cache()
                self.job.say(f"memory ran out: each batch now goes in {progress.splits} pieces, to the same steps")
        norm = nn.utils.clip_grad_norm_(self.trained.parameters(), settings.clip)
        norm = devices.whole({"norm": norm})["norm"]
        if math.isfinite(loss) and bool(torch.isfinite(norm)):
            self.optimizer.step()
            progress.loss_sum, progress.loss_count = progress.loss_sum + loss, progress.loss_count + 1
            if settings.average:
                _blend(self.average, self.trained, min(settings.average, (1 + progress.step) / (10 + progress.step)))
        else:
            self.put_back(buffers)
            progress.rate /= 2
            if progress.rate < 2.0**-MOST_HALVINGS:
                raise AnlageError(f"the loss is not a number at step {progress.step}: lower --learning-rate")
            self.job.say(f"loss is not a number at step {progress.step}: step left out, learning rate halved")

    def put_back(self, buffers: dict[str, Tensor]) -> None:
        """Running means as they were before a step that did not count."""
        for name, buffer in self.trained.named_buffers():
            buffer.copy_(buffers[name])

    def gradient(self, pieces: list[np.ndarray]) -> float:
        """Gradient of the mean loss over all pieces and processes, summed over tasks; returns that loss.

        A loss gives (sum, count). One piece: divide by the count over all processes at once. Several: the counts are
        not known before the last piece, so a first pass without gradients collects them."""
        self.optimizer.zero_grad(set_to_none=True)
        self.model.train()
        pieces = [piece for piece in pieces if len(piece)] or pieces[:1]
        counts: list[float] = []
        if len(pieces) > 1:
            with torch.no_grad():
                buffers = {name: buffer.clone() for name, buffer in self.trained.named_buffers()}
                passes = [[float(c) for _, c in self.losses(piece, n)] for n, piece in enumerate(pieces)]
                counts = devices.sums(self.fabric, np.sum(passes, axis=0).tolist())
                self.put_back(buffers)
        total, world = 0.0, self.fabric.world_size
        for number, piece in enumerate(pieces):
            losses = self.losses(piece, number)
            whole = counts or devices.sums(self.fabric, [float(count) for _, count in losses])
            loss = torch.stack([value / max(1.0, n) for (value, _), n in zip(losses, whole, strict=True)]).sum()
            with self.fabric.no_backward_sync(self.model, enabled=world > 1 and number < len(pieces) - 1):
                self.fabric.backward(loss * world)  # the processes' gradients are then averaged
            total += float(loss.detach())
        return devices.sums(self.fabric, [total])[0]

    def losses(self, rows: np.ndarray, piece: int) -> list[tuple[Tensor, Tensor]]:
        """(sum, count) of the loss for each task and view of these rows. A process without rows of its own computes
        on one row all the same, since the others wait for it, and counts nothing."""
        rank, idle = self.fabric.global_rank, not len(rows)
        key = np.random.SeedSequence([self.job.seed, self.progress.step, piece, rank][: 4 if rank else 3])
        torch.manual_seed(int(number := key.generate_state(1)[0]))
        generator = torch.Generator().manual_seed(int(number))
        draws = Draws(self.job.seed, self.progress.step)
        batch = self.job.table.batch(self.job.train[:1] if idle else rows)
        if self.settings.augment:
            for name, modality in self.job.modalities.items():
                if not isinstance(batch.parts[name], Vectors):
                    batch.parts[name] = modality.augment(batch.parts[name], generator)
        result: list[tuple[Tensor, Tensor]] = []
        shared: dict[int, dict[str, Tensor]] = {}  # tasks that leave the batch as it is share one forward pass
        for task in self.job.tasks:
            for view, target in task.views(batch, draws):
                if id(view) not in shared:
                    shared[id(view)] = self.model(self.fabric.to_device(view))
                output = shared[id(view)][task.target].float()
                target, share = target.to(output.device), float(not idle)
                if task.coupled:  # each process computes the whole loss and stands for its part of it
                    output, target = (devices.gathered(self.fabric, t[:0] if idle else t) for t in (output, target))
                    share = 1 / self.fabric.world_size
                value, count = task.loss(output, target)
                result.append((value * share, count * share))
        return result

    def validate(self) -> None:
        """Metrics on the validation rows; keeps the weights if they are the best, stops when it is time."""
        job, progress = self.job, self.progress
        current = _copy(self.trained)
        if self.settings.average:
            _put(self.average, self.trained)
        scores = validation_scores(self.trained, job.tasks, job.table, job.valid, job.metric)
        judged = any(map(_known, scores.values()))
        score = float(np.nanmean(list(scores.values()))) if judged else 0.0
        if not all(map(_known, scores.values())) and not progress.history:
            unknown = ", ".join(target for target, value in scores.items() if not _known(value))
            job.say(f"the validation rows cannot judge {unknown} (one class only?): it does not decide when to stop")
        train_loss = progress.loss_sum / max(1, progress.loss_count)
        progress.loss_sum, progress.loss_count = 0.0, 0
        progress.history.append(
            {
                "step": progress.step,
                "epoch": round(progress.step / self.epoch_steps, 2),
                "train_loss": train_loss,
                "valid": scores,
                "seconds": round(self.before + time.monotonic() - self.started, 1),
            }
        )
        better = score > progress.best
        progress.waited = 0 if better or not judged else progress.waited + 1
        if better or score == progress.best:  # of equals the later: a metric that is at its end hides that losses fall
            progress.best, progress.best_step, self.best = score, progress.step, _copy(self.trained)
        progress.finished = progress.step >= progress.total_steps or 0 < self.settings.patience <= progress.waited
        _put(current, self.trained)

    def measure_budget(self, budget: float) -> None:
        """Turn the time that is left into a number of steps and store it, so that a resumed run ends alike."""
        progress = self.progress
        each = float(np.mean(self.step_seconds[TIMED.start : TIMED.stop]))
        tick = time.monotonic()
        validation_scores(self.trained, self.job.tasks, self.job.table, self.job.valid, self.job.metric)
        once = time.monotonic() - tick
        left = budget - sum(self.step_seconds) - once
        most = (left - 10 * once) / each, left / (each + once / self.usually_every)  # ten validations, or more
        possible = progress.step + int(max(0.0, min(most)))
        possible = int(devices.sums(self.fabric, [possible if devices.leads() else 0])[0])  # one clock decides
        progress.measured = True
        least = self.job.least_epochs * self.epoch_steps
        if possible < min(least, progress.total_steps):
            needed = (each + once / self.usually_every) * least
            self.job.say(f"{self.job.least_epochs} passes over the training rows would take about {needed:.0f} s, and "
                         f"{max(0.0, left):.0f} s of the budget are left: it ends here")  # fmt: skip
            progress.finished = True
            return
        if possible < progress.total_steps:
            self.job.say(f"budget {self.settings.budget}: {possible} steps of the planned {progress.total_steps}")
        progress.total_steps = max(progress.step + 1, min(progress.total_steps, possible))

    def save(self) -> None:
        weights = {"model": _learned(self.trained), "best": self.best}
        if self.settings.average:
            weights["average"] = self.average
        optimizer = devices.whole(checkpoints.optimizer_state(self.trained, self.optimizer))
        weights = {kind: devices.whole(state) for kind, state in weights.items()}
        if devices.leads():
            checkpoints.save(self.path, self.progress, self.job.fingerprint, weights, optimizer)

    def restore(self) -> None:
        self.progress, saved, optimizer = checkpoints.load(self.path, self.job.fingerprint)
        own = self.trained.state_dict()
        weights = {kind: devices.cut_like(state, own) for kind, state in saved.items()}
        _put(weights["model"], self.trained)
        checkpoints.restore_optimizer(self.trained, self.optimizer, optimizer)
        self.best = weights["best"]
        on = next(self.trained.parameters()).device
        self.average = {name: tensor.to(on) for name, tensor in weights.get("average", self.best).items()}
        self.batches = self.plan(self.progress.epoch)
        self.job.say(f"resumed at step {self.progress.step} of {self.progress.total_steps}")


def validation_scores(
    model: nn.Module, tasks: Sequence[Task], table: PreparedTable, rows: np.ndarray, metric: Mapping[str, Metric]
) -> dict[str, float]:
    """The deciding metric of each target on ``rows``, greater = better (errors are negated)."""
    values = predict(model, tasks, table, rows)
    scores = {}
    for task in tasks:
        chosen = metric[task.target]
        value = chosen(table.targets[task.target][rows], values[task.target])
        scores[task.target] = value if chosen.greater_is_better else -value
    return scores


def _known(score: float) -> bool:
    return math.isfinite(score)


def _learned(model: nn.Module) -> dict[str, Tensor]:
    """What training may change: parameters that learn, and buffers. A large encoder that rests is not copied about."""
    fixed = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    return {name: tensor for name, tensor in model.state_dict().items() if name not in fixed}


def _copy(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in _learned(model).items()}


def _put(state: dict[str, Tensor], model: nn.Module) -> None:
    """The inverse of :func:`_copy`."""
    if state.keys() != _learned(model).keys():
        raise AnlageError("this checkpoint holds other weights than the model learns: start again without --resume")
    model.load_state_dict(state, strict=False)


def _blend(average: dict[str, Tensor], model: nn.Module, keep: float) -> None:
    """average ← keep · average + (1 − keep) · weights; whole numbers (counters) are copied."""
    for name, tensor in _learned(model).items():
        if tensor.is_floating_point():
            average[name].lerp_(tensor, 1 - keep)
        else:
            average[name].copy_(tensor)


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """SIGINT and SIGTERM are noted in the list that this yields; the loop then stops after the step in hand."""
    seen: list[int] = []
    try:
        old = {s: signal.signal(s, lambda number, _: seen.append(number)) for s in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: signals go to whoever owns it
        old = {}
    try:
        yield seen
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
