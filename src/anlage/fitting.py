"""The stages of a fit: read and choose, divide, train, judge. ``api.fit`` calls them one after the other."""

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

from anlage.choosing import Choice, adopt, choose_encoders, choose_tasks, columns_of
from anlage.corpus.values import seen_rows
from anlage.distillation.distilled import plain as undistilled
from anlage.distilling import Taught, Teacher, compare
from anlage.encoders import lookup as encoders
from anlage.errors import AnlageError, Problem
from anlage.evaluation.baselines import Baseline, fit_baselines
from anlage.evaluation.evaluate import primary_metric
from anlage.ladder import Bench, climb
from anlage.modalities.inputs import Roles, choose_inputs
from anlage.modalities.recognise import recognise
from anlage.model import Model
from anlage.samples.hashing import data_hash
from anlage.samples.read import read, read_parts
from anlage.samples.samples import Samples
from anlage.settings import FitSettings
from anlage.splits import assign, given
from anlage.splits.assign import Folds
from anlage.splits.settings import SplitSettings
from anlage.tasks.protocol import Task
from anlage.training.checkpoints import Progress
from anlage.training.devices import leads
from anlage.training.predict import predict
from anlage.training.preparation import CheckedTable, Preparation
from anlage.training.schedule import seconds


@dataclass
class Plan:
    """What will be fitted: decided, and told to the user, before anything is trained."""

    settings: FitSettings
    samples: Samples
    roles: Roles
    evidence: dict[str, str]
    """For each input, what showed its modality."""
    preparation: Preparation
    """Not yet fitted: each fold fits its own."""
    checked: CheckedTable
    folds: list[Folds]
    """One split; or one for each fold of a cross-validation and a last one, without test rows, for the bundle."""
    groups: np.ndarray
    data_hash: str
    problems: list[Problem]
    notes: list[str]
    teacher: Teacher | None = None
    leaked: np.ndarray | None = None
    """[rows] the test rows that the teacher was trained on, which are left out; None = not checked."""

    @property
    def targets(self) -> pd.DataFrame:
        return self.samples.frame


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


def plan(table: str | Path | pd.DataFrame, settings: FitSettings, say: Callable[[str], None]) -> Plan:
    """Read, recognise, choose inputs and tasks, check every value, and divide the rows."""
    data = settings.data
    if not data.target:
        raise AnlageError("say what to predict: --target COLUMN (`anlage inspect TABLE` lists the columns)")
    if not (data.valid or data.test):
        samples = read(table, id_column=data.id, where=data.where)
    else:
        samples = read_parts(table, data.valid, data.test, id_column=data.id, where=data.where)
    for note in samples.notes:
        say(note)
    named = dict(columns_of(text) for text in data.target)
    columns = [column for group in named.values() for column in group]
    for column in columns:
        if column not in samples.frame:
            has = ", ".join(samples.frame.columns[:20])
            raise AnlageError(f"no column '{column}' in {', '.join(samples.sources)}; columns: {has}")
    split = settings.split
    reserved = [c for c in (split.group, split.split, given.find(samples.frame)) if c and c in samples.frame]
    recognised = recognise(samples.frame, data.column)
    roles = choose_inputs(_learnable(samples, split), recognised, columns, data.input, data.drop, reserved)
    evidence = {item.name: recognised[item.columns[0]].evidence for item in roles.inputs}
    for item in roles.inputs:
        shown = f" ({len(item.columns)} columns)" if len(item.columns) > 1 else ""
        say(f"input {item.name}{shown}: {item.modality.name}, {evidence[item.name]}")
    for column, reason in roles.left_out:
        say(f"left out {column}: {reason}")

    source = settings.distillation.teacher
    teacher = Teacher(source, samples) if source else None
    choose = teacher.tasks if teacher is not None else choose_tasks
    targets = choose(samples.frame, named, data.task, say)
    preparation = Preparation(roles.inputs, targets)
    checked = preparation.check(samples.frame)
    problems = [*samples.problems, *checked.problems]
    for task in targets:
        asked = slice(None) if teacher is None else task.known(samples.frame)  # rows without a label are welcome then
        problems += task.check(samples.frame.loc[asked, task.columns])
    for note in checked.notes:
        say(note)
    undivided = Plan(
        settings=settings,
        samples=samples,
        roles=roles,
        evidence=evidence,
        preparation=preparation,
        checked=checked,
        folds=[],
        groups=np.array([]),
        data_hash=data_hash(samples.frame),
        problems=problems,
        notes=[*samples.notes, *checked.notes],
        teacher=teacher,
    )
    divided = _divide(undivided, say)
    if teacher is not None:
        tests = np.unique(np.concatenate([folds.rows("test") for folds in divided.folds]))
        divided.leaked = teacher.refuse_leak(tests, divided.data_hash, settings, say)
    return divided


def _learnable(samples: Samples, settings: SplitSettings) -> Samples:
    """The rows by which columns may be judged too telling to be inputs: where the table brings its split, the training
    rows alone. (A random split follows from the inputs, so it comes later; the rules only take columns away.)"""
    column = settings.split or given.find(samples.frame)
    if column is None or column == "random" or settings.folds:
        return samples
    part, _ = given.parts(samples.frame, column, settings.map)
    return replace(samples, frame=samples.frame[part == "train"])


def group_codes(samples: Samples, column: str) -> np.ndarray:
    """[rows] a number for each value of the group column (-1 = missing). Where that is the id column, its repeats were
    told apart by a "#2" on reading, which is taken away again."""
    if column == samples.id_column:
        return pd.factorize(samples.frame.index.str.replace(r"#\d+$", "", regex=True))[0]
    if column not in samples.frame:
        raise AnlageError(f"--group {column}: no such column; columns: {', '.join(samples.frame.columns[:20])}")
    return pd.factorize(samples.frame[column])[0]


def _divide(plan: Plan, say: Callable[[str], None]) -> Plan:
    """The folds of a plan: unusable rows have the part "none"."""
    settings, frame = plan.settings, plan.samples.frame
    known = np.zeros(len(frame), dtype=bool)
    for task in plan.preparation.tasks:
        known |= task.known(frame)
    keep = plan.checked.usable & known
    if not keep.all():
        say(f"{(~keep).sum()} of {len(frame)} rows cannot be used: {(~plan.checked.usable).sum()} without an input, "
            f"{(~known).sum()} without a target")  # fmt: skip
    if not keep.any():
        needed = " (a student needs some as well: they judge it)" if plan.teacher is not None else ""
        raise AnlageError(f"{', '.join(plan.samples.sources)}: no row has both an input and a target{needed}")
    labels, division = plan.preparation.groups(plan.checked), settings.split
    spare = np.zeros(len(frame), dtype=bool)  # rows without a label that a teacher can teach
    if plan.teacher is not None:
        spare = plan.checked.usable & plan.teacher.checked.usable & ~known
        own = division.split or given.find(frame)
        if own and own != "random" and not division.folds:
            division = replace(division, split=own)
            given_part, _ = given.parts(frame, own, division.map)
            spare &= given_part == "train"
            if (given_part[keep] == "valid").any():  # nothing is drawn
                keep = keep | _free(plan, np.where(keep, given_part, "none"), labels, spare)
    kept = np.flatnonzero(keep)
    groups = _joined(plan, labels, kept)
    task = plan.preparation.tasks[0]
    first = frame[task.columns].iloc[kept]
    discrete = task.name != "regression"
    codes = np.stack([pd.factorize(first[c])[0] if discrete else pd.to_numeric(first[c], errors="coerce")
                      for c in task.columns], axis=1).astype(float)  # fmt: skip
    strata = assign.strata(codes, discrete)
    used = frame.iloc[kept]
    if settings.split.folds:
        folds = assign.cross_validation(used.index.to_numpy(), division, groups, strata, settings.seed)
        everything = Folds(np.full(len(used), "train", dtype=object), used.index.to_numpy(), "all rows, for the bundle")
        folds.append(assign.with_validation(everything, division, groups, strata, settings.seed))
    else:
        folds = [assign.assign(used, division, groups, strata, settings.seed)]
    counts = ", ".join(f"{count} {part}" for part, count in folds[0].counts.items())
    say(f"split: {counts} ({folds[0].how})")
    for note in folds[0].notes:
        say(note)
    whole = []
    for one in folds:
        part = np.full(len(frame), "none", dtype=object)
        part[kept] = one.part
        whole.append(replace(one, part=part, ids=frame.index.to_numpy()))
    if plan.teacher is not None:
        for one in whole:  # the labelled rows are divided as they would be without a teacher
            one.part[_free(plan, one.part, labels, spare)] = "train"
        say(f"{(~known & (whole[0].part == 'train')).sum()} rows without a label are learned from through the teacher")
    all_groups = np.full(len(frame), -1)
    all_groups[kept] = groups
    return replace(plan, folds=whole, groups=all_groups)


def _joined(plan: Plan, labels: list[np.ndarray], rows: np.ndarray) -> np.ndarray:
    """[len(rows)] the group of each of these rows. ``labels``: for each input the group of each row of the table."""
    found = [label[rows] for label in labels]
    column = plan.settings.split.group
    if column:
        found.append(group_codes(plan.samples, column)[rows])
    if len(labels) > 1:  # a repeated drug is no duplicate sample: only rows alike in every input are
        inputs = np.stack(found[: len(labels)])
        found = [np.unique(inputs, axis=1, return_inverse=True)[1].reshape(-1), *found[len(labels) :]]
    return assign.join_groups(found)


def _free(plan: Plan, part: np.ndarray, labels: list[np.ndarray], spare: np.ndarray) -> np.ndarray:
    """[table rows] bool: those of the ``spare`` rows that are no duplicates or group-mates of validation or test rows,
    as ``part`` names them."""
    rows = np.flatnonzero((part != "none") | spare)
    groups = _joined(plan, labels, rows)
    held = groups[np.isin(part[rows], ["valid", "test"])]
    free = np.zeros(len(part), dtype=bool)
    free[rows] = spare[rows] & ~np.isin(groups, held)
    return free


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
    baselines = baselines_of(plain, frames, table.targets, here, judged, settings, say)
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
) -> dict[str, list[Baseline]]:  # fmt: skip
    """The plain, tuned baselines of each target, with their values for ``predict_rows``. One of several processes fits
    them."""
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
            metric=primary_metric(task, settings.evaluation),
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
