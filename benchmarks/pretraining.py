"""Does pretraining pay? One protein transformer, pretrained and from scratch, on published splits, in one table.

    ANLAGE_DATA=path/to/data python benchmarks/pretraining.py [--minutes 60] [--seeds 0 1 2] [--only stability deeploc]

1. ``anlage pretrain`` on the corpus, after rows near any validation or test row of the sets below were removed.
2. For each set and seed, ``anlage fit`` of the pretrained network (adapted in full) and of the same network from
   scratch, with the same settings. The one from scratch may train for as long as pretraining and adaptation took
   together; both stop when validation no longer gains. Both are one trial.
3. The paired difference on the test rows, with its interval over rows for each seed, and the mean over seeds.

Each step is a process of its own that is not repeated when its bundle is there. Writes pretraining.json.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from anlage.bundle.read import read, read_rows
from anlage.evaluation.evaluate import primary_metric
from anlage.evaluation.intervals import paired, weights
from anlage.run import Run

HERE = Path(__file__).parent
DATA = Path(os.environ.get("ANLAGE_DATA", "../shared/data"))
ENCODER = "transformer-small"
SETS = {
    "remote_homology": ("proteins/tape_remote_homology.csv.gz", "fold", 1.0, "classification"),
    "stability": ("proteins/tape_stability.csv.gz", "stability", 1.0, "regression"),
    "deeploc": ("proteins/deeploc1.csv.gz", "location", 1.0, "classification"),
    "deeploc_20": ("proteins/deeploc1.csv.gz", "location", 0.2, "classification"),
    "deeploc_5": ("proteins/deeploc1.csv.gz", "location", 0.05, "classification"),
}
"""File, target, share of the training labels, task."""


def step(words: list[str], out: Path) -> None:
    """Run ``anlage`` unless its bundle is there; a bundle that was begun is gone on with."""
    if (out / "bundle.json").exists():
        return
    if (out / "training" / "recipe.toml").exists():
        words = [words[0], "--resume", str(out)]
    out.parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    with open(out.with_suffix(".log"), "a") as log:
        done = subprocess.run([sys.executable, "-m", "anlage", *words], stderr=log, stdout=log)
    print(f"{out.name}: {'done' if done.returncode == 0 else 'FAILED'} in {time.monotonic() - start:.0f} s", flush=True)
    if done.returncode:
        sys.exit(f"see {out.with_suffix('.log')}")


def table(name: str, folder: Path) -> Path:
    """The set as a file with a share of the training labels: the same rows for every seed."""
    file, _, share, _ = SETS[name]
    path = folder / f"{name}.csv"
    if not path.exists():
        frame = pd.read_csv(DATA / file)
        train = frame.index[frame["split"] == "train"]
        left_out = np.random.default_rng(0).permutation(train)[round(share * len(train)) :]
        frame.drop(left_out).to_csv(path, index=False)
    return path


def gain(one: Path, two: Path) -> dict:
    """How much better ``one`` is than ``two`` on the test rows: the deciding metric and its paired interval."""
    runs = [Run(path) for path in (one, two)]
    (task,) = runs[0].preparation.tasks
    metric = primary_metric(task, runs[0].settings.evaluation)
    frames = [read_rows(path, "predictions.parquet") for path in (one, two)]
    tests = [frame[frame["part"] == "test"] for frame in frames]
    assert tests[0].index.equals(tests[1].index), "the two runs were judged on other rows"
    truth = task.encode(tests[0][[f"true {task.target}"]].rename(columns={f"true {task.target}": task.columns[0]}))
    values = [_values(task, test) for test in tests]
    known = ~np.isnan(truth).all(axis=1)
    truth, values = truth[known], [v[known] for v in values]
    found = paired(metric, truth, *values, weights(None, len(truth), 2000, 0))
    scores = [metric(truth, v) for v in values]
    return {"metric": metric.name, "pretrained": scores[0], "scratch": scores[1], "gain": found.value,
            "low": found.low, "high": found.high}  # fmt: skip


def _values(task: object, frame: pd.DataFrame) -> np.ndarray:
    """What the metrics read, from the columns of a stored prediction."""
    target = task.target
    if task.name == "regression":
        return frame[[target]].to_numpy(dtype=float)
    return frame[[f"{target}_probability_{label}" for label in task.labels]].to_numpy(dtype=float)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--fit-minutes", type=float, default=10, help="most minutes of one adaptation")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--runs", type=Path, default=Path("runs/pretraining"))
    options = parser.parse_args()
    options.runs.mkdir(parents=True, exist_ok=True)
    os.environ["ANLAGE_CACHE"] = str(options.runs / "cache")
    encoder = options.runs / "encoder"
    near = sorted({str(DATA / file) for file, *_ in SETS.values()})
    step(["pretrain", str(DATA / "corpus/proteins.fasta.gz"), "--encoder", f"{ENCODER}:dropout=0",
          "--exclude", *near, "--exclude-identity", "0.3", "--budget", f"{options.minutes}m",
          "--precision", "bf16-mixed", "--out", str(encoder)], encoder)  # fmt: skip
    spent = read(encoder).metrics["training"]["seconds"]
    results: dict[str, list[dict]] = {}
    for name in options.only:
        _, target, _, task = SETS[name]
        for seed in options.seeds:
            one, two = (options.runs / f"{name}-{kind}-{seed}" for kind in ("pretrained", "scratch"))
            words = ["fit", str(table(name, options.runs)), "--target", target, "--task", task, "--input", "sequence",
                     "--seed", str(seed), "--baseline-budget", "1s", "--epochs", "40", "--patience", "8",
                     "--precision", "bf16-mixed"]  # fmt: skip
            step([*words, "--encoder", f"{encoder}::pooling=attention", "--adapt", "full",
                  "--budget", f"{options.fit_minutes}m", "--out", str(one)], one)  # fmt: skip
            whole = options.fit_minutes + spent / 60
            step([*words, "--encoder", ENCODER, "--budget", f"{whole:.1f}m", "--out", str(two)], two)
            row = gain(one, two) | {"seed": seed, "split_hash": read(one).provenance["split_hash"]}
            results.setdefault(name, []).append(row)
            print(f"{name} seed {seed}: {row['metric']} pretrained {row['pretrained']:.3f}, scratch "
                  f"{row['scratch']:.3f}, gain {row['gain']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]",
                  flush=True)  # fmt: skip
    pretrained = read(encoder)
    words = [Path(w).name if Path(w).is_absolute() else w for w in sys.argv[1:]]  # no path of this machine
    about = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores",
        "versions": {package: version(package) for package in ("anlage", "torch")},
        "command": " ".join(
            [
                "python benchmarks/pretraining.py",
                *words,
            ]
        ),
    }
    content = {"about": about, "pretraining": pretrained.metrics, "sets": results}
    (HERE / "pretraining.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
