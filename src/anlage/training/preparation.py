"""From a table to what a model reads: checks, what is learned from the training rows, and the way back from a bundle.

Prediction replays exactly this; nothing is rebuilt from memory.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from anlage.errors import AnlageError, Problem
from anlage.modalities import lookup as modalities
from anlage.modalities.inputs import Input
from anlage.splits import assign, similarity
from anlage.tasks import lookup as tasks
from anlage.tasks.protocol import Task
from anlage.training.batches import PreparedTable
from anlage.training.vectors import cache_folder


@dataclass
class CheckedTable:
    """A table in normal form: ``frames`` by input name and ``usable`` rows, which have at least one input."""

    frames: dict[str, pd.DataFrame]
    usable: np.ndarray
    problems: list[Problem]
    notes: list[str]

    def take(self, rows: np.ndarray) -> dict[str, pd.DataFrame]:
        """The frames of these rows."""
        return {name: frame.iloc[rows] for name, frame in self.frames.items()}


@dataclass
class Preparation:
    """The inputs and tasks of a model with all that they learned from the training rows."""

    inputs: list[Input]
    tasks: list[Task]

    def check(self, frame: pd.DataFrame) -> CheckedTable:
        """Normal form of every input and the names of bad rows. AnlageError where an input column is missing."""
        problems: list[Problem] = []
        notes: list[str] = []
        frames = {}
        present = np.zeros(len(frame), dtype=bool)
        for item in self.inputs:
            missing = [column for column in item.columns if column not in frame]
            if missing:
                has = ", ".join(map(str, frame.columns[:20]))
                raise AnlageError(f"the table lacks the input column '{missing[0]}'; it has: {has}")
            checked = item.modality.check(frame[item.columns])
            frames[item.name] = checked.frame
            problems += checked.problems
            notes += [f"{item.name}: {note}" for note in checked.notes]
            present |= checked.frame.notna().any(axis=1).to_numpy()
        return CheckedTable(frames, present, problems, notes)

    def groups(
        self, frames: dict[str, pd.DataFrame], least: Mapping[str, float], say: Callable[[str], None]
    ) -> list[np.ndarray]:
        """Groups of each input, [rows] each: of samples that are similar by ``least`` (see
        :func:`anlage.splits.similarity.drawn_groups`), for inputs that are not named there of equal ones."""
        folder = cache_folder()
        return [similarity.groups(i, frames[i.name], least.get(i.name), folder, say) for i in self.inputs]

    def strata(self, targets: pd.DataFrame) -> assign.Strata:
        """By what a drawn split is balanced: [rows] the label or the quantile where one column of one label is
        predicted, else [rows, labels] 0/1 of all labels and quantiles of all targets. Needs no fit."""
        if not self.tasks:
            return np.zeros(len(targets), dtype=np.int64)
        first = self.tasks[0]
        if len(self.tasks) == 1 and len(first.columns) == 1 and first.name != "multilabel":
            return _stratum(targets[first.columns[0]], first)
        blocks = []
        for task in self.tasks:
            if task.name == "multilabel":
                with suppress(AnlageError):  # no label is held by some rows and not by others
                    blocks.append(copy(task).fit(targets[task.columns]).encode(targets[task.columns]) == 1)
                continue
            for column in task.columns:
                number = _stratum(targets[column], task)
                blocks.append(number[:, None] == np.arange(1, number.max(initial=0) + 1))
        if not blocks:
            return np.zeros(len(targets), dtype=np.int64)
        return sp.csr_array(np.concatenate(blocks, axis=1).astype(np.int64))

    def fit(self, frames: dict[str, pd.DataFrame], targets: pd.DataFrame) -> None:
        """Learn from TRAINING rows alone."""
        for item in self.inputs:
            item.modality.fit(frames[item.name])
        for task in self.tasks:
            task.fit(targets[task.columns])

    def table(self, frames: dict[str, pd.DataFrame], targets: pd.DataFrame | None = None) -> PreparedTable:
        """Parts and indices of all rows, with the truth where ``targets`` are given."""
        inputs = {item.name: item.modality.prepare(frames[item.name]) for item in self.inputs}
        truth = {} if targets is None else {task.target: task.encode(targets[task.columns]) for task in self.tasks}
        return PreparedTable(inputs, truth)

    def descriptors(self, frames: dict[str, pd.DataFrame]) -> dict[str, np.ndarray | sp.csr_matrix]:
        """[rows, features] plain features of each input, for the baselines."""
        return {item.name: item.modality.descriptors(frames[item.name]).values for item in self.inputs}

    def to_json(self) -> dict[str, Any]:
        """Everything fitted, for the bundle."""
        inputs = [{"name": i.name, "columns": i.columns, "modality": i.modality.to_json()} for i in self.inputs]
        return {"inputs": inputs, "targets": [task.to_json() for task in self.tasks]}


def _stratum(column: pd.Series, task: Task) -> np.ndarray:
    """[rows] the number of the label or of the quantile, from 1 on; 0 = missing."""
    discrete = task.name != "regression"
    codes = pd.factorize(column)[0] if discrete else pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    return assign.strata(codes.astype(float)[:, None], discrete)


def preparation_from_json(inputs: Sequence[dict[str, Any]], targets: Sequence[dict[str, Any]]) -> Preparation:
    """The inverse of :meth:`Preparation.to_json`."""
    return Preparation(
        inputs=[Input(i["name"], modalities.from_json(i["modality"]), list(i["columns"])) for i in inputs],
        tasks=[tasks.from_json(t) for t in targets],
    )
