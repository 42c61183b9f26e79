"""The stages of a fit after its plan: train, judge, join folds. ``api.fit`` calls them one after the other."""

import copy
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from anlage.choosing import Choice, adopt, choose_encoders
from anlage.corpus.values import seen_rows
from anlage.distillation.distilled import plain as undistilled
from anlage.distilling import Taught, compare
from anlage.encoders import lookup as encoders
from anlage.evaluation.baselines import Baseline, fit_baselines
from anlage.evaluation.evaluate import evaluate_target, primary_metric
from anlage.evaluation.metrics_json import assemble
from anlage.ladder import Bench, climb
from anlage.model import Model
from anlage.planning import Plan
from anlage.settings import FitSettings
from anlage.splits.assign import Folds
from anlage.tasks.protocol import Task
from anlage.training.checkpoints import Progress
from anlage.training.devices import leads
from anlage.training.predict import predict
from anlage.training.preparation import Preparation
from anlage.training.schedule import seconds


@dataclass
class Trained:
    """One trained model and what it and the baselines say of the validation and test rows."""

    preparation: Preparation
    model: Model
    encoders: dict[str, Choice]
    progress: Progress
    ladder: dict[str, Any] | None
    """How its pretrained encoders were adapted, as in metrics.json."""
    rows: np.ndarray
    part: np.ndarray
    """[rows] "valid" or "test" """
    values: dict[str, np.ndarray]
    """For each target [rows, k]."""
    baselines: dict[str, list[Baseline]]
    taught: Taught | None = None


def train_fold(
    plan: Plan,
    folds: Folds,
    folder: Path,
    say: Callable[[str], None],
    interactive: bool,
    own_encoder: type | None = None,
) -> Trained:
    """Fit preparation, model and baselines on the training rows of one split, and predict its other rows."""
    settings = plan.settings
    fresh = Preparation([replace(i, modality=replace(i.modality)) for i in plan.preparation.inputs],
                        [type(t)(t.target, t.columns) for t in plan.preparation.tasks])  # fmt: skip
    rows = np.concatenate([folds.rows("train"), folds.rows("valid"), folds.rows("test")])
    frames = plan.checked.take(rows)
    targets = plan.targets.iloc[rows]
    counts = folds.counts
    here = {"train": np.arange(counts["train"]), "valid": counts["train"] + np.arange(counts["valid"])}
    rest = np.arange(counts["train"], len(rows))
    train_frames = {name: frame.iloc[here["train"]] for name, frame in frames.items()}
    teacher = plan.teacher
    if teacher is None:
        fresh.fit(train_frames, targets.iloc[here["train"]])
    else:
        Preparation(fresh.inputs, []).fit(train_frames, targets.iloc[here["train"]])
        teacher.fit(fresh.tasks)
    for task in fresh.tasks:
        for note in task.notes:
            say(note)
        unseen = [p for p in task.check(targets.iloc[rest][task.columns]) if "training label" in p.reason]
        if unseen:
            say(f"{task.target}: {len(unseen)} judged rows have a label that no training row has: left out there")
    choice = choose_encoders(fresh, settings.model.encoder, own_encoder)
    plain = copy.deepcopy(fresh)  # the baselines' view of the rows, which no pretrained encoder shapes
    adopt(fresh, choice)
    table = fresh.table(frames, targets)
    seen = seen_before(fresh, choice, frames)
    seen[: counts["train"] + counts["valid"]] = False  # test rows alone must be new
    bench = Bench(
        preparation=fresh, choice=choice, table=table, train=here["train"], valid=here["valid"],
        groups=plan.groups[rows[here["valid"]]], settings=settings, folder=folder,
        fingerprint=_fingerprint(plan, folds, choice), say=say, interactive=interactive,
    )  # fmt: skip
    if teacher is not None:
        lessons = teacher.teach(fresh.tasks, rows, here["train"], settings)
        bench = replace(bench, preparation=Preparation(fresh.inputs, lessons))
    kept, ladder = climb(bench)
    undistilled(kept.model)
    judged = here["valid"] if settings.evaluation.no_test else rest
    if plan.leaked is not None:
        judged = judged[~plan.leaked[rows[judged]]]
    if seen.any():
        left_out = settings.evaluation.exclude_seen
        judged = judged[~seen[judged]] if left_out else judged
        done = "they are left out" if left_out else "leave them out with --exclude-seen"
        say(f"LEAK: {seen.sum()} of {counts['test']} test rows were in the corpus of a pretrained encoder: {done}")
    if ladder is not None:
        ladder |= {"test_rows_seen": int(seen.sum()), "test_rows_left_out": settings.evaluation.exclude_seen}
    part = np.where(judged < counts["train"] + counts["valid"], "valid", "test")
    values = predict(kept.model, fresh.tasks, kept.table, judged)
    baselines = baselines_of(plain, frames, table.targets, here, judged, settings, say, refit=folds.valid_drawn)
    taught = None
    if teacher is not None:
        taught = teacher.beside(kept.model, fresh.tasks, table, rows, here["train"], judged, settings)
    return Trained(fresh, kept.model, choice, kept.progress, ladder, rows[judged], part, values, baselines, taught)


def seen_before(preparation: Preparation, choice: dict[str, Choice], frames: dict[str, pd.DataFrame]) -> np.ndarray:
    """[rows] bool: whether an input's value was in the corpus that its encoder was pretrained on."""
    seen = np.zeros(len(next(iter(frames.values()))), dtype=bool)
    for item in preparation.inputs:
        if (foundation := choice[item.name].foundation) is not None:
            seen |= seen_rows(foundation.source, item.modality, frames[item.name])
    return seen


def _fingerprint(plan: Plan, folds: Folds, choice: dict[str, Choice]) -> str:
    """Hash of all that decides the weights."""
    described = {
        name: [encoders.to_json(chosen.settings), chosen.foundation and chosen.foundation.digest]
        for name, chosen in choice.items()
    }
    taught = plan.teacher and plan.teacher.digest
    decided = [asdict(plan.settings), plan.data_hash, folds.hash, list(folds.ids), described, taught]
    return hashlib.sha256(json.dumps(decided, default=str).encode()).hexdigest()


def baselines_of(
    preparation: Preparation, frames: dict[str, pd.DataFrame], truth: dict[str, np.ndarray],
    folds: dict[str, np.ndarray], predict_rows: np.ndarray, settings: FitSettings, say: Callable[[str], None],
    refit: bool,
) -> dict[str, list[Baseline]]:  # fmt: skip
    """The plain, tuned baselines of each target, with their values for ``predict_rows``. One of several processes fits
    them. ``refit``: see :func:`fit_baselines`."""
    if not leads():
        return {task.target: [] for task in preparation.tasks}
    started = time.monotonic()
    features = preparation.descriptors(frames)
    result: dict[str, list[Baseline]] = {}
    budget = seconds(settings.evaluation.baseline_budget) / len(preparation.tasks)
    for task in preparation.tasks:
        if np.isnan(truth[task.target][folds["train"]]).all():  # all were taught
            say(f"no baseline of {task.target}: no training row has a label")
            result[task.target] = []
            continue
        fitted = fit_baselines(
            features, task, truth[task.target], folds, seed=settings.seed, budget_seconds=budget,
            metric=primary_metric(task, settings.evaluation), refit=refit,
        )  # fmt: skip
        result[task.target] = [replace(baseline, values=baseline.values[predict_rows]) for baseline in fitted]
    count = sum(block.shape[1] for block in features.values())
    say(f"baselines on {count:,} descriptors took {time.monotonic() - started:.0f} s")
    return result


def evaluation_rows(trained: Sequence[Trained], plan: Plan) -> dict[str, Any]:
    """Validation and test rows of all folds, one after the other: what the evaluation reads."""
    part = np.concatenate([t.part for t in trained])
    return {
        "rows": np.concatenate([t.rows for t in trained]),
        "parts": {name: np.flatnonzero(part == name) for name in ("valid", "test") if (part == name).any()},
        "groups": np.concatenate([plan.groups[t.rows] for t in trained]),
    }


@dataclass
class Judged:
    """What the evaluation reads of one target: all folds one after the other, in the labels of all folds together."""

    task: Task
    truth: np.ndarray
    values: np.ndarray
    baselines: list[Baseline]


def join_folds(trained: Sequence[Trained], plan: Plan, target: str) -> Judged:
    """One target of all folds. A label that a fold's training rows lack has probability 0 there."""
    tasks_ = [next(t for t in one.preparation.tasks if t.target == target) for one in trained]
    whole = copy.deepcopy(tasks_[0])
    named = [list(getattr(task, "labels", [])) for task in tasks_]
    union = list(dict.fromkeys(label for labels in named for label in labels))
    if union:  # a task without labels (regression) has nothing to join
        whole.labels = union  # type: ignore[attr-defined]

    def spread(values: np.ndarray, labels: list[str]) -> np.ndarray:
        if labels == union:
            return values
        wide = np.zeros((len(values), len(union)))
        wide[:, [union.index(label) for label in labels]] = values
        return wide

    folds = list(zip(trained, named, strict=True))
    baselines = []
    for number, first in enumerate(trained[0].baselines[target]):
        same = [one.baselines[target][number] for one in trained]
        values = np.concatenate([spread(b.values, labels) for b, labels in zip(same, named, strict=True)])
        settings = {f"fold {i + 1}": b.settings for i, b in enumerate(same)} if len(same) > 1 else first.settings
        baselines.append(replace(first, values=values, settings=settings, seconds=sum(b.seconds for b in same)))
    rows = np.concatenate([one.rows for one in trained])
    return Judged(
        task=whole,
        truth=whole.encode(plan.targets.iloc[rows][whole.columns]),
        values=np.concatenate([spread(one.values[target], labels) for one, labels in folds]),
        baselines=baselines,
    )


def distillation(trained: Sequence[Trained], plan: Plan, rows: dict[str, Any]) -> dict[str, Any] | None:
    """Teacher and student on the same judged rows, as in metrics.json; None where there was no teacher. ``rows``: of
    :func:`evaluation_rows`."""
    taught = [one.taught for one in trained if one.taught is not None]
    if plan.teacher is None or not taught:
        return None
    part = "test" if "test" in rows["parts"] else "valid"
    chosen, scores = rows["parts"][part], {}
    for task in trained[0].preparation.tasks:
        student = join_folds(trained, plan, task.target)
        metric = primary_metric(student.task, plan.settings.evaluation)
        values = np.concatenate([one.values[task.target] for one in taught])
        scores[task.target] = compare(
            metric, student.truth[chosen], values[chosen], student.values[chosen], rows["groups"][chosen], plan.settings
        )
    leaked = None if plan.leaked is None else int(plan.leaked.sum())
    return plan.teacher.told(taught, scores) | {"part": part, "rows": len(chosen), "test_rows_seen": leaked}


def judge(plan: Plan, trained: Sequence[Trained], judged: Sequence[Trained]) -> tuple[dict[str, Any], dict[str, Any]]:
    """metrics.json, and the rows that it was measured on."""
    settings, rows = plan.settings, evaluation_rows(judged, plan)
    targets = {}
    for fitted in trained[-1].preparation.tasks:
        whole = join_folds(judged, plan, fitted.target)
        targets[fitted.target] = evaluate_target(
            whole.task,
            whole.truth,
            whole.values,
            whole.baselines,
            rows["parts"],
            rows["groups"],
            settings.evaluation,
            settings.seed,
        )
    training = {
        "seconds": round(sum(one.progress.seconds for one in trained), 1),
        "steps": sum(one.progress.step for one in trained),
        "best_step": trained[-1].progress.best_step,
        "parameters": sum(p.numel() for p in trained[-1].model.parameters()),
        "folds": settings.split.folds,
    }
    folds = plan.folds[0]
    metrics = assemble(
        targets, resamples=settings.evaluation.resamples, seed=settings.seed, split_hash=folds.hash,
        data_hash=plan.data_hash, training=training, adaptation=_adaptation(trained),
        distillation=distillation(judged, plan, rows),
    )  # fmt: skip
    return metrics, rows


def _adaptation(trained: Sequence[Trained]) -> dict[str, Any] | None:
    """The ladder of the model in the bundle, and what each fold of a cross-validation kept."""
    ladder = trained[-1].ladder
    kept = [one.ladder["kept"] for one in trained[:-1] if one.ladder]
    return None if ladder is None else ladder | {"folds": kept or None}
