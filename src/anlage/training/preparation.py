"""From a table to what a model reads: checks, what is learned from the training rows, and the way back from a bundle.

Prediction replays exactly this; nothing is rebuilt from memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from anlage.errors import AnlageError, Problem
from anlage.modalities import lookup as modalities
from anlage.modalities.inputs import Input
from anlage.tasks import lookup as tasks
from anlage.tasks.protocol import Task
from anlage.training.batches import PreparedTable


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

    def groups(self, checked: CheckedTable) -> list[np.ndarray]:
        """Near-duplicate groups of each input, [rows] each."""
        return [item.modality.groups(checked.frames[item.name]) for item in self.inputs]

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


def preparation_from_json(inputs: Sequence[dict[str, Any]], targets: Sequence[dict[str, Any]]) -> Preparation:
    """The inverse of :meth:`Preparation.to_json`."""
    return Preparation(
        inputs=[Input(i["name"], modalities.from_json(i["modality"]), list(i["columns"])) for i in inputs],
        tasks=[tasks.from_json(t) for t in targets],
    )
