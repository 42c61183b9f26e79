"""A fitted bundle goes on learning from new labelled rows, beside a replayed part of the old ones, and is judged before
and after: on its old test rows (what was forgotten) and on test rows among the new (what was gained).

Nothing is fitted anew but the weights: vocabulary, scaling, labels and loss weights stay, so that both models answer
the same question in the same terms. Replay: Robins 1995, Catastrophic forgetting, rehearsal and pseudorehearsal,
doi:10.1080/09540099550039318; a part of the old rows can serve nearly as well as all of them (Rolnick 2019, Experience
Replay for Continual Learning, doi:10.48550/arXiv.1811.11682).
"""

import copy
import hashlib
import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pandas as pd
import torch

import anlage
from anlage import fitting, summary
from anlage.adaptation.lookup import adaptations
from anlage.adaptation.lora import merge
from anlage.adaptation.protocol import PRETRAINED_RATE
from anlage.adapting import adapt, with_vectors
from anlage.bundle.contents import INDEX, Contents
from anlage.bundle.seal import file_hash
from anlage.choosing import Choice
from anlage.config import to_dict
from anlage.encoders import lookup as encoders
from anlage.evaluation.baselines import Baseline
from anlage.evaluation.evaluate import evaluate_target, primary_metric
from anlage.evaluation.metrics_json import assemble, verdict_line
from anlage.foundation import Foundation
from anlage.lineage import Added, Lineage, Table, add, lineage
from anlage.model import Model
from anlage.report.update import verdict
from anlage.report.view import InputView, ReportView, SplitView, TargetView
from anlage.run import Run
from anlage.safeguards import Safeguards, Values, calibration_rows, labels
from anlage.training.batches import PreparedTable
from anlage.training.checkpoints import Progress
from anlage.training.devices import fabric
from anlage.training.loop import Job, train
from anlage.training.pooled import predict_pooled
from anlage.training.predict import predict
from anlage.update_settings import UpdateSettings

Say = Callable[[str], None]


@dataclass
class Plan:
    """What will be learned and judged: decided before anything is trained."""

    run: Run
    settings: UpdateSettings
    rows: Lineage
    """Of the run and, as its last table, of the new rows."""
    added: Added
    replayed: np.ndarray
    """Numbers of the old training rows that are learned again."""

    @property
    def is_new(self) -> np.ndarray:
        """[rows] whether a row is of the new table."""
        return self.rows.table == len(self.rows.tables) - 1

    @property
    def judged(self) -> np.ndarray:
        """Row numbers of what the evaluation reads."""
        return self.rows.rows("valid") if self.run.fit_settings.evaluation.no_test else self.rows.rows("valid", "test")

    @property
    def source(self) -> str:
        """The new table, for people."""
        return PurePath(self.rows.sources[-1]).name


@dataclass
class Updated:
    """The model after the update, and what it and the one before it say of the judged rows."""

    model: Model = field(repr=False)
    progress: Progress
    before: dict[str, np.ndarray]
    """For each target [judged, k]."""
    raw: Values
    """Of the updated model, before calibration."""
    truth: dict[str, np.ndarray]
    """For each target [rows, outputs], of all rows."""
    safeguards: Safeguards
    calibrating: np.ndarray
    """[judged] bool: validation rows that calibrated and did not stop the training."""

    @property
    def after(self) -> Values:
        """For each target [judged, k], calibrated."""
        return self.safeguards.calibrated(self.raw)


def plan(run: Run, new: Table, moved: Sequence[Table], settings: UpdateSettings, say: Say) -> Plan:
    """Read the run's own tables and the new one, divide the new rows, and draw the old ones to replay."""
    known = lineage(run, moved)
    rows, added = add(run, known, new, settings.data.drop_overlap, say)
    old, here = known.rows("train"), rows.rows("train")[known.rows("train").size :]
    wanted = min(len(old), round(settings.data.replay * len(here)))
    random = np.random.default_rng([run.fit_settings.seed, len(known.tables)])
    made = Plan(run, settings, rows, added, np.sort(random.choice(old, wanted, replace=False)))
    counts = ", ".join(f"{(made.is_new & (rows.part == part)).sum()} {part}" for part in ("train", "valid", "test"))
    say(f"new rows: {counts} ({added.how})")
    say(f"replay: {wanted:,} of {len(old):,} old training rows")
    return made


def learn(plan: Plan, folder: Path, say: Say, interactive: bool) -> Updated:
    """Train from the run's weights, adapted as its fit was (what rested there rests here), at the lower rate of weights
    that were trained before."""
    run, rows, told = plan.run, plan.rows, plan.run.fit_settings
    training, tasks = plan.settings.training, run.preparation.tasks
    table = run.preparation.table(rows.inputs, rows.frame)
    model = copy.deepcopy(run.model).to(fabric(training).device)
    before = predict(model, tasks, table, plan.judged)
    torch.manual_seed(told.seed)
    factors = {name: PRETRAINED_RATE for name, _ in model.named_parameters()}
    adapted, read = _adapt(plan, model, table, say)
    learned = sum(p.numel() for p in model.parameters() if p.requires_grad)
    say(f"{learned:,} weights learn, from those of {run.path}")
    fresh, valid = np.flatnonzero(plan.is_new & (rows.part == "train")), rows.rows("valid")
    ids, groups = rows.frame.index.to_numpy()[valid], rows.groups[valid]
    calibrating = calibration_rows(ids, groups, told.evaluation.calibration_fraction, told.seed)
    job = Job(
        model=model, tasks=tasks, table=read, train=np.concatenate([plan.replayed, fresh]), valid=valid[~calibrating],
        modalities={item.name: item.modality for item in run.preparation.inputs}, settings=training,
        metric={task.target: primary_metric(task, told.evaluation) for task in tasks}, seed=told.seed, folder=folder,
        fingerprint=_fingerprint(plan), say=say, interactive=interactive, factors=factors | adapted,
    )  # fmt: skip
    progress = train(job)
    merge(model)
    say(f"trained {progress.step} steps in {progress.seconds:.0f} s; best at step {progress.best_step}")
    raw, _ = predict_pooled(model, tasks, table, plan.judged)
    safeguards = Safeguards.fit(
        run.preparation, model, table, rows.inputs, {"train": rows.rows("train"), "valid": valid}, calibrating, groups,
        told.evaluation, told.seed,
    )  # fmt: skip
    for note in safeguards.notes:
        say(note)
    apart = np.zeros(len(rows.part), dtype=bool)
    apart[valid[calibrating]] = True
    return Updated(
        model, progress, run.safeguards.calibrated(before), raw, table.targets, safeguards, apart[plan.judged]
    )


def _adapt(plan: Plan, model: Model, table: PreparedTable, say: Say) -> tuple[dict[str, float], PreparedTable]:
    """Parts of the learning rate by parameter name, and the table that the model reads while it learns: vectors in
    place of what frozen encoders read."""
    run = plan.run
    kept = (run.contents.metrics.get("adaptation") or {}).get("kept")
    if kept not in adaptations():
        return {}, table
    choice = {}
    for item in run.contents.inputs:
        settings, found = encoders.from_json(item["encoder"]), item.get("pretrained")
        weights = model.encoder(item["name"]).state_dict()
        before = Foundation(found["source"], settings, weights, found["sha256"], None) if found else None
        choice[item["name"]] = Choice(settings, before)
    factors = adapt(model, choice, kept, run.fit_settings.adaptation)
    if kept == "frozen":
        table = with_vectors(table, model, run.preparation, choice, plan.settings.training, say)
    return factors, table


def _fingerprint(plan: Plan) -> str:
    """Hash of all that decides the weights."""
    hashes = [[table["data_hash"], table["split_hash"]] for table in plan.rows.tables]
    decided = [file_hash(plan.run.path / INDEX), hashes, asdict(plan.settings.training), plan.settings.data.replay]
    return hashlib.sha256(json.dumps(decided).encode()).hexdigest()


def judge(plan: Plan, updated: Updated, say: Say) -> dict[str, Any]:
    """metrics.json: the updated model beside baselines that learned from all training rows, old and new; and under
    ``update`` the models before and after on the old and on the new test rows."""
    run, rows, judged, told = plan.run, plan.rows, plan.judged, plan.run.fit_settings
    folds = {"train": rows.rows("train"), "valid": rows.rows("valid")}
    baselines = fitting.baselines_of(run.preparation, rows.inputs, updated.truth, folds, judged, told, say, refit=False)
    part, groups = rows.part[judged], rows.groups[judged]
    parts = {name: np.flatnonzero(part == name) for name in ("valid", "test") if (part == name).any()}
    sets = _sets(plan)
    targets, compared = {}, {}
    for task in run.preparation.tasks:
        truth, after = updated.truth[task.target][judged], updated.after[task.target]
        entry = evaluate_target(task, truth, after, baselines[task.target], parts, groups, told.evaluation, told.seed)
        apart = {name: of[~updated.calibrating[of]] for name, of in parts.items()}
        targets[task.target] = entry | updated.safeguards.measure(
            task.target, truth, updated.raw[task.target], groups, apart, told.evaluation, told.seed
        )
        differences = {}
        for name, (where, chosen) in sets.items():
            earlier = [Baseline("before", updated.before[task.target])]
            found = evaluate_target(
                task, truth, after, earlier, {"test": chosen}, groups, told.evaluation, told.seed
            )  # fmt: skip
            differences[name] = {
                "part": where,
                "before": found["baselines"]["before"].get("test", {}),
                "after": found["model"].get("test", {}),
                "difference": found["differences"]["before"].get("test", {}),
            }
        compared[task.target] = {"metric": primary_metric(task, told.evaluation).name, "sets": differences}
    update = {"replayed": len(plan.replayed), "repeated": plan.added.repeated, "dropped": plan.added.dropped,
              "targets": compared}  # fmt: skip
    progress, provenance = updated.progress, run.contents.provenance
    training = {"seconds": round(progress.seconds, 1), "steps": progress.step, "best_step": progress.best_step,
                "parameters": sum(p.numel() for p in updated.model.parameters()), "folds": None}  # fmt: skip
    metrics = assemble(
        targets, resamples=told.evaluation.resamples, seed=told.seed, split_hash=provenance["split_hash"],
        data_hash=provenance["data_hash"], training=training, adaptation=run.contents.metrics.get("adaptation"),
    )  # fmt: skip
    update["verdict"] = verdict(update)
    metrics["verdict"] = f"{update['verdict']}; old and new together: {verdict_line(targets)}"
    return metrics | {"update": update}


def _sets(plan: Plan) -> dict[str, tuple[str, np.ndarray]]:
    """The rows before and after are compared on: name → (part, positions in ``plan.judged``). Test rows; where a table
    has none (cross-validation, --no-test) its validation rows, which also chose the weights."""
    part, table = plan.rows.part[plan.judged], plan.rows.table[plan.judged]
    single: list[tuple[str, np.ndarray]] = []
    for number in range(len(plan.rows.tables)):
        tested = np.flatnonzero((table == number) & (part == "test"))
        valid = np.flatnonzero((table == number) & (part == "valid"))
        single.append(("test", tested) if len(tested) else ("valid", valid))
    *old, new = single
    whole = " and ".join(dict.fromkeys(where for where, _ in old))
    each = {f"old {i + 1}": found for i, found in enumerate(old)} if len(old) > 1 else {}
    return {"old": (whole, np.concatenate([found for _, found in old])), **each, "new": new}


def contents(plan: Plan, updated: Updated, metrics: dict[str, Any]) -> Contents:
    """The bundle of the updated model. ``provenance`` keeps the hashes of the fit, and names under ``update`` the run
    that was updated and every table."""
    before, rows = plan.run.contents, plan.rows
    settings = before.settings | {"data": before.settings["data"] | {"table": rows.tables[0]["table"]}}
    provenance = before.provenance | {
        "anlage": anlage.__version__,
        "versions": summary.versions(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "sources": rows.sources,
        "split": f"{before.provenance['split']}; {plan.source}: {plan.added.how}",
        "rows": _counts(plan),
        "update": {
            "from": {"path": str(plan.run.path), "sha256": file_hash(plan.run.path / INDEX)},
            "tables": rows.tables,
            "settings": to_dict(plan.settings),
        },
    }
    return Contents(
        settings=settings, inputs=before.inputs, targets=before.targets, provenance=provenance, metrics=metrics,
        history=updated.progress.history, weights=updated.model.state_dict(),
        trust=updated.safeguards.to_json(),
    )  # fmt: skip


def made_by(run: Run, settings: UpdateSettings) -> bool:
    """Is ``run`` what an update with these settings left?"""
    found = run.contents.provenance.get("update", {})
    return bool(found) and found.get("settings") == to_dict(settings)


def title(plan: Plan) -> str:
    """What was updated with what, for people."""
    named = ", ".join(task.target for task in plan.run.preparation.tasks)
    return f"{plan.run.path.name} updated with {plan.source} → {named}"


def report_view(plan: Plan, updated: Updated, made: Contents) -> ReportView:
    """The view of an update."""
    rows, judged, run = plan.rows, plan.judged, plan.run
    part = "test" if (rows.part[judged] == "test").any() else "valid"
    chosen = np.flatnonzero(rows.part[judged] == part)
    ids = rows.frame.index.to_numpy()[judged[chosen]]
    targets = [
        TargetView(task.target, task.name, labels(task), part, ids,
                   updated.truth[task.target][judged[chosen]], updated.after[task.target][chosen])
        for task in run.preparation.tasks
    ]  # fmt: skip
    inputs = [
        InputView(item["name"], item["modality"]["modality"], "", str(item["encoder"]["encoder"]),
                  sum(p.numel() for p in updated.model.encoder(item["name"]).parameters()))
        for item in made.inputs
    ]  # fmt: skip
    return ReportView(
        title=title(plan), metrics=made.metrics, targets=targets, inputs=inputs, notes=plan.added.notes,
        problems=plan.added.problems,
        split=SplitView(made.provenance["split"], made.provenance["split_hash"], _counts(plan)),
        history=made.history, settings={"update": made.provenance["update"]["settings"], "fit": made.settings},
        command=_command(plan), provenance=made.provenance,
    )  # fmt: skip


def row_tables(plan: Plan, updated: Updated) -> dict[str, pd.DataFrame]:
    """The tables of the bundle's ``rows/`` folder, of all tables (numbered from 1): the split, and what the models
    before and after say of the judged rows."""
    rows, judged = plan.rows, plan.judged
    ids = rows.frame.index.rename("id")
    split = pd.DataFrame({"part": rows.part, "table": rows.table + 1, "group": rows.groups}, index=ids)
    columns: dict[str, Any] = {"part": rows.part[judged], "table": rows.table[judged] + 1}
    for task in plan.run.preparation.tasks:
        for column in task.columns:
            columns[f"true {column}"] = rows.frame[column].iloc[judged].astype(str).to_numpy()
        columns |= task.to_columns(updated.after[task.target])
        columns |= {f"before {name}": v for name, v in task.to_columns(updated.before[task.target]).items()}
    return {"split.csv": split, "predictions.parquet": pd.DataFrame(columns, index=ids[judged])}


def _counts(plan: Plan) -> dict[str, int]:
    return {part: len(found) for part in ("train", "valid", "test") if len(found := plan.rows.rows(part))}


def _command(plan: Plan) -> str:
    """The command line that repeats the update: every option that differs from its default, or from the fit's."""
    data, usual = plan.settings.data, plan.run.fit_settings.training
    words = ["anlage", "update", str(plan.run.path), data.new or "NEW"]
    words += ["--table", *data.table] if data.table else []
    words += ["--replay", str(data.replay)] if data.replay != type(data)().replay else []
    words += ["--drop-overlap"] if data.drop_overlap else []
    for option in fields(plan.settings.training):
        value, flag = getattr(plan.settings.training, option.name), f"--{option.name.replace('_', '-')}"
        if value != getattr(usual, option.name) and value is not None:
            words += [flag if value else f"--no-{flag[2:]}"] if isinstance(value, bool) else [flag, str(value)]
    return shlex.join(words)
