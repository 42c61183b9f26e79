"""Training what a plan describes: each fold with its baselines, and what guards its predictions."""

import copy
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from anlage.choosing import Choice, adopt, choose_encoders
from anlage.corpus.values import seen_rows
from anlage.distillation.distilled import plain as undistilled
from anlage.distilling import Taught
from anlage.encoders import lookup as encoders
from anlage.evaluation.baselines import Baseline, fit_baselines
from anlage.evaluation.evaluate import primary_metric
from anlage.evaluation.subgroups import levels
from anlage.evaluation.thresholds import parse_goal, require_used
from anlage.ladder import Bench, climb
from anlage.model import Model
from anlage.planning import Plan
from anlage.safeguards import Safeguards, Values, calibration_rows, labels
from anlage.settings import FitSettings
from anlage.splits.assign import Folds
from anlage.training.checkpoints import Progress
from anlage.training.devices import leads
from anlage.training.pooled import predict_pooled
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
    raw: Values
    """Before calibration."""
    safeguards: Safeguards
    calibrating: np.ndarray
    """[rows] bool: validation rows that calibrated and did not stop the training."""
    unusual: np.ndarray | None
    """[rows] bool: flagged as unlike the training rows; None where nothing tells."""
    seen: np.ndarray
    """Row numbers of the table: test rows that were in the corpus of a pretrained encoder."""
    baselines: dict[str, list[Baseline]]
    taught: Taught | None = None

    @property
    def values(self) -> Values:
        """For each target [rows, k], calibrated: what predictions show and metrics read."""
        return self.safeguards.calibrated(self.raw)


def train(
    plan: Plan, folder: Path, say: Callable[[str], None], interactive: bool, own_encoder: type | None = None
) -> list[Trained]:
    """Train the folds of a plan, each in a folder of its own where there are several."""
    trained = []
    for number, folds in enumerate(plan.folds):
        if len(plan.folds) > 1:
            say(folds.how)
        place = folder / (f"fold-{number + 1}" if len(plan.folds) > 1 else "")
        trained.append(train_fold(plan, folds, place, say, interactive, own_encoder))
    return trained


def check(plan: Plan) -> None:
    """AnlageError, before anything is trained, where a goal or a subgroup that is asked for cannot be judged."""
    for goal in plan.settings.evaluation.threshold:
        parse_goal(goal)
    for column in plan.settings.evaluation.subgroup:
        levels(plan.samples.frame, column)


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
    require_used(settings.evaluation.threshold, {t.target: (t.name, labels(t)) for t in fresh.tasks})
    choice = choose_encoders(fresh, settings.model.encoder, own_encoder)
    plain = copy.deepcopy(fresh)  # the baselines' view of the rows, which no pretrained encoder shapes
    adopt(fresh, choice)
    table = fresh.table(frames, targets)
    seen = seen_before(fresh, choice, frames)
    seen[: counts["train"] + counts["valid"]] = False  # test rows alone must be new
    valid_rows = rows[here["valid"]]
    calibrating = calibration_rows(
        plan.samples.frame.index.to_numpy()[valid_rows], plan.groups[valid_rows],
        settings.evaluation.calibration_fraction, settings.seed,
    )  # fmt: skip
    if calibrating.any():
        say(f"{calibrating.sum()} of {len(calibrating)} validation rows calibrate and do not stop the training")
    bench = Bench(
        preparation=fresh, choice=choice, table=table, train=here["train"], valid=here["valid"][~calibrating],
        groups=plan.groups[valid_rows[~calibrating]], settings=settings, folder=folder,
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
    raw, vectors = predict_pooled(kept.model, fresh.tasks, kept.table, judged)
    safeguards = Safeguards.fit(
        fresh, kept.model, kept.table, frames, here, calibrating, plan.groups[valid_rows], settings.evaluation,
        settings.seed,
    )  # fmt: skip
    for note in safeguards.notes:
        say(note)
    unusual = safeguards.flags(fresh, {name: frame.iloc[judged] for name, frame in frames.items()}, vectors)
    baselines = baselines_of(plain, frames, table.targets, here, judged, settings, say, refit=folds.valid_drawn)
    taught = None
    if teacher is not None:
        taught = teacher.beside(kept.model, fresh.tasks, table, rows, here["train"], judged, settings)
    apart = np.zeros(len(rows), dtype=bool)
    apart[here["valid"][calibrating]] = True
    return Trained(
        preparation=fresh, model=kept.model, encoders=choice, progress=kept.progress, ladder=ladder,
        rows=rows[judged], part=part, raw=raw, safeguards=safeguards, calibrating=apart[judged],
        unusual=None if unusual is None else unusual["unusual"].to_numpy(), seen=rows[seen], baselines=baselines,
        taught=taught,
    )  # fmt: skip


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
