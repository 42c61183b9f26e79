"""What published splits hold back: the audit of each, and the metric with and without the test rows that it accuses.

    ANLAGE_DATA=path/to/data python benchmarks/leakage.py [--only deeploc gb1_two_vs_rest] [--runs runs/recipes]

Each set is read and divided as its authors did (a recipe of ``recipes/``, or the settings below). Near rows are found
from the usual threshold of the input on (identity 0.3 for proteins, 0.8 for DNA). Where ``--runs`` has a finished run
NAME-0 of the same table and split, its test predictions are judged again without the accused rows. Writes leakage.json,
set by set, and leakage.md.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from anlage import planning
from anlage.auditing.audit import audit
from anlage.auditing.findings import Audit
from anlage.auditing.remeasure import without
from anlage.bundle.read import is_bundle, read_rows
from anlage.config import load_settings
from anlage.evaluation.evaluate import primary_metric
from anlage.evaluation.intervals import weights
from anlage.planning import Plan
from anlage.run import Run
from anlage.samples.settings import DataSettings
from anlage.settings import FitSettings
from anlage.splits.settings import SplitSettings

HERE = Path(__file__).parent
DATA = Path(os.environ.get("ANLAGE_DATA", "../shared/data"))
RESAMPLES = 2000


def recipe(name: str) -> tuple[Any, FitSettings]:
    """The table and settings of a recipe."""
    settings = load_settings(HERE.parent / "recipes" / f"{name}.toml")
    return settings.data.table, settings


def table(file: str, target: str, **more: Any) -> tuple[Any, FitSettings]:
    """A table of the data folder and what to predict; ``more``: its split."""
    path = str(DATA / file)
    return path, FitSettings(data=DataSettings(table=path, target=(target,)), split=SplitSettings(**more))


def davis() -> tuple[Any, FitSettings]:
    """DAVIS: drug and kinase → affinity; fold -1 is the test. Drugs are told apart by their number alone."""
    pairs = pd.read_csv(DATA / "pairs/davis/pairs.csv.gz")
    frame = pairs.merge(pd.read_csv(DATA / "pairs/davis/proteins.csv"), on="protein")
    frame = pd.DataFrame({"drug": "drug " + frame["drug"].astype(str), "kinase": frame["sequence"],
                          "affinity": frame["affinity"], "fold": frame["fold"].astype(str)})  # fmt: skip
    data = DataSettings(target=("affinity",), input=("drug", "kinase"), column=("drug=record", "kinase=protein"))
    folds = tuple(f"{fold}={'test' if fold == '-1' else 'train'}" for fold in frame["fold"].unique())
    return frame, FitSettings(data=data, split=SplitSettings(split="fold", map=folds))


def physionet() -> tuple[Any, FitSettings]:
    """PhysioNet 2012: set a to learn from, set b to test on."""
    file, test = (str(DATA / f"clinical/physionet2012_set-{part}.csv.gz") for part in "ab")
    return file, FitSettings(data=DataSettings(table=file, test=test, target=("In-hospital_death",)))


SETS: dict[str, tuple[str, Callable[[], tuple[Any, FitSettings]]]] = {
    "deeploc": ("DeepLoc 1.0", lambda: recipe("deeploc")),
    "fluorescence": ("TAPE fluorescence", lambda: recipe("fluorescence")),
    "stability": ("TAPE stability", lambda: recipe("stability")),
    "remote_homology": ("TAPE remote homology", lambda: table("proteins/tape_remote_homology.csv.gz", "fold")),
    "gb1_two_vs_rest": ("FLIP GB1 two-vs-rest", lambda: recipe("gb1_two_vs_rest")),
    "gb1_three_vs_rest": ("FLIP GB1 three-vs-rest", lambda: recipe("gb1_three_vs_rest")),
    "signalp5": ("SignalP 5", lambda: recipe("signalp5")),
    "ienhancer": ("iEnhancer-2L", lambda: recipe("ienhancer")),
    "epdnew_human_to_mouse": ("EPDnew, human to mouse", lambda: recipe("epdnew_human_to_mouse")),
    "pneumonia": ("PneumoniaMNIST", lambda: recipe("pneumonia")),
    "golub": ("Golub leukaemia", lambda: recipe("golub")),
    "tcga_brca": ("TCGA breast cancer", lambda: recipe("tcga_brca")),
    "davis": ("DAVIS, drugs by number", davis),
    "physionet": ("PhysioNet 2012, a to b", physionet),
}


def say(line: str) -> None:
    print(f"  {line}", file=sys.stderr, flush=True)


def counted(found: Audit, kind: str) -> int | None:
    """Test rows of the findings of a kind; 0 = looked for and not found, None = not looked for."""
    if kind == "near duplicates" and any(one["what"].startswith("near") for one in found.skipped):
        return None
    rows = [f.rows for f in found.findings if f.kind == kind and f.part == "test"]
    return len(np.unique(np.concatenate(rows))) if rows else 0


def before_and_after(plan: Plan, found: Audit, folder: Path) -> dict[str, Any] | None:
    """The finished run's metric on all its test rows, and without the rows that equal a training row, come near one, or
    both; None where there is no such run of this split."""
    if not is_bundle(folder) or (predictions := read_rows(folder, "predictions.parquet")) is None:
        return None
    run = Run(folder)
    if run.contents.provenance["split_hash"] != plan.folds[0].hash:
        say(f"{folder}: another split, its metric is left out")
        return None
    (task,) = run.preparation.tasks
    metric = primary_metric(task, run.settings.evaluation)
    test = predictions[predictions["part"] == "test"]
    truth = task.encode(test[[f"true {task.target}"]].rename(columns={f"true {task.target}": task.columns[0]}))
    if task.name == "regression":
        values = test[[task.target]].to_numpy(dtype=float)
    else:
        values = test[[f"{task.target}_probability_{label}" for label in task.labels]].to_numpy(dtype=float)
    rows = plan.samples.frame.index.get_indexer(test.index)
    assert (rows >= 0).all(), f"{folder}: rows that the table does not have"
    draws = weights(None, len(truth), RESAMPLES, 0)
    accused = {"duplicates": _flagged(found, "duplicates"), "near": _flagged(found, "near duplicates")}
    accused["all"] = found.offending.get("test", np.zeros(len(found.ids), dtype=bool))
    return {kind: without(metric, truth, values, draws, flags[rows]) for kind, flags in accused.items()}


def _flagged(found: Audit, kind: str) -> np.ndarray:
    flags = np.zeros(len(found.ids), dtype=bool)
    for finding in found.findings:
        if finding.kind == kind and finding.part == "test":
            flags[finding.rows] = True
    return flags


def measure(name: str, runs: Path) -> dict[str, Any]:
    """The audit of one set, as numbers."""
    title, make = SETS[name]
    source, settings = make()
    plan = planning.plan(source, replace(settings, seed=0), say)
    start = time.monotonic()
    found = audit(plan, say)
    kinds = ("duplicates", "near duplicates", "conflicting labels across parts", "straddling groups")
    return {
        "title": title,
        "rows": plan.folds[0].counts,
        "split_hash": plan.folds[0].hash,
        "seconds": round(time.monotonic() - start, 1),
        "near_from": {i.name: [i.modality.similarity, i.modality.usual_similarity] for i in plan.preparation.inputs},
        "library": any(f.kind == "variant library" for f in found.findings),
        "test_rows": {kind: counted(found, kind) for kind in kinds},
        "audit": found.to_json(),
        "metric": before_and_after(plan, found, runs / f"{name}-0"),
    }


def page(results: dict[str, dict[str, Any]], about: dict[str, Any]) -> str:
    """leakage.md."""
    lines = [
        "# Leakage in published splits",
        "",
        f"Made by `{about['command']}`, {about['date']}, anlage {about['versions']['anlage']}. Test rows that equal a "
        "training row in all that the model reads; that come near one without being equal (from the input's usual "
        "threshold on: identity 0.3 over 80 % of the sequence for proteins, 0.8 for DNA); that equal one with another "
        "label; that share a group (patient, …) with one. Training rows include validation rows where the split names "
        "none. A dash: only equality can be told of this input, or the table is a variant library, all of whose rows "
        "come near one another. The metric is that of one finished run, before and after the accused test rows were "
        "left out, with 95 % intervals over rows.",
        "",
        "| set | train | test | equal | near | other label | group | metric | before | after | test rows left |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in results.values():
        test = row["rows"].get("test", 0)
        near = row["test_rows"]["near duplicates"]
        cells = [row["title"], f"{row['rows']['train']:,}", f"{test:,}", _share(row["test_rows"]["duplicates"], test)]
        cells += ["–" if near is None else _share(near, test)]
        cells += [f"{row['test_rows'][k]:,}" for k in ("conflicting labels across parts", "straddling groups")]
        if (metric := row["metric"]) is None:
            cells += ["–"] * 4
        else:
            whole = metric["all"]
            cells += [whole["metric"], _estimate(whole["all"]), _estimate(whole["without"]), f"{whole['n']:,}"]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "What else the audits say:", ""]
    for row in results.values():
        told = [f for f in row["audit"]["findings"] if f["kind"] not in ("duplicates", "near duplicates")]
        if told:
            lines.append(f"- **{row['title']}.** " + " ".join(f"{f['text']} ({f['severity']})." for f in told))
    return "\n".join(lines) + "\n"


def _share(count: int, of: int) -> str:
    return f"{count:,} ({count / max(1, of):.1%})" if count else "0"


def _estimate(one: dict[str, float | None]) -> str:
    if one["value"] is None:
        return "undefined"
    low, high = one["low"], one["high"]
    return f"{one['value']:.3f}" + ("" if low is None or high is None else f" [{low:.3f}, {high:.3f}]")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--runs", type=Path, default=Path("runs/recipes"))
    parser.add_argument("--out", type=Path, default=HERE, help="folder of leakage.json and leakage.md")
    options = parser.parse_args()
    os.environ.setdefault("ANLAGE_WORK", str(options.runs))
    os.environ.setdefault("ANLAGE_DATA", str(DATA))
    file = options.out / "leakage.json"
    known = json.loads(file.read_text())["sets"] if file.exists() else {}
    about = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores",
        "versions": {package: version(package) for package in ("anlage", "numpy")},
        "command": "python benchmarks/leakage.py",
    }
    for name in options.only:
        print(SETS[name][0], file=sys.stderr, flush=True)
        known[name] = measure(name, options.runs)
        ordered = {name: known[name] for name in SETS if name in known}
        file.write_text(json.dumps({"about": about, "sets": ordered}, indent=1) + "\n")
        (options.out / "leakage.md").write_text(page(ordered, about))
    print((options.out / "leakage.md").read_text())


if __name__ == "__main__":
    main()
