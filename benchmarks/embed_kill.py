"""kill -9 at ten random moments of an embedding, started again each time: is the file that of an undisturbed run?

    python benchmarks/embed_kill.py [--kills 10] [--seed 0] [--rows 10000]

Data: simulated promoters (anlage.simulator), so that anyone can run it. After every kill there must be no output file,
unless the kill came after it was finished, and no part that was there may be gone or have changed. Prints a line for
each kill and the verdict; exit 1 on a difference.
"""

import argparse
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq

import anlage
from anlage.simulator import simulate_promoters


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, default=Path("runs/embed-kill"))
    options = parser.parse_args()
    shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True)
    table = options.folder / "promoters.csv"
    simulate_promoters(options.rows, seed=0).to_csv(table)
    bundle = options.folder / "run"
    anlage.fit(simulate_promoters(300, seed=1), target="element", out=bundle, encoder="cnn-tiny", epochs=1,
               baseline_budget="2s", resamples=20, say=lambda line: None)  # fmt: skip

    def embed(out: Path) -> subprocess.Popen[bytes]:
        words = ["embed", str(bundle), str(table), "-o", str(out), "--rows", "64"]
        command = [sys.executable, "-m", "anlage", *words]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    start = time.monotonic()
    assert embed(options.folder / "whole.parquet").wait() == 0
    seconds = time.monotonic() - start
    print(f"undisturbed: {options.rows:,} rows in {seconds:.1f} s", flush=True)

    random.seed(options.seed)
    out, kills = options.folder / "killed.parquet", 0
    safe: dict[str, bytes] = {}
    while kills < options.kills:
        process = embed(out)
        moment = random.uniform(0.05, 0.6) * seconds
        try:
            assert process.wait(moment) == 0
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
            now = parts(out)
            assert out.exists() or all(now.get(name) == content for name, content in safe.items())
            safe = now
            state = "finished" if out.exists() else f"{len(safe)} of {-(-options.rows // 64)} parts are safe"
            print(f"kill {kills} after {moment:.1f} s: {state}", flush=True)
        if out.exists() and kills < options.kills:  # done too early: a fresh run takes the remaining kills
            assert same(options.folder / "whole.parquet", out)
            print("finished with an equal file; a fresh run takes the remaining kills", flush=True)
            out.unlink()
            shutil.rmtree(parts_of(out), ignore_errors=True)
            safe = {}
    if not out.exists():
        assert embed(out).wait() == 0
    equal = same(options.folder / "whole.parquet", out)
    print(f"{kills} kills: the file is {'equal, bit for bit' if equal else 'ANOTHER'}")
    return 0 if equal else 1


def parts_of(out: Path) -> Path:
    return out.with_name(f"{out.name}.parts")


def parts(out: Path) -> dict[str, bytes]:
    """Every part that counts as safe, and its content."""
    return {path.name: path.with_suffix(".arrow").read_bytes() for path in parts_of(out).glob("0*.json")}


def same(one: Path, two: Path) -> bool:
    """Do both hold the same ids and vectors, to the bit?"""
    return pq.read_table(one).equals(pq.read_table(two))


if __name__ == "__main__":
    sys.exit(main())
