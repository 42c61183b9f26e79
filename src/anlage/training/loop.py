"""The one training loop, for every modality, task and objective. Read :meth:`Loop.run` top to bottom.

What makes it resume bit for bit: an epoch's batches follow from (seed, epoch), dropout and augmentation of a step from
(seed, step), and everything else that changes lies in :class:`Progress` and the tensors beside it in the checkpoint.
"""

import contextlib
import logging
import math
import signal
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from anlage.draws import Draws
from anlage.errors import AnlageError
from anlage.metrics.metric import Metric
from anlage.modalities.protocol import Modality
from anlage.tasks.protocol import Task
from anlage.training import checkpoints
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
        self.fabric = _fabric(job.settings)
        optimizer = optimiser(job.model, job.settings.learning_rate, job.settings.weight_decay, job.factors)
        self.model, self.optimizer = self.fabric.setup(job.model, optimizer)
        self.progress = Progress()
        self.batches = self.plan(0)
        self.epoch_steps = len(self.batches)
        usual = max(USUAL_EPOCHS * self.epoch_steps, FEWEST_STEPS)
        self.progress.total_steps = job.settings.epochs * self.epoch_steps if job.settings.epochs else usual
        self.best, self.average = _copy(job.model), _copy(job.model)
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
                if self.validation_is_due():
                    self.validate()
                    log.validated()
                progress.seconds = self.before + time.monotonic() - self.started
                log.stepped(self.step_seconds)
                if (
                    progress.finished
                    or stop
                    or measuring
                    or time.monotonic() - saved > self.settings.checkpoint_seconds
                ):
                    self.save()
                    saved = time.monotonic()
                if stop and not progress.finished:
                    raise Interrupted(f"stopped at step {progress.step} of {progress.total_steps}; nothing is lost")
        job.model.load_state_dict(self.best)
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
        buffers = {name: buffer.clone() for name, buffer in self.job.model.named_buffers()}
        while True:
            try:
                loss = self.gradient([p for p in np.array_split(rows, progress.splits) if len(p)])
                break
            except RuntimeError as error:
                if not out_of_memory(error) or progress.splits >= MOST_SPLITS:
                    raise
                progress.splits *= 2
                self.put_back(buffers)
                torch.cuda.empty_cache()
                self.job.say(f"memory ran out: each batch now goes in {progress.splits} pieces, to the same steps")
        norm = nn.utils.clip_grad_norm_(self.job.model.parameters(), settings.clip)
        if math.isfinite(loss) and bool(torch.isfinite(norm)):
            self.optimizer.step()
            progress.loss_sum, progress.loss_count = progress.loss_sum + loss, progress.loss_count + 1
            if settings.average:
                _blend(self.average, self.job.model, min(settings.average, (1 + progress.step) / (10 + progress.step)))
        else:
            self.put_back(buffers)
            progress.rate /= 2
            if progress.rate < 2.0**-MOST_HALVINGS:
                raise AnlageError(f"the loss is not a number at step {progress.step}: lower --learning-rate")
            self.job.say(f"loss is not a number at step {progress.step}: step left out, learning rate halved")

    def put_back(self, buffers: dict[str, Tensor]) -> None:
        """Running means as they were before a step that did not count."""
        for name, buffer in self.job.model.named_buffers():
            buffer.copy_(buffers[name])

    def gradient(self, pieces: list[np.ndarray]) -> float:
        """Gradient of the mean loss over all pieces, summed over tasks; returns that loss.

        A loss gives (sum, count). One piece: divide at once. Several: the counts are not known before the last piece,
        so a first pass without gradients collects them."""
        self.optimizer.zero_grad(set_to_none=True)
        self.model.train()
        counts: dict[int, Tensor] = {}
        if len(pieces) > 1:
            with torch.no_grad():
                buffers = {name: buffer.clone() for name, buffer in self.job.model.named_buffers()}
                for number, piece in enumerate(pieces):
                    for key, (_, count) in self.losses(piece, number).items():
                        counts[key] = counts.get(key, torch.zeros_like(count)) + count
                self.put_back(buffers)
        total = 0.0
        for number, piece in enumerate(pieces):
            losses = self.losses(piece, number)
            terms = [value / counts.get(key, count).clamp(min=1) for key, (value, count) in losses.items()]
            loss = torch.stack(terms).sum()
            self.fabric.backward(loss)
            total += float(loss.detach())
        return total

    def losses(self, rows: np.ndarray, piece: int) -> dict[int, tuple[Tensor, Tensor]]:
        """(sum, count) of the loss for each task and view of these rows."""
        key = np.random.SeedSequence([self.job.seed, self.progress.step, piece]).generate_state(1)[0]
        torch.manual_seed(int(key))
        generator = torch.Generator().manual_seed(int(key))
        draws = Draws(self.job.seed, self.progress.step)
        batch = self.job.table.batch(rows)
        if self.settings.augment:
            for name, modality in self.job.modalities.items():
                if isinstance(batch.parts[name], Vectors):
                    continue
                batch.parts[name] = modality.augment(batch.parts[name], generator)
        result: dict[int, tuple[Tensor, Tensor]] = {}
        shared: dict[int, dict[str, Tensor]] = {}  # tasks that leave the batch as it is share one forward pass
        for task in self.job.tasks:
            for view, target in task.views(batch, draws):
                if id(view) not in shared:
                    shared[id(view)] = self.model(self.fabric.to_device(view))
                output = shared[id(view)][task.target]
                result[len(result)] = task.loss(output.float(), target.to(output.device))
        return result

    def validate(self) -> None:
        """Metrics on the validation rows; keeps the weights if they are the best, stops when it is time."""
        job, progress = self.job, self.progress
        current = _copy(job.model)
        if self.settings.average:
            job.model.load_state_dict(self.average)
        scores = validation_scores(job.model, job.tasks, job.table, job.valid, job.metric)
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
            progress.best, progress.best_step, self.best = score, progress.step, _copy(job.model)
        progress.finished = progress.step >= progress.total_steps or progress.waited >= self.settings.patience
        job.model.load_state_dict(current)

    def measure_budget(self, budget: float) -> None:
        """Turn the time that is left into a number of steps and store it, so that a resumed run ends alike."""
        progress = self.progress
        each = float(np.mean(self.step_seconds[TIMED.start : TIMED.stop]))
        tick = time.monotonic()
        validation_scores(self.job.model, self.job.tasks, self.job.table, self.job.valid, self.job.metric)
        once = time.monotonic() - tick
        left = budget - sum(self.step_seconds) - once
        most = (left - 10 * once) / each, left / (each + once / self.usually_every)  # ten validations, or more
        possible = progress.step + int(max(0.0, min(most)))
        if possible < progress.total_steps:
            self.job.say(f"budget {self.settings.budget}: {possible} steps of the planned {progress.total_steps}")
        progress.total_steps = max(progress.step + 1, min(progress.total_steps, possible))
        progress.measured = True

    def save(self) -> None:
        weights = {"model": self.job.model.state_dict(), "best": self.best}
        if self.settings.average:
            weights["average"] = self.average
        optimizer = checkpoints.optimizer_state(self.job.model, self.optimizer)
        checkpoints.save(self.path, self.progress, self.job.fingerprint, weights, optimizer)

    def restore(self) -> None:
        self.progress, weights, optimizer = checkpoints.load(self.path, self.job.fingerprint)
        self.job.model.load_state_dict(weights["model"])
        checkpoints.restore_optimizer(self.job.model, self.optimizer, optimizer)
        self.best = weights["best"]
        on = next(self.job.model.parameters()).device
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


def _copy(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _blend(average: dict[str, Tensor], model: nn.Module, keep: float) -> None:
    """average ← keep · average + (1 − keep) · weights; whole numbers (counters) are copied."""
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            average[name].lerp_(tensor, 1 - keep)
        else:
            average[name].copy_(tensor)


def _fabric(settings: TrainingSettings) -> Fabric:
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise AnlageError("--device cuda: torch finds no GPU here; use --device auto")
    if settings.device == "mps" and not torch.backends.mps.is_available():
        raise AnlageError("--device mps: torch finds no Apple GPU here; use --device auto")
    logging.getLogger("lightning_fabric").setLevel(logging.ERROR)  # it announces its precision on every start
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # hints about its own products
        return Fabric(accelerator=settings.device, devices=1, precision=_precision(settings))  # type: ignore[arg-type]


def _precision(settings: TrainingSettings) -> str:
    if settings.precision != "auto":
        return settings.precision
    fast = settings.device in ("auto", "cuda") and torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    return "bf16-mixed" if fast else "32-true"


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
