"""How well `anlage advise` knows how long a fit takes: its estimate beside the measured time of training all steps.

    ANLAGE_DATA=path/to/data python benchmarks/advise.py [--repeats 1]

For each table: `anlage advise --json`, then the command that it proposes, with --patience 0 (so that every step is
made) and next to no time for baselines. Fewer epochs than advised keep it short; both sides are told the same. Prints
the estimated and the measured seconds of training, their ratio (bar: within a factor of 2), and what the advice took.
The time of a shared machine varies: the load average stands beside each line.
"""

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

TABLES = (
    ("dna/ienhancer2l.csv.gz", "enhancer", 8),
    ("proteins/flip_gb1_three_vs_rest.csv.gz", "fitness", 15),
    ("images/pneumoniamnist.npz", "label", 10),
)
WITHOUT_THE_REST = ("--baseline-budget", "1s", "--resamples", "20")
BAR = 2.0


def run(words: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ | environment)
    if done.returncode:
        sys.exit(f"{shlex.join(words)}: {done.stderr.strip().splitlines()[-1]}")
    return done


def compare(table: Path, target: str, epochs: int, folder: Path) -> tuple[float, float, float, dict[str, str]]:
    """(seconds that the advice took, estimated and measured seconds of training, variables that it sets)."""
    options = [str(table), "--target", target, "--epochs", str(epochs), "--patience", "0", *WITHOUT_THE_REST]
    started = time.monotonic()
    advice = json.loads(run([sys.executable, "-m", "anlage", "advise", *options, "--json"], {}).stdout)
    took = time.monotonic() - started
    words = shlex.split(advice["command"])
    words = words[words.index("anlage") + 1 :]
    run([sys.executable, "-m", "anlage", *words, "--out", str(folder)], advice["environment"])
    measured = json.loads((folder / "metrics.json").read_text())["training"]["seconds"]
    return took, advice["time"]["training_seconds_at_most"], measured, advice["environment"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args()
    data = Path(os.environ.get("ANLAGE_DATA", Path(__file__).parents[2] / "shared" / "data"))
    print(f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, Python {platform.python_version()}, "
          f"torch {version('torch')}, anlage {version('anlage')}")  # fmt: skip
    print("| table | epochs | advice took | estimated | measured | estimated / measured | variables | load |")
    print("|---|---|---|---|---|---|---|---|")
    missed = 0
    for _ in range(options.repeats):
        for name, target, epochs in TABLES:
            with tempfile.TemporaryDirectory() as folder:
                found = compare(data / name, target, epochs, Path(folder) / "run")
            took, estimated, measured, environment = found
            ratio = estimated / measured
            missed += not 1 / BAR <= ratio <= BAR
            variables = " ".join(f"{key}={value}" for key, value in environment.items())
            cells = [Path(name).name, epochs, f"{took:.0f} s", f"{estimated:.0f} s", f"{measured:.0f} s",
                     f"{ratio:.2f}", variables, f"{os.getloadavg()[0]:.1f}"]  # fmt: skip
            print(f"| {' | '.join(map(str, cells))} |", flush=True)
    print(f"{missed} of {options.repeats * len(TABLES)} miss the factor of {BAR:g}")


if __name__ == "__main__":
    main()
