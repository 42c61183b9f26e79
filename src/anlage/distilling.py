"""The teacher of a fit: a bundle that predicts the training rows, is checked for leaks, and is judged beside its
student."""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from anlage.bundle.json_files import dump
from anlage.bundle.read import read_rows
from anlage.choosing import choose_tasks
from anlage.distillation.distilled import Distilled, Lesson
from anlage.distillation.soft import soft_loss
from anlage.errors import AnlageError
from anlage.evaluation.estimates import estimate_json, resampled_groups
from anlage.evaluation.intervals import difference, estimate, resample, weights
from anlage.metrics.metric import Metric
from anlage.model import Model
from anlage.run import Run
from anlage.samples.hashing import data_hash
from anlage.samples.samples import Samples
from anlage.samples.table import read_table
from anlage.settings import FitSettings
from anlage.tasks.labels import as_label, shortened
from anlage.tasks.protocol import Task
from anlage.training.batches import PreparedTable, in_order_of_size
from anlage.training.devices import fabric
from anlage.training.predict import predict
from anlage.training.preparation import CheckedTable, Preparation

PASSES, LONG_PASS = 3, 5.0
"""Speed is that of the fastest of so many passes; one is enough where it takes longer (seconds)."""
Say = Callable[[str], None]


@dataclass
class Taught:
    """Teacher and student on the judged rows of one split."""

    values: dict[str, np.ndarray]
    """For each target [judged, k]: the teacher's; NaN where it cannot read the row."""
    rows: int
    """Rows that were timed."""
    seconds: tuple[float, float]
    """The fastest pass over these rows: the teacher's, the student's."""
    parameters: tuple[int, int]
    device: str
    unlabelled: int
    """Training rows without a label that it learned from."""


class Teacher:
    """A bundle of ``fit``, and the student's table as it reads it."""

    def __init__(self, source: str, samples: Samples):
        """AnlageError where ``source`` is no such bundle, or the table lacks a column that it reads."""
        self.source, self.samples = source, samples
        self.run = Run(source)
        self.settings = self.run.fit_settings
        try:
            self.checked: CheckedTable = self.run.preparation.check(samples.frame)
        except AnlageError as error:
            raise AnlageError(f"--teacher {source}: {error}") from None

    @property
    def digest(self) -> str:
        """SHA-256 of all that decides what it predicts."""
        contents = self.run.contents
        found = hashlib.sha256(dump([contents.inputs, contents.targets], lossless=True))
        for name in sorted(contents.weights):
            found.update(name.encode())
            found.update(contents.weights[name].contiguous().view(-1).view(torch.uint8).numpy().data)
        return found.hexdigest()

    def tasks(self, frame: pd.DataFrame, named: dict[str, list[str]], wanted: Sequence[str], say: Say) -> list[Task]:
        """Like :func:`anlage.choosing.choose_tasks`, but the teacher's, not yet fitted. AnlageError where the teacher
        lacks a target, reads it as another task than ``wanted`` says, or lacks labels that the table has."""
        own = {task.target: task for task in self.run.preparation.tasks}
        asked = {t.target: t.name for t in choose_tasks(frame, named, wanted, say)} if wanted else {}
        for target, columns in named.items():
            if target not in own:
                raise AnlageError(f"--teacher {self.source}: it predicts {', '.join(own)}, not {target}")
            task = own[target]
            if asked.get(target, task.name) != task.name:
                raise AnlageError(f"--teacher {self.source}: {target} is {task.name} to it, not {asked[target]}")
            if len(task.columns) != len(columns) or (len(columns) > 1 and task.columns != columns):
                theirs = ", ".join(task.columns)
                raise AnlageError(f"--teacher {self.source}: its target {target} is {theirs}, not {', '.join(columns)}")
            soft_loss(task)
            self._refuse_other_labels(task, frame[columns])
            say(f"target {target}: {task.name} (as the teacher's)")
        return [type(own[target])(target, columns) for target, columns in named.items()]

    def _refuse_other_labels(self, task: Task, frame: pd.DataFrame) -> None:
        cells = frame.set_axis(task.columns, axis=1)
        strange = {problem.id for problem in task.check(cells) if "training label" in problem.reason}
        if not strange:
            return
        chosen = [as_label(cell) or "" for cell in cells.loc[cells.index.isin(strange)].iloc[:, 0]]
        mark = getattr(task, "separator", None)
        found = {part.strip() for cell in chosen for part in (cell.split(mark) if mark else [cell])}
        lacking = sorted(found - {"", *task.labels})  # type: ignore[attr-defined]
        named = shortened([label[:80] for label in lacking])
        raise AnlageError(f"--teacher {self.source}: {len(strange)} rows of {frame.columns[0]} have labels that the "
                          f"teacher lacks: {named}")  # fmt: skip

    def fit(self, tasks: Sequence[Task]) -> None:
        """What the teacher's tasks learned (labels, scaling, weights of the loss) for the student's."""
        own = {task.target: task for task in self.run.preparation.tasks}
        for task in tasks:
            task.state = own[task.target].state

    def seen(self, rows: np.ndarray, student_hash: str) -> np.ndarray | None:
        """[rows] bool: which of these rows of the table have the inputs of a row that the teacher was trained or tuned
        on; None where its own rows are not to be had. ``student_hash``: the table's data hash."""
        known = self._own_rows(student_hash)
        return None if known is None else same_inputs(self.run.preparation, known, self.checked.take(rows))

    def _own_rows(self, student_hash: str) -> dict[str, pd.DataFrame] | None:
        """Its training and validation rows: by their ids in the student's table where this is its own, else in the
        table that it was fitted on, where that is still the same."""
        provenance = self.run.contents.provenance
        split, wanted = read_rows(self.run.path, "split.csv"), provenance["data_hash"]
        if split is None or "update" in provenance:  # an update has learned from other tables as well
            return None
        samples, checked, data = self.samples, self.checked, self.settings.data
        if student_hash != wanted:
            try:
                if not data.table:
                    return None
                samples = read_table(data.table, data)
                if data_hash(samples.frame) != wanted:
                    return None
                checked = self.run.preparation.check(samples.frame)
            except AnlageError:
                return None
        crossed = self.settings.split.folds is not None  # its last fit was on all rows
        learned = split["part"] != "none" if crossed else split["part"].isin(["train", "valid"])
        return checked.take(np.flatnonzero(samples.frame.index.isin(split.index[learned])))

    def refuse_leak(self, tests: np.ndarray, student_hash: str, settings: FitSettings, say: Say) -> np.ndarray | None:
        """[table rows] bool: the rows of ``tests`` that the teacher knows, which are then to be left out; None where
        this cannot be checked, which is said. AnlageError where it knows some and they may not be left out."""
        seen = self.seen(tests, student_hash)
        if seen is None:
            say(f"NOT CHECKED: whether teacher {self.source} was trained on any of the {len(tests)} test rows: its "
                "table or its rows/split.csv is gone or has changed, or it was updated since its fit")  # fmt: skip
            return None
        told = f"LEAK: teacher {self.source} was trained on {seen.sum()} of {len(tests)} test rows"
        if seen.any() and (seen.all() or not settings.evaluation.exclude_seen):
            raise AnlageError(f"{told}: fit the student on the teacher's split (its table, split options and --seed "
                              f"{self.settings.seed}), or leave them out with --exclude-seen")  # fmt: skip
        if seen.any():
            say(f"{told}: they are left out")
        known = np.zeros(len(self.samples.frame), dtype=bool)
        known[tests[seen]] = True
        return known

    def teach(self, tasks: Sequence[Task], rows: np.ndarray, train: np.ndarray, settings: FitSettings) -> list[Task]:
        """The tasks with the teacher's lesson. ``rows``: the table's rows that are prepared; ``train``: positions among
        them, of which alone the teacher speaks. The first task learns its vectors."""
        can = train[self.checked.usable[rows[train]]]
        table, device = self._table(rows[can]), fabric(settings.training).device
        said, vectors = _outputs(self.run.model.to(device), self._tasks(tasks), table, settings)
        lessons: list[Task] = []
        for task in tasks:
            values = torch.full((len(rows), said[task.target].shape[1]), torch.nan)
            values[can] = torch.from_numpy(said[task.target]).float()
            width = 0 if lessons else vectors.shape[1]
            theirs = torch.full((len(rows), width), torch.nan)
            theirs[can] = torch.from_numpy(vectors[:, :width])
            lessons.append(Distilled(task, Lesson(values, theirs), settings.distillation))
        return lessons

    def beside(
        self, model: Model, tasks: Sequence[Task], table: PreparedTable, rows: np.ndarray, train: np.ndarray,
        judged: np.ndarray, settings: FitSettings,
    ) -> Taught:  # fmt: skip
        """Both on the judged rows that both can read, pass by pass in turn. ``table``: ``rows`` as the student reads
        them; ``train``, ``judged``: positions among them."""
        device = fabric(settings.training).device
        can = self.checked.usable[rows[judged]]
        both, own, mine = judged[can], self._table(rows[judged[can]]), self._tasks(tasks)
        teacher, model = self.run.model.to(device), model.to(device)
        said: dict[str, np.ndarray] = {}
        fastest = [np.inf, np.inf]
        for _ in range(PASSES):
            start = time.monotonic()
            said = predict(teacher, mine, own, np.arange(len(both)))
            middle = time.monotonic()
            predict(model, tasks, table, both)
            taken = middle - start, time.monotonic() - middle
            fastest = [min(pair) for pair in zip(fastest, taken, strict=True)]
            if sum(taken) > LONG_PASS:
                break
        values = {}
        for task in tasks:
            values[task.target] = np.full((len(judged), said[task.target].shape[1]), np.nan)
            values[task.target][can] = said[task.target]
        known = [~np.isnan(table.targets[task.target][train]).all(axis=1) for task in tasks]
        unlabelled = int((~np.logical_or.reduce(known)).sum())
        sizes = [sum(p.numel() for p in one.parameters()) for one in (teacher, model)]
        return Taught(values, len(both), (fastest[0], fastest[1]), (sizes[0], sizes[1]), device.type, unlabelled)

    def told(
        self, taught: Sequence[Taught], scores: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]
    ) -> dict[str, Any]:
        """Both in numbers, for metrics.json. ``scores``: for each target what :func:`compare` found."""
        found: dict[str, Any] = {"source": self.source, "weights": self.digest}
        timed = sum(one.rows for one in taught)
        for number, name in enumerate(("teacher", "student")):
            took = sum(one.seconds[number] for one in taught)
            found[name] = {
                "parameters": taught[-1].parameters[number],
                "samples_per_second": timed / took if timed else None,
                "scores": {target: of[number] for target, of in scores.items()},
            }
        return found | {
            "difference": {target: of[2] for target, of in scores.items()},
            "device": taught[0].device,
            "unlabelled_rows": max(one.unlabelled for one in taught),
        }

    def _table(self, rows: np.ndarray) -> PreparedTable:
        return self.run.preparation.table(self.checked.take(rows))

    def _tasks(self, tasks: Sequence[Task]) -> list[Task]:
        targets = [task.target for task in tasks]
        return [task for task in self.run.preparation.tasks if task.target in targets]


def same_inputs(preparation: Preparation, known: dict[str, pd.DataFrame], new: dict[str, pd.DataFrame]) -> np.ndarray:
    """[new] bool: which checked rows share all their inputs (near-duplicates count) with one of the known rows."""
    both = {name: pd.concat([known[name], new[name]]) for name in new}
    groups = np.stack([item.modality.groups(both[item.name]) for item in preparation.inputs], axis=1)
    count = len(next(iter(known.values())))
    held = {tuple(group) for group in groups[:count]}
    return np.array([(group >= 0).any() and tuple(group) in held for group in groups[count:]], dtype=bool)


@torch.inference_mode()
def _outputs(
    model: Model, tasks: Sequence[Task], table: PreparedTable, settings: FitSettings
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """For each target [rows, k] the decoded values, and [rows, width] the fused vectors, in the batches of training."""
    model.eval()
    device, sizes = next(model.parameters()).device, table.sizes()
    values: dict[str, np.ndarray] = {}
    vectors = np.zeros((len(table), model.fusion.width), dtype=np.float32)
    fused: list[torch.Tensor] = []
    watch = model.fusion.register_forward_hook(lambda module, given, made: fused.append(made.pooled))
    training = settings.training
    for rows in in_order_of_size(np.arange(len(table)), sizes, training.batch_tokens, training.batch_samples):
        outputs = model(table.batch(rows).to(device))
        vectors[rows] = fused.pop().float().cpu().numpy()
        for task in tasks:
            decoded = task.decode(outputs[task.target].float())
            values.setdefault(task.target, np.zeros((len(table), decoded.shape[1])))[rows] = decoded
    watch.remove()
    return values, vectors


def compare(
    metric: Metric,
    truth: np.ndarray,
    teacher: np.ndarray,
    student: np.ndarray,
    groups: np.ndarray,
    settings: FitSettings,
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Of the same rows, on the same resamples: the teacher's score, the student's, and how much better the student is
    (positive = the student). ``truth`` [rows, outputs], values [rows, k], ``groups`` [rows]; rows that the teacher
    could not read (NaN), or without a truth, are left out."""
    rows = ~np.isnan(teacher).any(axis=1) & ~np.isnan(truth).all(axis=1)
    truth, teacher, student, groups = truth[rows], teacher[rows], student[rows], groups[rows]
    together = resampled_groups(groups, {"test": np.arange(len(truth))})
    counts = weights(together, len(truth), settings.evaluation.resamples, settings.seed)
    first, second = (resample(metric, truth, values, counts) for values in (teacher, student))
    gain = estimate_json(difference(metric, second, first, truth, together), counts=False)
    one, two = ({"metric": metric.name} | estimate_json(estimate(of, truth, together)) for of in (first, second))
    return one, two, gain
