"""Fits that begin with a pretrained encoder: what is kept and why, and that nothing is lost or read too early."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import anlage
from anlage import ladder
from anlage.bundle.read import read, read_rows
from anlage.encoders.convolutional import Convolutional
from anlage.errors import AnlageError
from anlage.training.loop import Interrupted

Options = dict[str, Any]


@pytest.fixture
def options(fast: Options, pretrained: str) -> Options:
    """A fit to the number that the encoder was not pretrained for."""
    return fast | {"target": "gc", "drop": "element", "encoder": pretrained}


def predicts_from_rows_what_was_judged(run: anlage.Run, table: pd.DataFrame) -> None:
    """The bundle reads raw rows and says what the fit stored."""
    stored = read_rows(run.path, "predictions.parquet")
    assert stored is not None and len(stored)
    told = run.predict(table, say=lambda line: None).loc[stored.index]
    numeric = [name for name in told.columns if pd.api.types.is_numeric_dtype(told[name])]
    assert numeric
    np.testing.assert_allclose(told[numeric].astype(float), stored[numeric].astype(float), rtol=1e-5, atol=1e-5)


def encoder_weights(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in weights.items() if name.startswith("encoders.")}


def test_it_climbs_while_the_gain_is_real_and_keeps_the_last_real_one(
    promoters: pd.DataFrame, options: Options, pretrained: str, tmp_path: Path
) -> None:
    lines: list[str] = []
    whole = {"say": lines.append, "calibration_fraction": 0.0}  # all validation rows judge the rungs
    run = anlage.fit(promoters, out=tmp_path / "run", **options | whole)
    told = json.loads((run.path / "metrics.json").read_text())["adaptation"]
    assert (told["asked"], told["folds"]) == ("auto", None)
    rungs = told["rungs"]
    assert [rung["adaptation"] for rung in rungs] == ["frozen", "lora", "full"][: len(rungs)]
    assert len(rungs) > 1 and rungs[0]["gain"] is None
    real = [rung["gain"]["low"] > 0 for rung in rungs[1:]]
    assert all(real[:-1]) and real[0], "LoRA is needed here: the frozen encoder has not learned to count"
    assert told["kept"] == rungs[-1 if real[-1] else -2]["adaptation"]
    for above, below in zip(rungs[1:], rungs, strict=False):
        gained = above["scores"]["gc"]["value"] - below["scores"]["gc"]["value"]
        assert above["gain"]["value"] == pytest.approx(gained)
        assert above["learned_parameters"] > below["learned_parameters"]
    kept = next(rung for rung in rungs if rung["adaptation"] == told["kept"])
    valid = run.evaluation["targets"]["gc"]["model"]["valid"]["spearman"]
    assert kept["scores"]["gc"]["value"] == pytest.approx(valid["value"], abs=1e-6)
    assert kept["scores"]["gc"]["low"] < kept["scores"]["gc"]["value"] < kept["scores"]["gc"]["high"]
    assert run.contents.history[-1]["step"] == kept["steps"]
    assert any(line.startswith(f"adaptation {told['kept']} is kept: ") for line in lines)
    page = run.report_path.read_text()
    assert f"{told['kept']} (kept)" in page and "How it was adapted" in page
    assert run.contents.weights.keys() == fresh_names(promoters, options, tmp_path)
    changed = encoder_weights(run.contents.weights)
    before = encoder_weights(read(pretrained).weights)
    assert any(not torch.equal(changed[name], tensor) for name, tensor in before.items())
    predicts_from_rows_what_was_judged(run, promoters)


def fresh_names(table: pd.DataFrame, options: Options, tmp_path: Path) -> set[str]:
    """Names of the weights of the same model without anything pretrained."""
    fresh = options | {"encoder": "cnn-tiny:width=32,layers=3,dropout=0", "epochs": 1}
    return set(anlage.fit(table, out=tmp_path / "fresh", **fresh).contents.weights)


def test_what_is_no_better_is_not_kept(promoters: pd.DataFrame, options: Options, tmp_path: Path) -> None:
    noise = promoters.assign(gc=np.random.default_rng(0).permutation(promoters.gc))
    told = anlage.fit(noise, out=tmp_path, **options).evaluation["adaptation"]
    assert told["kept"] == "frozen" and "no real gain by lora" in told["why"]
    assert [rung["adaptation"] for rung in told["rungs"]] == ["frozen", "lora"]


def test_a_frozen_encoder_is_the_pretrained_one_and_is_run_once_for_all_fits(
    promoters: pd.DataFrame, options: Options, pretrained: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    told = options | {"adapt": "frozen", "say": lines.append}
    run = anlage.fit(promoters, out=tmp_path / "gc", **told)
    predicts_from_rows_what_was_judged(run, promoters)
    for name, tensor in encoder_weights(read(pretrained).weights).items():
        assert torch.equal(run.contents.weights[name], tensor)
    assert "vectors of sequence: computing 300" in lines
    assert sum("not varied" in line for line in lines) == 1

    monkeypatch.setattr(Convolutional, "forward", None)  # another target, another seed: the encoder is not run at all
    again = anlage.fit(promoters, out=tmp_path / "other", **told | {"target": "element", "drop": "gc", "seed": 3})
    assert "vectors of sequence: all 300 were kept from before" in lines
    monkeypatch.undo()
    predicts_from_rows_what_was_judged(again, promoters)


@pytest.mark.parametrize("adapt", ["frozen", "partial", "lora", "full"])
def test_stopped_and_resumed_to_the_same_weights(
    adapt: str, promoters: pd.DataFrame, options: Options, tmp_path: Path
) -> None:
    wanted = options | {"adapt": adapt, "average": 0.9, "patience": 100, "epochs": 6}
    whole = anlage.fit(promoters, out=tmp_path / "whole", **wanted)

    def stop(line: str) -> None:
        if line.startswith("step 15/"):
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        anlage.fit(promoters, out=tmp_path / "cut", **wanted | {"say": stop})
    resumed = anlage.resume(tmp_path / "cut", table=promoters, say=lambda line: None)
    for name, tensor in whole.contents.weights.items():
        assert torch.equal(resumed.contents.weights[name], tensor), name
    assert not list((tmp_path / "cut").rglob("checkpoint*"))


def test_a_climb_goes_on_where_it_was_stopped(promoters: pd.DataFrame, options: Options, tmp_path: Path) -> None:
    whole = anlage.fit(promoters, out=tmp_path / "whole", **options)
    lines: list[str] = []

    def stop(line: str) -> None:
        lines.append(line)
        if line.startswith("step 8/") and any("adaptation lora" in earlier for earlier in lines):
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        anlage.fit(promoters, out=tmp_path / "cut", **options | {"say": stop})
    lines = []
    resumed = anlage.resume(tmp_path / "cut", table=promoters, say=lines.append)
    before = lines[: next(i for i, line in enumerate(lines) if "adaptation lora" in line)]
    assert not any(line.startswith("step ") for line in before), "the finished rung is not trained again"
    for name, tensor in whole.contents.weights.items():
        assert torch.equal(resumed.contents.weights[name], tensor), name
    one, two = ([rung["scores"] for rung in run.evaluation["adaptation"]["rungs"]] for run in (whole, resumed))
    assert one == two


def test_test_rows_choose_nothing(promoters: pd.DataFrame, options: Options, tmp_path: Path) -> None:
    frame = promoters.assign(split=["train", "train", "valid", "valid", "test"] * 60)
    noisy = frame.copy()
    noisy.loc[noisy.split == "test", "gc"] = 0
    runs = [anlage.fit(f, out=tmp_path / n, **options | {"epochs": 4}) for n, f in {"one": frame, "two": noisy}.items()]
    told = [[(r["adaptation"], r["scores"], r["gain"]) for r in run.evaluation["adaptation"]["rungs"]] for run in runs]
    assert told[0] == told[1]
    assert all(torch.equal(w, runs[1].contents.weights[name]) for name, w in runs[0].contents.weights.items())
    assert runs[0].evaluation["targets"]["gc"]["model"]["test"] != runs[1].evaluation["targets"]["gc"]["model"]["test"]


def test_each_fold_climbs_for_itself(promoters: pd.DataFrame, options: Options, tmp_path: Path) -> None:
    run = anlage.fit(promoters, out=tmp_path, folds=2, **options | {"epochs": 3})
    told = run.evaluation["adaptation"]
    assert len(told["folds"]) == 2 and set(told["folds"]) <= {"frozen", "lora", "full"}
    assert run.evaluation["targets"]["gc"]["model"]["test"]["spearman"]["n"] == 300
    assert ", ".join(told["folds"]) in run.report_path.read_text()


def test_a_budget_ends_the_climb(
    promoters: pd.DataFrame, options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ladder, "LEAST_EPOCHS", 100_000)
    lines: list[str] = []
    wanted = options | {"epochs": 100_000, "budget": "2s", "say": lines.append}
    told = anlage.fit(promoters, out=tmp_path, **wanted).evaluation["adaptation"]
    assert (told["kept"], told["why"]) == ("frozen", "the budget does not allow lora")
    assert [rung["adaptation"] for rung in told["rungs"]] == ["frozen"]
    assert any("of the budget are left: it ends here" in line for line in lines)


def test_recurrent_layers_skip_lora(promoters: pd.DataFrame, options: Options, tmp_path: Path) -> None:
    short = promoters.assign(sequence=promoters.sequence.str[:30])
    wanted = options | {"encoder": "gru-tiny:width=16,layers=1", "epochs": 1}
    base = anlage.fit(short, out=tmp_path / "base", **wanted)
    lines: list[str] = []
    wanted |= {"encoder": str(base.path), "say": lines.append}
    told = anlage.fit(short, out=tmp_path / "auto", **wanted).evaluation["adaptation"]
    assert [rung["adaptation"] for rung in told["rungs"]] == ["frozen", "full"]
    assert any("lora left out: encoder of sequence" in line and "recurrent" in line for line in lines)
    with pytest.raises(AnlageError, match="use partial or full"):
        anlage.fit(short, out=tmp_path / "lora", adapt="lora", **wanted)


def test_without_a_pretrained_encoder_there_is_nothing_to_adapt(
    promoters: pd.DataFrame, options: Options, tmp_path: Path
) -> None:
    with pytest.raises(AnlageError, match="no encoder is pretrained"):
        anlage.fit(promoters, out=tmp_path / "run", **options | {"encoder": "cnn-tiny", "adapt": "lora"})
    run = anlage.fit(promoters, out=tmp_path / "fresh", **options | {"encoder": "cnn-tiny", "epochs": 1})
    assert run.evaluation["adaptation"] is None


@pytest.mark.parametrize("adapt", ["frozen", "lora"])
def test_two_inputs_two_targets_and_missing_values(
    adapt: str, promoters: pd.DataFrame, options: Options, tmp_path: Path
) -> None:
    frame = promoters.assign(age=np.arange(300) % 50)
    frame.loc[frame.index[::7], "sequence"] = None
    wanted = options | {"target": ("element", "gc"), "drop": (), "input": ("sequence", "age"), "epochs": 2}
    run = anlage.fit(frame, out=tmp_path, adapt=adapt, **wanted)
    assert run.evaluation["adaptation"]["rungs"][0]["scores"].keys() == {"element", "gc"}
    predicts_from_rows_what_was_judged(run, frame)


@pytest.mark.parametrize("adapt", ["frozen", "lora", "full"])
def test_records_are_read_as_the_pretrained_encoder_reads_them(adapt: str, fast: Options, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(300, 3)), columns=list("abc"))
    frame["kind"] = random.choice(["one", "two", "three"], 300)
    frame["y"] = frame.a + frame.b + random.normal(size=300) * 0.1
    base = anlage.fit(frame, target="y", encoder="mlp-tiny", out=tmp_path / "base", **fast)
    other = frame.assign(a=frame.a * 3 + 5, y=lambda f: f.a - f.b).iloc[::-1]
    run = anlage.fit(other, target="y", encoder=str(base.path), adapt=adapt, out=tmp_path / "run", **fast)
    assert run.contents.inputs[0]["modality"] == base.contents.inputs[0]["modality"]
    assert run.contents.inputs[0]["pretrained"]["source"] == str(base.path)
    predicts_from_rows_what_was_judged(run, other)
