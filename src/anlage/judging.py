"""A bundle judged on labelled rows that it has not seen: the test rows that were left alone, or a new cohort."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from anlage import fitting, planning
from anlage.errors import AnlageError
from anlage.evaluation.baselines import Baseline
from anlage.evaluation.estimates import resampled_groups
from anlage.evaluation.evaluate import evaluate_target, primary_metric
from anlage.evaluation.metrics_json import assemble
from anlage.evaluation.novelty import measure as measure_novelty
from anlage.lineage import lineage, replan
from anlage.report.render import render
from anlage.report.view import ReportView, TargetView
from anlage.run import Run, tell_problems
from anlage.safeguards import Values, labels
from anlage.samples.hashing import data_hash
from anlage.samples.read import read
from anlage.samples.relabel import relabel
from anlage.training.pooled import predict_pooled

Say = Callable[[str], None]
Judged = tuple[dict[str, Any], str]
"""What metrics.json holds, and the report's HTML."""


def judge_test(run: Run, say: Say) -> Judged:
    """The test rows of the run's own split. AnlageError where its table is gone or has changed since."""
    plan = _own_plan(run, say)
    if plan is None:
        raise AnlageError(f"{run.path}: its table is gone or has changed: give labelled rows: evaluate RUN TABLE")
    folds = plan.folds[0]
    if not len(folds.rows("test")) or run.fit_settings.split.folds:
        raise AnlageError(f"{run.path}: its split has no test rows to judge: give labelled rows: evaluate RUN TABLE")
    rows = np.concatenate([folds.rows("valid"), folds.rows("test")])
    return _judge(run, plan.samples.frame.iloc[rows], folds.part[rows], plan.groups[rows], plan, say)


def judge_cohort(run: Run, table: Any, say: Say) -> Judged:
    """New labelled rows. AnlageError where the table has not all targets."""
    data = run.fit_settings.data
    samples = relabel(read(table, id_column=data.id), data.relabel, whole=False)
    tell_problems(samples.problems, say)
    column = run.fit_settings.split.group
    known = column is not None and (column in samples.frame or column == samples.id_column)
    codes = planning.group_codes(samples, str(column)) if known else None
    plan = _own_plan(run, say)
    if plan is not None:
        _say_overlap(run, samples.frame, say)
    return _judge(run, samples.frame, np.full(len(samples), "test", dtype=object), codes, plan, say)


def _say_overlap(run: Run, frame: pd.DataFrame, say: Say) -> None:
    """Rows of the cohort whose inputs the model was trained on, by fit or update, flatter it: count them aloud."""
    try:
        learned = lineage(run)
    except AnlageError as error:
        say(f"rows that an update was trained on cannot be looked for: {error}")
        return
    train = {name: inputs.iloc[learned.rows("train")] for name, inputs in learned.inputs.items()}
    new = run.preparation.check(frame).frames
    both = {name: pd.concat([train[name], new[name]]) for name in new}
    groups = np.stack([item.modality.groups(both[item.name]) for item in run.preparation.inputs], axis=1)
    count = len(next(iter(train.values())))
    known = {tuple(group) for group in groups[:count]}
    seen = sum(tuple(group) in known for group in groups[count:] if (group >= 0).any())
    if seen:
        say(f"LEAK: {seen} of {len(frame)} rows have the same inputs as a training row of this model")


def _judge(
    run: Run, frame: pd.DataFrame, part: np.ndarray, groups: np.ndarray | None, plan: planning.Plan | None, say: Say
) -> Judged:
    """``part`` [rows] is "valid" (chooses the baseline to beat) or "test"; ``groups`` [rows] are resampled together."""
    tasks, settings = run.preparation.tasks, run.fit_settings
    for task in tasks:
        for column in task.columns:
            if column not in frame:
                raise AnlageError(f"no target column '{column}' to judge by; columns: {', '.join(frame.columns[:20])}")
        tell_problems(task.check(frame[task.columns]), say)
    checked = run.preparation.check(frame)
    tell_problems(checked.problems, say)
    rows = np.flatnonzero(checked.usable)
    if not len(rows):
        raise AnlageError("no row has an input that this bundle can read")
    frames, labelled = checked.take(rows), frame.iloc[rows]
    table = run.preparation.table(frames, labelled)
    raw, vectors = predict_pooled(run.model, tasks, table, np.arange(len(rows)))
    values = run.safeguards.calibrated(raw)
    baselines: dict[str, list[Baseline]] = {task.target: [] for task in tasks}
    if plan is not None:
        baselines = _baselines(run, plan, frames, table.targets, say)
    if all(np.isnan(truth).all() for truth in table.targets.values()):
        raise AnlageError("no row has a target that the model knows: nothing can be judged")
    parts = {name: np.flatnonzero(part[rows] == name) for name in ("valid", "test") if (part[rows] == name).any()}
    codes = None if groups is None else groups[rows]
    targets = {
        task.target: evaluate_target(
            task, table.targets[task.target], values[task.target], baselines[task.target], parts, codes,
            settings.evaluation, settings.seed,
        )
        | run.safeguards.measure(
            task.target, table.targets[task.target], raw[task.target], codes, {"test": parts["test"]},
            settings.evaluation, settings.seed,
        )
        for task in tasks
    }  # fmt: skip
    flags = run.safeguards.flags(run.preparation, frames, vectors)
    metrics = assemble(
        targets, resamples=settings.evaluation.resamples, seed=settings.seed,
        split_hash=run.contents.provenance["split_hash"], data_hash=data_hash(frame),
        training=run.contents.metrics["training"], adaptation=run.contents.metrics.get("adaptation"),
        novelty=None if flags is None else _novelty(run, flags, parts, table.targets, values, codes),
    )  # fmt: skip
    test = parts["test"]
    ids = labelled.index.to_numpy()[test]
    views = [
        TargetView(
            t.target, t.name, labels(t), "test", ids, table.targets[t.target][test], values[t.target][test]
        )
        for t in tasks
    ]  # fmt: skip
    title = f"{', '.join(t.target for t in tasks)}: judged on {len(test):,} rows"
    view = ReportView(title, metrics, views, problems=checked.problems, settings=run.contents.settings,
                      provenance=run.contents.provenance)  # fmt: skip
    return metrics, render(view)


def _novelty(
    run: Run, flags: pd.DataFrame, parts: dict[str, np.ndarray], truth: dict[str, np.ndarray], values: Values,
    groups: np.ndarray | None,
) -> dict[str, Any]:  # fmt: skip
    """How many of the rows are unlike the training rows of the run, and how good the model is on them."""
    told, learned = run.fit_settings, run.safeguards.novelty.rows if run.safeguards.novelty else 0
    scored = {
        t.target: (primary_metric(t, told.evaluation), truth[t.target], values[t.target]) for t in run.preparation.tasks
    }
    flagged, drawn = flags["unusual"].to_numpy(), resampled_groups(groups, parts)
    return measure_novelty(flagged, parts, learned, scored, drawn, told.evaluation.resamples, told.seed)


def _baselines(
    run: Run, plan: planning.Plan, frames: dict[str, pd.DataFrame], truth: dict[str, np.ndarray], say: Say
) -> dict[str, list[Baseline]]:
    """The baselines fitted again on the run's own training and validation rows, with values for the new rows."""
    folds = plan.folds[-1]
    train, valid = folds.rows("train"), folds.rows("valid")
    known = np.concatenate([train, valid])
    old = plan.checked.take(known)
    both = {name: pd.concat([old[name], frame]) for name, frame in frames.items()}
    old_table = plan.targets.iloc[known]
    all_truth = {
        task.target: np.concatenate([task.encode(old_table[task.columns]), truth[task.target]])
        for task in run.preparation.tasks
    }
    where = {"train": np.arange(len(train)), "valid": len(train) + np.arange(len(valid))}
    new = len(known) + np.arange(len(next(iter(truth.values()))))
    return fitting.baselines_of(run.preparation, both, all_truth, where, new, run.fit_settings, say,
                                refit=folds.valid_drawn)  # fmt: skip


def _own_plan(run: Run, say: Say) -> planning.Plan | None:
    """The plan of the run's own fit, where its table is still there and still the same; else None, and why is said."""
    table = run.fit_settings.data.table
    if not table:
        say("no baselines beside the model: it was fitted on a DataFrame, which is not kept")
        return None
    try:
        plan = replan(run, table)
    except AnlageError as error:
        say(f"no baselines beside the model: {error}")
        return None
    provenance = run.contents.provenance
    if (plan.data_hash, plan.folds[0].hash) != (provenance["data_hash"], provenance["split_hash"]):
        say(f"no baselines beside the model: {table} has changed since the fit")
        return None
    return plan
