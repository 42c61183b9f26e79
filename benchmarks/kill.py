"""kill -9 at ten random moments of a fit or a pretraining, resumed each time: are the final weights those of an
undisturbed run?

    python benchmarks/kill.py [--verb pretrain] [--kills 10] [--seed 0]

Data: simulated promoters (anlage.simulator), so that anyone can run it. After every kill the folder must not load as a
bundle, unless the kill came after the fit had finished. Prints a line for each kill and the verdict; exit 1 on a
difference.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import torch

import anlage
from anlage.bundle.read import is_bundle
from anlage.errors import AnlageError
from anlage.simulator import simulate_promoters

SETTINGS = {
    "fit": ["--target", "element", "--epochs", "12", "--patience", "100", "--baseline-budget", "5s",
            "--resamples", "200"],
    "pretrain": ["--input", "sequence", "--epochs", "4"],
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--verb", choices=list(SETTINGS), default="fit")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("runs/kill"))
    options = parser.parse_args()
    shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True)
    table = options.folder / "promoters.csv"
    simulate_promoters(2000, seed=0).to_csv(table)
    settings = [*SETTINGS[options.verb], "--encoder", "cnn-tiny", "--checkpoint-seconds", "1", "--average", "0.9"]
    os.environ["ANLAGE_CACHE"] = str(options.folder / "cache")

    def fit(out: Path, resume: bool = False) -> subprocess.Popen[bytes]:
        words = ["--resume", str(out)] if resume else [str(table), "--out", str(out), *settings]
        command = [sys.executable, "-m", "anlage", options.verb, *words]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    start = time.monotonic()
    assert fit(options.folder / "whole").wait() == 0
    seconds = time.monotonic() - start
    print(f"undisturbed: {seconds:.1f} s", flush=True)

    random.seed(options.seed)
    out, kills = options.folder / "killed", 0
    while kills < options.kills:
        begun = (out / "training" / "recipe.toml").exists()
        process = fit(out, resume=begun)
        moment = random.uniform(0.05, 0.6) * seconds
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
            state = "a finished bundle" if is_bundle(out) else "not loadable"
            try:
                anlage.load(out)
                assert is_bundle(out)
            except AnlageError:
                assert not is_bundle(out)
            print(f"kill {kills} after {moment:.1f} s: {state}", flush=True)
        if is_bundle(out) and kills < options.kills:  # done too early: a fresh run takes the remaining kills
            assert same(options.folder / "whole", out)
            print("finished with equal weights; a fresh run takes the remaining kills", flush=True)
            shutil.rmtree(out)
    if not is_bundle(out):
        assert fit(out, resume=(out / "training" / "recipe.toml").exists()).wait() == 0
    equal = same(options.folder / "whole", out)
    print(f"{kills} kills: final weights {'equal, bit for bit' if equal else 'DIFFER'}")
    return 0 if equal else 1


def same(one: Path, two: Path) -> bool:
    """Are all tensors of both bundles equal to the bit?"""
    weights = [anlage.load(path).contents.weights for path in (one, two)]
    return weights[0].keys() == weights[1].keys() and all(torch.equal(weights[0][n], weights[1][n]) for n in weights[0])


if __name__ == "__main__":
    sys.exit(main())
