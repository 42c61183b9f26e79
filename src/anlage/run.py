"""A finished run: a bundle that predicts, and what is known of how good it is."""

import html
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from anlage.bundle.contents import METRICS, REPORT, Contents
from anlage.bundle.numbers import interval
from anlage.bundle.read import read as read_bundle
from anlage.choosing import build_model
from anlage.config import from_dict
from anlage.encoders import lookup as encoders
from anlage.errors import AnlageError, Problem
from anlage.evaluation.novelty import NOVELTY, Novelty
from anlage.model import Model
from anlage.pretrain_settings import PretrainSettings
from anlage.safeguards import Safeguards, Values, labels
from anlage.samples.read import read, stream
from anlage.samples.samples import Samples
from anlage.settings import FitSettings
from anlage.training.pooled import predict_pooled
from anlage.training.preparation import Preparation, preparation_from_json


class Run:
    """A bundle, loaded and verified. ``path`` is its folder."""

    def __init__(self, path: Path | str, encoder: type | None = None):
        """Read the bundle. ``encoder``: your own class, where the bundle was fitted with one. AnlageError where the
        folder holds no sound bundle."""
        self.path = Path(path)
        self.contents: Contents = read_bundle(self.path)
        self._own = encoder

    @property
    def evaluation(self) -> dict[str, Any]:
        """What ``metrics.json`` holds: verdict, metrics with intervals, baselines, differences."""
        return self.contents.metrics

    @property
    def verdict(self) -> str:
        """Better than the baseline, or not: one line."""
        return str(self.contents.metrics["verdict"])

    @property
    def report_path(self) -> Path:
        """The HTML report."""
        return self.path / REPORT

    @property
    def settings(self) -> FitSettings | PretrainSettings:
        """All that the fit or the pretraining was told."""
        if self.contents.pretrained:
            return from_dict(self.contents.settings, PretrainSettings)
        return self.fit_settings

    @property
    def fit_settings(self) -> FitSettings:
        """All that the fit was told. AnlageError where the bundle was pretrained: it has no targets."""
        if self.contents.pretrained:
            raise AnlageError(
                f"{self.path} is a pretrained encoder and predicts nothing by itself: fit it to a target "
                f"(anlage fit TABLE --target COLUMN --encoder {self.path}), or take its vectors "
                f"(anlage embed {self.path} TABLE)"
            )
        return from_dict(self.contents.settings)

    @cached_property
    def preparation(self) -> Preparation:
        """Inputs and tasks as they were fitted."""
        try:
            return preparation_from_json(self.contents.inputs, self.contents.targets)
        except (KeyError, TypeError, ValueError) as error:
            raise AnlageError(f"{self.path}: its preparation cannot be restored ({error})") from error

    @cached_property
    def model(self) -> Model:
        """The network with its weights, in eval mode."""
        own = {self._own.__name__: self._own} if self._own else None
        choice = {item["name"]: encoders.from_json(item["encoder"], own) for item in self.contents.inputs}
        model = build_model(self.preparation, choice)
        try:
            model.load_state_dict(self.contents.weights)
        except RuntimeError as error:
            first = str(error).splitlines()[1].strip() if "\n" in str(error) else error
            raise AnlageError(f"{self.path}: the weights do not fit the model ({first})") from error
        return model.eval()

    @cached_property
    def safeguards(self) -> Safeguards:
        """What calibrates its predictions, makes sets and intervals, and flags rows that are unlike its training."""
        novelty = Novelty.read(self.path / NOVELTY) if NOVELTY in self.contents.files else None
        return Safeguards.from_json(self.contents.trust, self.preparation.tasks, novelty)

    def predict(self, table: str | Path | pd.DataFrame, say: Callable[[str], None] = print) -> pd.DataFrame:
        """A row for each row of ``table``, in its order, with its id as index. A row that cannot be used is named by
        ``say`` and has empty predictions. A DataFrame's columns are those that the model was fitted on."""
        samples = read(table, id_column=self.fit_settings.data.id)
        return self._predict(samples, say)

    def predict_stream(
        self, table: str | Path, rows: int = 10_000, say: Callable[[str], None] = print
    ) -> Iterator[pd.DataFrame]:
        """The same for tables larger than memory: frames of at most ``rows`` predictions."""
        for samples in stream(table, rows=rows, id_column=self.fit_settings.data.id):
            yield self._predict(samples, say)

    def values(self, samples: Samples, say: Callable[[str], None]) -> tuple[np.ndarray, Values]:
        """Numbers of the rows that can be used, and for each target the values that the metrics read."""
        rows, _, values, _ = self._read(samples, say)
        return rows, self.safeguards.calibrated(values)

    def _predict(self, samples: Samples, say: Callable[[str], None]) -> pd.DataFrame:
        rows, frames, values, vectors = self._read(samples, say)
        frame = pd.DataFrame(self.safeguards.columns(self.preparation.tasks, values), index=samples.frame.index[rows])
        flags = self.safeguards.flags(self.preparation, frames, vectors)
        if flags is not None:
            frame = frame.join(flags.astype({"unusual": "boolean"}))
        return frame.reindex(samples.frame.index)

    def _read(
        self, samples: Samples, say: Callable[[str], None]
    ) -> tuple[np.ndarray, dict[str, pd.DataFrame], Values, np.ndarray]:
        """Numbers of the rows that can be used, their inputs, what the model says of them before calibration, and the
        vectors that it says it from."""
        checked = self.preparation.check(samples.frame)
        tell_problems([*samples.problems, *checked.problems], say)
        rows = np.flatnonzero(checked.usable)
        frames, tasks = checked.take(rows), self.preparation.tasks
        values, vectors = predict_pooled(self.model, tasks, self.preparation.table(frames), np.arange(len(rows)))
        if not len(rows):
            values = {task.target: np.zeros((0, len(labels(task)))) for task in tasks}
        return rows, frames, values, vectors

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}): {self.verdict}"

    def _repr_html_(self) -> str:
        rows = []
        for target, entry in self.contents.metrics["targets"].items():
            for part, metrics in entry["model"].items():
                for name, m in metrics.items():
                    text = " ".join(interval(m))
                    rows.append(f"<tr><td>{html.escape(target)}</td><td>{part}</td><td>{name}</td><td>{text}</td></tr>")
        table = f"<table><tr><th>target</th><th>part</th><th>metric</th><th>value</th></tr>{''.join(rows)}</table>"
        return f"<p><b>{html.escape(self.verdict)}</b></p>{table}<p>{html.escape(str(self.path / METRICS))}</p>"


def tell_problems(problems: list[Problem], say: Callable[[str], None], most: int = 10) -> None:
    """Name bad rows: the first ``most`` one by one, the rest counted."""
    for problem in problems[:most]:
        say(f"{'unusable' if problem.fatal else 'mended'}: {problem}")
    if len(problems) > most:
        say(f"… and {len(problems) - most} more such rows")
