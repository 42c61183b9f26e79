"""What a training run shows and leaves behind: a progress bar, a line for each validation, log.jsonl, TensorBoard."""

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from anlage.errors import AnlageError
from anlage.training import devices
from anlage.training.checkpoints import Progress

if TYPE_CHECKING:
    from anlage.training.loop import Job


class Log:
    """Follows one run. ``log.jsonl`` holds one line for each validation and is rewritten from the history of the
    checkpoint, so that a resumed run leaves the same lines as an undisturbed one."""

    def __init__(self, job: "Job", progress: Progress):
        self.job, self.progress = job, progress
        self.path = job.folder / "log.jsonl"
        self.bar: Any = None
        self.board: Any = _tensorboard(job) if job.settings.tensorboard else None

    def __enter__(self) -> "Log":
        if self.job.interactive:
            from rich import progress as rich_progress
            from rich.console import Console

            text = rich_progress.TextColumn
            columns = text("{task.description}"), rich_progress.BarColumn(), text("{task.fields[state]}")
            left = rich_progress.TimeRemainingColumn()
            self.bar = rich_progress.Progress(*columns, left, console=Console(stderr=True))
            self.bar.start()
            self.task = self.bar.add_task("training", total=self.progress.total_steps, state="")
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar:
            self.bar.stop()
        if self.board:
            self.board.close()

    def stepped(self, step_seconds: list[float]) -> None:
        """After each step: move the bar."""
        if not self.bar:
            return
        progress = self.progress
        pace = float(np.mean(step_seconds[-20:]))
        loss = progress.loss_sum / progress.loss_count if progress.loss_count else float("nan")
        alone = next(iter(self.job.metric.values())) if len(self.job.metric) == 1 else None
        sign = -1.0 if alone is not None and not alone.greater_is_better else 1.0
        best = f" best {sign * progress.best:.4f}" if np.isfinite(progress.best) else ""
        state = f"step {progress.step}/{progress.total_steps} loss {loss:.4f}{best} {1 / pace:.1f} steps/s"
        self.bar.update(self.task, completed=progress.step, total=progress.total_steps, state=state)

    def validated(self) -> None:
        """After each validation: a line for people, a line for programs."""
        if not devices.leads():
            return
        last, progress = self.progress.history[-1], self.progress
        left = (progress.total_steps - progress.step) * last["seconds"] / max(1, progress.step)
        scores = "  ".join(self._score(name, value) for name, value in last["valid"].items())
        mark = " *" if progress.best_step == progress.step else ""
        line = f"step {progress.step}/{progress.total_steps}  loss {last['train_loss']:.4f}  valid {scores}{mark}"
        pace = len(self.job.train) * last["epoch"] / max(last["seconds"], 0.1)
        self.job.say(f"{line}  {pace:,.0f} samples/s, {last['seconds']:.0f} s, at most {left:.0f} s left")
        temporary = self.path.with_suffix(".partial")
        temporary.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text("".join(json.dumps(entry) + "\n" for entry in progress.history))
        os.replace(temporary, self.path)
        if self.board:
            self.board.add_scalar("loss/train", last["train_loss"], last["step"])
            for name, value in last["valid"].items():
                self.board.add_scalar(f"valid/{name}", value, last["step"])

    def _score(self, target: str, score: float) -> str:
        """The deciding metric of a target as people know it: errors, which training reads negated, as errors."""
        metric = self.job.metric[target]
        return f"{target} {metric.name} {score if metric.greater_is_better else -score:.4f}"


def _tensorboard(job: "Job") -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise AnlageError("--tensorboard needs an extra: pip install 'anlage[tensorboard]'") from error
    return SummaryWriter(job.folder / "tensorboard")
