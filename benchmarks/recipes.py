"""Run every recipe over seeds and table the results: mean and spread over seeds, the baseline, the verdicts.

    ANLAGE_DATA=path/to/data python benchmarks/recipes.py [--seeds 0 1 2] [--jobs 2] [--only deeploc stability]

Each fit is its own process with ``threads / jobs`` threads. A finished run is not repeated (its bundle is read), so
that an interrupted table goes on. Writes benchmarks/recipes.json and prints the table for benchmarks/README.md.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
RECIPES = HERE.parent / "recipes"


def make_tables(folder: Path) -> None:
    """Tables that recipes read and that come with a package."""
    from sklearn.datasets import load_breast_cancer

    folder.mkdir(parents=True, exist_ok=True)
    load_breast_cancer(as_frame=True).frame.to_csv(folder / "breast_cancer.csv", index=False)


def fit(recipe: Path, seed: int, out: Path, threads: int) -> float:
    """Fit one recipe with one seed, unless its bundle is there; returns the seconds it took (0 = was there)."""
    if (out / "bundle.json").exists():
        return 0.0
    resume = ["--resume", str(out)] if (out / "training" / "recipe.toml").exists() else []
    words = resume or ["--recipe", str(recipe), "--seed", str(seed), "--out", str(out)]
    out.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    with open(out.with_suffix(".log"), "a") as log:
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
        done = subprocess.run([sys.executable, "-m", "anlage", "fit", *words], stderr=log, stdout=log, env=environment)
    seconds = time.monotonic() - start
    state = "done" if done.returncode == 0 else f"FAILED ({done.returncode}), see {out.with_suffix('.log')}"
    print(f"{recipe.stem} seed {seed}: {state} in {seconds:.0f} s", flush=True)
    if done.returncode == 0:
        (out / "wall_seconds").write_text(f"{seconds:.1f}")
    return seconds


def summary(runs: dict[int, Path]) -> dict:
    """Mean and spread over seeds of the model and of the baseline to beat, on the test part."""
    rows = defaultdict(list)
    for seed, run in sorted(runs.items()):
        metrics = json.loads((run / "metrics.json").read_text())
        (target,) = metrics["targets"].values()
        verdict, test = target["verdict"], target["model"]["test"]
        rows["seed"].append(seed)
        rows["verdict"].append(verdict["text"])
        rows["outcome"].append(verdict["outcome"])
        rows["seconds"].append(metrics["training"]["seconds"])
        wall = run / "wall_seconds"
        rows["wall_seconds"].append(float(wall.read_text()) if wall.exists() else None)
        rows["difference"].append(verdict["difference"])
        rows["split_hash"].append(metrics["split_hash"])
        for name, value in test.items():
            rows[f"model {name}"].append(value["value"])
        for baseline, entry in target["baselines"].items():
            for name, value in entry["test"].items():
                rows[f"{baseline} {name}"].append(value["value"])
        primary, beaten = target["primary"], verdict["baseline"]
    return {"primary": primary, "baseline": beaten, **rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", default=[path.stem for path in sorted(RECIPES.glob("*.toml"))])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--no-fit", action="store_true", help="only table what is there")
    parser.add_argument("--runs", type=Path, default=Path("runs/recipes"))
    options = parser.parse_args()
    os.environ["ANLAGE_WORK"] = str(options.runs)
    make_tables(options.runs)
    wanted = [(RECIPES / f"{name}.toml", seed) for seed in options.seeds for name in options.only]
    wanted = [] if options.no_fit else wanted
    threads = max(1, options.threads // options.jobs)
    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(lambda job: fit(*job, options.runs / f"{job[0].stem}-{job[1]}", threads), wanted))
    table = {}
    for path in sorted(RECIPES.glob("*.toml")):
        found = {seed: options.runs / f"{path.stem}-{seed}" for seed in options.seeds}
        found = {seed: run for seed, run in found.items() if (run / "bundle.json").exists()}
        if found:
            table[path.stem] = summary(found)
    words = [Path(w).name if Path(w).is_absolute() else w for w in sys.argv[1:]]  # no path of this machine
    about = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores, {threads} threads a fit, {options.jobs} fits at a time",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("anlage", "torch", "numpy", "scikit-learn", "lightgbm")},
        "command": " ".join(["python benchmarks/recipes.py", *words]),
    }
    (HERE / "recipes.json").write_text(json.dumps({"about": about, "recipes": table}, indent=1) + "\n")
    print("| recipe | metric | seeds | model: mean ± sd | baseline to beat | verdicts | minutes |")
    print("|---|---|---|---|---|---|---|")
    for name, row in table.items():
        values = np.array(row[f"model {row['primary']}"])
        base = np.mean(row[f"{row['baseline']} {row['primary']}"])
        counts = ", ".join(f"{row['outcome'].count(o)} × {o}" for o in dict.fromkeys(row["outcome"]))
        minutes = np.mean([s for s in row["wall_seconds"] if s] or [np.nan]) / 60
        spread = f"{values.mean():.3f}" + (f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else "")
        cells = [name, row["primary"], len(values), spread, f"{row['baseline']} {base:.3f}", counts, f"{minutes:.1f}"]
        print(f"| {' | '.join(map(str, cells))} |")


if __name__ == "__main__":
    main()
