"""What a fit leaves for people: the report's view, the provenance, the tables of rows."""

import platform
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

import anlage
from anlage.choosing import describe
from anlage.config import option_groups, to_dict
from anlage.fitting import Trained
from anlage.measuring import join_folds
from anlage.planning import Plan
from anlage.pretrain_settings import PretrainSettings
from anlage.report.view import InputView, ReportView, SplitView, TargetView
from anlage.safeguards import labels
from anlage.settings import FitSettings
from anlage.tasks.protocol import Task

PACKAGES = ("torch", "numpy", "pandas", "scikit-learn", "lightgbm", "lightning-fabric", "safetensors")
PARTS = ("train", "valid", "test")


def provenance(plan: Plan) -> dict[str, Any]:
    """Versions, hashes and seed: what it takes to repeat the run."""
    folds = plan.folds[0]
    return {
        "anlage": anlage.__version__,
        "versions": versions(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "sources": plan.samples.sources,
        "id_column": plan.samples.id_column,
        "data_hash": plan.data_hash,
        "split_hash": folds.hash,
        "split": folds.how,
        "similarity": plan.least,
        "seed": plan.settings.seed,
        "rows": folds.counts,
    }


def versions() -> dict[str, str]:
    """Of Python and of what the software stands on."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def command(settings: FitSettings | PretrainSettings) -> str:
    """The command line that repeats the run: every option that differs from its default."""
    fits = isinstance(settings, FitSettings)
    source = settings.data.table or "TABLE" if isinstance(settings, FitSettings) else settings.data.corpus or "CORPUS"
    words = ["anlage", "fit" if fits else "pretrain", source]
    default = to_dict(type(settings)())
    for name, group in option_groups(type(settings)).items():
        if name in ("table", "corpus"):
            continue
        value = to_dict(settings)[group][name] if group else to_dict(settings)[name]
        if value == (default[group][name] if group else default[name]):
            continue
        flag = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            words.append(flag if value else f"--no-{flag[2:]}")
        else:
            words += [flag, *(map(str, value) if isinstance(value, list) else [str(value)])]
    return shlex.join(words)


def report_view(
    plan: Plan, trained: Sequence[Trained], metrics: dict[str, Any], rows: dict[str, Any], title: str
) -> ReportView:
    """The view of a fit. ``rows``: what ``measuring.evaluation_rows`` gathered."""
    last = trained[-1]
    inputs = []
    for item in plan.roles.inputs:
        parameters = sum(p.numel() for p in last.model.encoder(item.name).parameters())
        encoder = describe(last.encoders[item.name].settings)
        inputs.append(InputView(item.name, item.modality.name, plan.evidence[item.name], encoder, parameters))
    part = "test" if "test" in rows["parts"] else "valid"
    chosen = rows["parts"][part]
    ids = plan.samples.frame.index.to_numpy()[rows["rows"][chosen]]
    targets = []
    for task in last.preparation.tasks:
        whole = join_folds(trained, plan, task.target)
        truth, values = whole.truth[chosen], whole.values[chosen]
        targets.append(TargetView(task.target, task.name, labels(whole.task), part, ids, truth, values))
    settings = plan.settings
    return ReportView(
        title=title, metrics=metrics, targets=targets, inputs=inputs, left_out=dict(plan.roles.left_out),
        notes=plan.notes, problems=plan.problems, split=split_view(plan, last.preparation.tasks),
        history=last.progress.history, settings=to_dict(settings), command=command(settings),
        recipe=recipe(settings), provenance=provenance(plan),
    )  # fmt: skip


def recipe(settings: FitSettings | PretrainSettings) -> str:
    """The settings as a TOML recipe."""
    import tomli_w

    def known(value: Any) -> Any:
        return {k: known(v) for k, v in value.items() if v is not None} if isinstance(value, dict) else value

    return tomli_w.dumps(known(to_dict(settings)))


def split_view(plan: Plan, tasks: Sequence[Task]) -> SplitView:
    """Rows, label counts and target quantiles of each part."""
    folds = plan.folds[0]
    parts = [p for p in PARTS if len(folds.rows(p)) and not (p == "test" and plan.settings.evaluation.no_test)]
    view = SplitView(folds.how, folds.hash, folds.counts, notes=folds.notes)
    for task in tasks:
        truth = task.encode(plan.samples.frame[task.columns])
        if task.name == "regression":
            view.quantiles[task.target] = {
                part: {f"{q} %": float(np.nanpercentile(truth[folds.rows(part), 0], q)) for q in (5, 50, 95)}
                for part in parts
                if np.isfinite(truth[folds.rows(part), 0]).any()
            }
        else:
            names = labels(task)
            counts = {name: dict.fromkeys(parts, 0) for name in names}
            for part in parts:
                rows = truth[folds.rows(part)]
                for number, name in enumerate(names):
                    if len(rows):
                        hit = rows[:, 0] == number if task.name == "classification" else rows[:, number] == 1
                        counts[name][part] = int(hit.sum())
            view.labels[task.target] = counts
    return view


def row_tables(plan: Plan, trained: Sequence[Trained]) -> dict[str, pd.DataFrame]:
    """The tables of the bundle's ``rows/`` folder: the split and the predictions that were judged."""
    ids = plan.samples.frame.index
    split = pd.DataFrame({"part": plan.folds[0].part, "group": plan.groups}, index=ids.rename("id"))
    pieces = []
    for one in trained:
        if not len(one.rows):
            continue
        columns: dict[str, Any] = {"part": one.part, "group": plan.groups[one.rows]}
        tasks = one.preparation.tasks
        for column in (column for task in tasks for column in task.columns):
            columns[f"true {column}"] = plan.samples.frame[column].iloc[one.rows].astype(str).to_numpy()
        columns |= one.safeguards.columns(tasks, one.raw)
        if one.unusual is not None:
            columns["unusual"] = one.unusual
        pieces.append(pd.DataFrame(columns, index=ids[one.rows].rename("id")))
    return {"split.csv": split, "predictions.parquet": pd.concat(pieces)}
