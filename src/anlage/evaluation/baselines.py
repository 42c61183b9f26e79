"""The plain baselines that a model has to beat, on the same split and rows: the majority or the mean, a linear model
and boosted trees on the descriptors. Fitted on the training rows, tuned on the validation rows, bounded in time.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from anlage.evaluation import boosting, linear
from anlage.evaluation.features import Matrix, for_linear, side_by_side
from anlage.metrics.metric import Metric
from anlage.tasks.protocol import Task

KINDS = {"classification": "classes", "multilabel": "labels", "regression": "numbers"}
"""What the target of a task is for a baseline; other tasks have no plain baselines yet."""
MOST_CLASSES = 100
"""With more classes than this, boosting is left out: every class is a tree in every round."""


@dataclass
class Baseline:
    """A fitted baseline: ``values`` [rows, k] for all rows, as the task's ``decode`` gives them."""

    name: str
    values: np.ndarray
    settings: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    note: str = ""


Predict = Callable[[Matrix], np.ndarray]


class _Learner(Protocol):
    def fit(self, settings: dict[str, Any], deadline: float) -> tuple[Predict, str]: ...

    def again(
        self, features: Matrix, truth: np.ndarray, settings: dict[str, Any], deadline: float
    ) -> tuple[Predict, str]: ...


@dataclass(frozen=True)
class _Job:
    """What all baselines share. ``truth`` [rows, outputs] is NaN where missing; ``score`` judges values of the rows
    ``valid``, greater = better."""

    kind: str
    truth: np.ndarray
    classes: int
    train: np.ndarray
    valid: np.ndarray
    score: Callable[[np.ndarray], tuple[float, float]]
    refit: bool

    def known(self, rows: np.ndarray, output: int) -> np.ndarray:
        """Those of ``rows`` whose truth is known for one output."""
        return rows[~np.isnan(self.truth[rows, output])]

    def constant(self) -> np.ndarray:
        """[k]: the training frequencies of classes or labels, or the training means."""
        if self.kind == "classes":
            known = self.truth[self.known(self.train, 0), 0]
            counts = np.bincount(known.astype(int), minlength=self.classes)
            return counts / counts.sum()
        return np.nan_to_num(np.nanmean(self.truth[self.train].astype(np.float64), axis=0))


def fit_baselines(
    descriptors: Mapping[str, Matrix],
    task: Task,
    truth: np.ndarray,
    folds: Mapping[str, np.ndarray],
    *,
    seed: int = 0,
    budget_seconds: float = 300.0,
    metric: Metric | None = None,
    refit: bool = False,
) -> list[Baseline]:
    """Fit and tune the baselines of one target.

    ``descriptors``: [rows, features] for each input, dense (NaN = missing) or csr. ``truth``: [rows, outputs] of
    ``task.encode``. ``folds``: row numbers of "train" and, where there is one, "valid"; other rows are only predicted.
    ``metric`` decides what is tuned for (default: the task's first); of equals the smaller loss wins.
    ``refit``: once tuned, fit again on training and validation rows together for the rows outside of both, as one does
    where the validation rows are training rows set apart; "valid" keeps the values of the fit that did not know it.
    An empty list where the task has no plain baselines.
    """
    kind = KINDS.get(task.name)
    if kind is None or not descriptors:
        return []
    known = ~np.isnan(truth).all(axis=1)
    train, valid = (np.asarray(folds.get(part, []), dtype=np.int64) for part in ("train", "valid"))
    train, valid = train[known[train]], valid[known[valid]]
    classes = len(task.labels) if kind == "classes" else 2  # type: ignore[attr-defined]
    job = _Job(kind, truth, classes, train, valid, _scorer(task, truth[valid], metric), refit)

    name = "training mean" if kind == "numbers" else "majority class" if kind == "classes" else "training frequency"
    found = [Baseline(name, np.tile(job.constant(), (len(truth), 1)))]
    with_trees = classes <= MOST_CLASSES
    start = time.monotonic()
    middle = start + budget_seconds * (0.4 if with_trees else 1.0)
    found.append(_linear(job, descriptors, middle))
    if with_trees:
        found.append(_boosting(job, descriptors, seed, start + budget_seconds))
    else:
        why = f"boosted trees were left out: {classes:,} classes are as many trees a round"
        found[-1].note = "; ".join(part for part in (found[-1].note, why) if part)
    return found


def _scorer(task: Task, truth: np.ndarray, metric: Metric | None) -> Callable[[np.ndarray], tuple[float, float]]:
    """(metric, minus the loss) of values for the rows of ``truth``; greater = better."""
    first = metric or next(iter(task.metrics.values()))
    loss = task.metrics["rmse" if KINDS[task.name] == "numbers" else "log_loss"]
    sign = 1.0 if first.greater_is_better else -1.0

    def score(values: np.ndarray) -> tuple[float, float]:
        main = sign * first(truth, values)
        return (main if np.isfinite(main) else -np.inf), -loss(truth, values)

    return score


def _linear(job: _Job, descriptors: Mapping[str, Matrix], deadline: float) -> Baseline:
    start = time.monotonic()
    features = for_linear(descriptors, job.train)
    name = "ridge regression" if job.kind == "numbers" else "logistic regression"
    if not features.shape[1]:
        return Baseline(name, np.tile(job.constant(), (len(job.truth), 1)), note="no feature varies in training")
    learners: list[_Learner | None] = []
    for output in range(job.truth.shape[1]):
        rows = job.known(job.train, output)
        truth = job.truth[rows, output].astype(np.float64)
        learners.append(linear.Linear(job.kind, features[rows], truth, job.classes) if len(rows) else None)
    tried = linear.CS if job.classes <= MOST_CLASSES else linear.CS_MANY
    tried = linear.ALPHAS if job.kind == "numbers" else tried
    if not len(job.valid):
        tried = [tried[len(tried) // 2]]
    return _tune(job, Baseline(name, np.empty(0)), learners, features, tried, start, deadline, worse_in_a_row=2)


def _boosting(job: _Job, descriptors: Mapping[str, Matrix], seed: int, deadline: float) -> Baseline:
    start = time.monotonic()
    features = side_by_side(descriptors)
    learners: list[boosting.Boosting | None] = []
    for output in range(job.truth.shape[1]):
        train, valid = job.known(job.train, output), job.known(job.valid, output)
        truth = job.truth[:, output].astype(np.float64)
        watched = (features[valid], truth[valid]) if len(valid) else None
        known = (features[train], truth[train])
        learners.append(boosting.Boosting(job.kind, known, watched, job.classes, seed) if len(train) else None)
    built = [learner for learner in learners if learner is not None]
    threads = built[0].fastest_threads(deadline) if built else 1
    for learner in built:
        learner.common["num_threads"] = threads
    tried = boosting.SETTINGS if len(job.valid) else boosting.SETTINGS[:1]
    blank = Baseline("LightGBM", np.empty(0))
    return _tune(job, blank, learners, features, tried, start, deadline, worse_in_a_row=len(tried))


def _tune(
    job: _Job,
    found: Baseline,
    learners: Sequence[_Learner | None],
    features: Matrix,
    tried: list[dict[str, Any]],
    start: float,
    deadline: float,
    worse_in_a_row: int,
) -> Baseline:
    """``found``, filled in with the settings that are best on validation, each tried for all outputs, until the time
    is up or they got worse several times in a row."""
    watched = features[job.valid]
    best: list[Predict | None] = []
    best_score, worse, cut = (-np.inf, -np.inf), 0, ""
    for number, settings in enumerate(tried):
        models, note = _fit_outputs(learners, settings, deadline)
        score = job.score(_predict(job, models, watched)) if len(job.valid) else (0.0, 0.0)
        if not best or score > best_score:
            best, best_score, worse = models, score, 0
            found.settings, found.note = dict(settings), note
        else:
            worse += 1
        if worse >= worse_in_a_row:
            break
        if time.monotonic() > deadline and number + 1 < len(tried):
            cut = f"{number + 1} of {len(tried)} settings tried in the time"
            break
    if not len(job.valid):
        cut = "no validation rows: not tuned"
    found.values = _predict(job, best, features)
    if job.refit and len(job.valid):
        cut = "; ".join(part for part in (cut, _again(job, found, learners, features, deadline)) if part)
    found.seconds = time.monotonic() - start
    found.note = "; ".join(part for part in (found.note, cut) if part)
    return found


def _again(job: _Job, found: Baseline, learners: Sequence[_Learner | None], features: Matrix, deadline: float) -> str:
    """Fit the chosen settings on training and validation rows, for the rows outside of both; what was cut short."""
    if time.monotonic() > deadline:
        return "no time to fit again with the validation rows"
    models: list[Predict | None] = []
    notes = set()
    for output, learner in enumerate(learners):
        rows = job.known(np.concatenate([job.train, job.valid]), output)
        if learner is None:
            models.append(None)
            continue
        model, note = learner.again(features[rows], job.truth[rows, output].astype(float), found.settings, deadline)
        models.append(model)
        notes.add(note)
    outside = np.ones(len(job.truth), dtype=bool)
    outside[job.train] = outside[job.valid] = False
    if outside.any():
        found.values[outside] = _predict(job, models, features[np.flatnonzero(outside)])
    return "; ".join(sorted(notes - {""}))


def _fit_outputs(
    learners: Sequence[_Learner | None], settings: dict[str, Any], deadline: float
) -> tuple[list[Predict | None], str]:
    """One model for each output (None where it has no rows), the remaining time shared out evenly."""
    models: list[Predict | None] = []
    notes = set()
    for i, learner in enumerate(learners):
        if learner is None:
            models.append(None)
            continue
        now = time.monotonic()
        model, note = learner.fit(settings, now + max(0.0, deadline - now) / (len(learners) - i))
        models.append(model)
        notes.add(note)
    return models, "; ".join(sorted(notes - {""}))


def _predict(job: _Job, models: list[Predict | None], features: Matrix) -> np.ndarray:
    """[rows, k]; the constant for an output without a model."""
    columns = []
    for i, model in enumerate(models):
        if model is None:
            columns.append(np.full((features.shape[0], 1), job.constant()[i]))
            continue
        values = model(features)
        columns.append(values[:, 1:] if job.kind == "labels" else values)
    return np.concatenate(columns, axis=1)
