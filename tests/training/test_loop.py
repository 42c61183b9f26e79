"""The loop goes on exactly where it was stopped, and answers lack of memory and losses that are no numbers."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import anlage
from anlage.bundle.read import is_bundle
from anlage.errors import AnlageError
from anlage.training.loop import Interrupted
from anlage.types import Columns, Encoded


@pytest.fixture
def table(tmp_path: Path) -> Path:
    random_ = np.random.default_rng(0)
    frame = pd.DataFrame(random_.normal(size=(300, 4)), columns=list("abcd"))
    frame["y"] = np.where(frame.a + frame.b * frame.c + random_.normal(size=300) > 0, "yes", "no")
    path = tmp_path / "table.csv"
    frame.to_csv(path, index=False)
    return path


OPTIONS = {
    "target": "y", "epochs": 12, "batch_samples": 16, "encoder": "mlp-tiny", "average": 0.9, "patience": 100,
    "baseline_budget": "1s", "resamples": 50, "checkpoint_seconds": 0.0,
}  # fmt: skip


def weights(run: anlage.Run) -> dict[str, torch.Tensor]:
    return run.contents.weights


def same(one: anlage.Run, two: anlage.Run) -> bool:
    return all(torch.equal(weights(one)[name], weights(two)[name]) for name in weights(one))


def test_same_seed_same_weights_other_seed_others(table: Path, tmp_path: Path) -> None:
    one, two = (anlage.fit(table, out=tmp_path / name, **OPTIONS) for name in ("one", "two"))
    other = anlage.fit(table, out=tmp_path / "other", seed=1, **OPTIONS)
    assert same(one, two) and not same(one, other)


def test_stopped_by_a_signal_and_resumed(table: Path, tmp_path: Path) -> None:
    whole = anlage.fit(table, out=tmp_path / "whole", **OPTIONS)
    stops = iter(["step 32/", "step 80/"])
    wanted = [next(stops)]

    def stop(line: str) -> None:
        if wanted[0] and line.startswith(wanted[0]):
            os.kill(os.getpid(), signal.SIGTERM)
            wanted[0] = next(stops, "")

    with pytest.raises(Interrupted, match="nothing is lost"):
        anlage.fit(table, out=tmp_path / "cut", say=stop, **OPTIONS)
    with pytest.raises(AnlageError, match="--resume"):
        anlage.fit(table, out=tmp_path / "cut", **OPTIONS)
    with pytest.raises(AnlageError, match="resume"):
        anlage.load(tmp_path / "cut")
    with pytest.raises(Interrupted):
        anlage.resume(tmp_path / "cut", say=stop)
    assert same(whole, anlage.resume(tmp_path / "cut"))
    logs = [(tmp_path / name / "training" / "log.jsonl").read_text().splitlines() for name in ("whole", "cut")]
    assert len(logs[0]) == len(logs[1])


def test_killed_at_random_moments(table: Path, tmp_path: Path) -> None:
    whole = anlage.fit(table, out=tmp_path / "whole", **OPTIONS)
    flags = [f"--{key.replace('_', '-')}={value}" for key, value in OPTIONS.items()]
    flags = [word for flag in flags for word in flag.split("=")]
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "anlage", "fit", str(table), "--out", str(out), *flags]
    again = [sys.executable, "-m", "anlage", "fit", "--resume", str(out)]
    random.seed(0)
    for _ in range(3):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while process.poll() is None and not (out / "training" / "checkpoint.safetensors").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(random.uniform(0, 0.6))
        process.kill()
        process.wait()
        if is_bundle(out):
            break
        with pytest.raises(AnlageError):
            anlage.load(out)
        command = again
    subprocess.run(again, check=True, capture_output=True)
    assert same(whole, anlage.load(out))


def test_a_checkpoint_of_other_settings_is_refused(table: Path, tmp_path: Path) -> None:
    def stop(line: str) -> None:
        if line.startswith("step"):
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        anlage.fit(table, out=tmp_path / "run", say=stop, **OPTIONS)
    with pytest.raises(AnlageError, match="other data, splits or settings"):
        anlage.fit(table, out=tmp_path / "run", resume=True, **(OPTIONS | {"learning_rate": 0.5}))


class Linear(nn.Module):
    """One's own encoder, which runs out of memory with more than ``most`` samples in a training batch."""

    layouts: ClassVar[frozenset[str]] = frozenset({"Columns"})
    most: ClassVar[int] = 10**9
    spoiled: ClassVar[set[int]] = set()
    calls: ClassVar[int] = 0
    width = 8

    def __init__(self, settings: object, shape: object):
        super().__init__()
        self.linear = nn.Linear(shape.numbers, self.width)  # type: ignore[attr-defined]

    @property
    def blocks(self) -> list[nn.Module]:
        return [self.linear]

    def forward(self, layout: Columns) -> Encoded:
        if self.training:
            if len(layout) > self.most:
                raise torch.OutOfMemoryError("out of memory")
            type(self).calls += 1
            if self.calls in self.spoiled:
                return Encoded(self.linear(layout.numbers) * float("nan"))
        return Encoded(self.linear(layout.numbers))


def test_memory_runs_out_and_the_steps_stay_the_same(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = OPTIONS | {"encoder": Linear, "augment": False, "epochs": 2, "average": 0.0}
    monkeypatch.setattr(nn.Dropout, "forward", lambda self, x: x)  # pieces draw other masks than the whole
    whole = anlage.fit(table, out=tmp_path / "whole", **options)
    monkeypatch.setattr(Linear, "most", 5)
    lines: list[str] = []
    pieces = anlage.fit(table, out=tmp_path / "pieces", say=lines.append, **options)
    assert any("memory ran out: each batch now goes in 4 pieces" in line for line in lines)
    for name, tensor in weights(whole).items():
        torch.testing.assert_close(tensor, weights(pieces)[name], rtol=1e-3, atol=1e-5)
    assert anlage.load(tmp_path / "whole", encoder=Linear).predict(table, say=print).notna().all(axis=None)
    with pytest.raises(AnlageError, match="Linear"):
        anlage.load(tmp_path / "whole").predict(table)


def test_losses_that_are_no_numbers(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = OPTIONS | {"encoder": Linear, "epochs": 2}
    monkeypatch.setattr(Linear, "spoiled", {3})
    monkeypatch.setattr(Linear, "calls", 0)
    lines: list[str] = []
    run = anlage.fit(table, out=tmp_path / "one", say=lines.append, **options)
    assert any("loss is not a number at step 2" in line for line in lines)
    assert all(torch.isfinite(tensor).all() for tensor in weights(run).values())
    monkeypatch.setattr(Linear, "spoiled", set(range(10**4)))
    with pytest.raises(AnlageError, match="lower --learning-rate"):
        anlage.fit(table, out=tmp_path / "all", **options)


def test_a_budget_bounds_the_steps(table: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    options = OPTIONS | {"epochs": 100_000, "budget": "3s"}
    run = anlage.fit(table, out=tmp_path / "run", say=lines.append, **options)
    assert any("budget 3s" in line for line in lines)
    assert run.evaluation["training"]["seconds"] < 30


def test_tensorboard_events_are_written_on_request(table: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    anlage.fit(table, out=tmp_path / "run", tensorboard=True, **(OPTIONS | {"epochs": 1}))
    assert list((tmp_path / "run" / "training" / "tensorboard").glob("events*"))
