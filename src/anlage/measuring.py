"""From trained folds to metrics.json: what was measured, and how far to trust it."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from anlage.auditing.audit import seen_in_pretraining
from anlage.auditing.findings import Audit
from anlage.auditing.remeasure import remeasure
from anlage.distilling import compare
from anlage.evaluation.baselines import Baseline
from anlage.evaluation.estimates import resampled_groups
from anlage.evaluation.evaluate import evaluate_target, primary_metric
from anlage.evaluation.intervals import weights
from anlage.evaluation.metrics_json import assemble
from anlage.evaluation.novelty import measure as measure_novelty
from anlage.evaluation.reliability import calibration_error
from anlage.evaluation.seeds import over_seeds as spread_over_seeds
from anlage.evaluation.subgroups import said, subgroups
from anlage.fitting import Trained
from anlage.planning import Plan
from anlage.safeguards import UNMEASURED
from anlage.settings import FitSettings
from anlage.tasks.protocol import Task


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


def judge(
    plan: Plan, trained: Sequence[Trained], judged: Sequence[Trained], audit: Audit | None, say: Callable[[str], None]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """metrics.json, and the rows that it was measured on. ``audit``: what was found in the plan; the metrics are
    measured
    again without the rows of each finding."""
    settings, rows = plan.settings, evaluation_rows(judged, plan)
    targets, scored = {}, {}
    seen = np.unique(np.concatenate([one.seen for one in judged]))
    if audit is not None and len(seen):
        audit.add(seen_in_pretraining(plan, seen))
    for fitted in trained[-1].preparation.tasks:
        whole = join_folds(judged, plan, fitted.target)
        entry = evaluate_target(
            whole.task,
            whole.truth,
            whole.values,
            whole.baselines,
            rows["parts"],
            rows["groups"],
            settings.evaluation,
            settings.seed,
        )
        entry |= _trusted(judged, whole, fitted.target, rows, settings)
        entry["subgroups"] = _subgroups(plan, judged, whole, entry, rows, say)
        targets[fitted.target] = entry
        if audit is not None:
            _without(audit, whole, fitted.target, rows, settings)
        scored[fitted.target] = (primary_metric(whole.task, settings.evaluation), whole.truth, whole.values)
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
        distillation=distillation(judged, plan, rows), novelty=_novelty(judged, rows, scored, settings),
        audit=None if audit is None else audit.to_json(),
    )  # fmt: skip
    return metrics, rows


def _subgroups(
    plan: Plan, judged: Sequence[Trained], whole: Judged, entry: dict[str, Any], rows: dict[str, Any],
    say: Callable[[str], None],
) -> dict[str, Any] | None:  # fmt: skip
    """The deciding metric in every subgroup that is asked for; a gap between them is said in the verdict."""
    settings, verdict, task = plan.settings.evaluation, entry["verdict"], whole.task
    if not settings.subgroup or verdict["part"] is None:
        return None
    chosen = rows["parts"][verdict["part"]]
    drawn = resampled_groups(rows["groups"], rows["parts"])
    held = judged[0].safeguards.held(task.target, whole.truth, judged[0].raw[task.target]) if len(judged) == 1 else None
    found = subgroups(
        plan.samples.frame.iloc[rows["rows"][chosen]], settings.subgroup, verdict["part"],
        primary_metric(task, settings), whole.truth[chosen], whole.values[chosen],
        None if drawn is None else drawn[chosen], settings.resamples, plan.settings.seed,
        None if task.name == "regression" else lambda y, v, w, g: calibration_error(task.name, y, v, w, g),
        None if held is None else held[chosen],
    )  # fmt: skip
    sentences, notes = said(found, settings.gap)
    verdict["text"] = "; ".join([verdict["text"], *sentences])
    for note in notes:
        say(note)
    return found


def _without(audit: Audit, whole: Judged, target: str, rows: dict[str, Any], settings: FitSettings) -> None:
    """The deciding metric again without the rows of each finding."""
    metric = primary_metric(whole.task, settings.evaluation)
    drawn = resampled_groups(rows["groups"], rows["parts"])
    for part, chosen in rows["parts"].items():
        mine = None if drawn is None else drawn[chosen]
        counts = weights(mine, len(chosen), settings.evaluation.resamples, settings.seed)
        remeasure(
            audit, target, metric, part, rows["rows"][chosen], whole.truth[chosen], whole.values[chosen], counts, mine
        )


def _trusted(
    judged: Sequence[Trained], whole: Judged, target: str, rows: dict[str, Any], settings: FitSettings
) -> dict[str, Any]:
    """How far to trust one target, on rows that took no part in its calibration. The folds of a cross-validation
    calibrate each for itself, so that there is no one calibration to measure."""
    if len(judged) > 1:
        return dict(UNMEASURED)
    (one,) = judged
    parts = {name: of[~one.calibrating[of]] for name, of in rows["parts"].items()}
    return one.safeguards.measure(
        target, whole.truth, one.raw[target], rows["groups"], parts, settings.evaluation, settings.seed
    )


def _novelty(
    judged: Sequence[Trained], rows: dict[str, Any], scored: dict[str, Any], settings: FitSettings
) -> dict[str, Any] | None:
    """How many judged rows are unlike the training rows, and how good the model is on them."""
    flags = [one.unusual for one in judged if one.unusual is not None]
    if len(flags) < len(judged):
        return None
    learned = min(one.safeguards.novelty.rows for one in judged if one.safeguards.novelty is not None)
    drawn = resampled_groups(rows["groups"], rows["parts"])
    return measure_novelty(
        np.concatenate(flags), rows["parts"], learned, scored, drawn, settings.evaluation.resamples, settings.seed
    )


def _adaptation(trained: Sequence[Trained]) -> dict[str, Any] | None:
    """The ladder of the model in the bundle, and what each fold of a cross-validation kept."""
    ladder = trained[-1].ladder
    kept = [one.ladder["kept"] for one in trained[:-1] if one.ladder]
    return None if ladder is None else ladder | {"folds": kept or None}


def over_seeds(plan: Plan, metrics: dict[str, Any], others: dict[int, list[Trained]]) -> dict[str, Any]:
    """The spread over seeds, as in metrics.json. ``metrics``: of the first seed; ``others``: those of the others."""
    entries = {plan.settings.seed: metrics}
    for seed, trained in others.items():
        judged = trained[:-1] if len(trained) > 1 else trained
        rows = evaluation_rows(judged, plan)
        wholes = [join_folds(judged, plan, task.target) for task in trained[-1].preparation.tasks]
        entries[seed] = {"targets": {
            whole.task.target: evaluate_target(
                whole.task, whole.truth, whole.values, whole.baselines, rows["parts"], rows["groups"],
                plan.settings.evaluation, plan.settings.seed,
            )
            for whole in wholes
        }}  # fmt: skip
    return spread_over_seeds(entries)
