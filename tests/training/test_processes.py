"""Several processes make the steps of one, each with the whole model or with its share of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import anlage
from anlage.simulator import simulate_promoters

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
STEPS = Path(__file__).parent / "steps.py"


def run(*command: str) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict:
    out = tmp_path_factory.mktemp("alone") / "steps.json"
    run(sys.executable, str(STEPS), str(out))
    return json.loads(out.read_text())


@pytest.mark.parametrize("words", [[], ["shard"]], ids=["copies", "shards"])
def test_two_processes_make_the_steps_of_one(alone, tmp_path, words):
    run(*TORCHRUN, str(STEPS), str(tmp_path / "steps.json"), *words)
    together = json.loads((tmp_path / "steps.json").read_text())
    assert len(alone["losses"]) >= 6
    np.testing.assert_allclose(together["losses"], alone["losses"], rtol=1e-3)
    np.testing.assert_allclose(together["norm"], alone["norm"], rtol=1e-4)


def test_a_fit_by_two_processes_writes_one_bundle(tmp_path):
    table = tmp_path / "promoters.csv"
    simulate_promoters(200).to_csv(table)
    words = ["--target", "element", "--encoder", "cnn-tiny", "--epochs", "1", "--baseline-budget", "2s"]
    run(*TORCHRUN, "-m", "anlage", "fit", str(table), *words, "--out", str(tmp_path / "run"))
    bundle = anlage.load(tmp_path / "run")
    lines = (tmp_path / "run/training/log.jsonl").read_text().splitlines()
    assert len(lines) == len(bundle.contents.history)
    assert len(bundle.predict(table)) == 200


def test_shards_need_several_processes(tmp_path):
    with pytest.raises(anlage.AnlageError, match="torchrun"):
        anlage.fit(simulate_promoters(80), target="element", out=tmp_path / "run", shard=True)
