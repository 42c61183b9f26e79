"""Nothing that is fitted has seen a test row: with noise in their place all but their own figures stays the same."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import anlage
from anlage.evaluation.novelty import NOVELTY


def records(n: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(n, 4)), columns=list("abcd"))
    frame["kind"] = rng.choice(["one", "two"], n)
    frame["label"] = np.where(frame.a + frame.b + rng.normal(size=n) > 0, "yes", "no")
    return frame


def sequences(n: int) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    texts = ["".join(rng.choice(list("ACGT"), 40)) for _ in range(n)]
    noisy = [text.count("A") + rng.normal() * 2 > 10 for text in texts]
    return pd.DataFrame({"sequence": texts, "label": np.where(noisy, "yes", "no")})


@pytest.mark.parametrize("made", [records, sequences])
def test_noise_for_test_rows_changes_nothing_that_is_fitted(made, tmp_path: Path) -> None:
    table = made(400)
    table["split"] = np.repeat(["train", "valid", "test"], [240, 100, 60])
    noise = table.copy()
    rng = np.random.default_rng(2)
    tested = noise.index[noise["split"] == "test"]
    for column in noise.columns.drop("split"):
        if column == "sequence":
            noise.loc[tested, column] = ["".join(rng.choice(list("ACGTN"), rng.integers(5, 90))) for _ in tested]
        elif column in ("kind", "label"):
            noise.loc[tested, column] = rng.permutation(np.resize(sorted(table[column].unique()), len(tested)))
        else:
            noise.loc[tested, column] = rng.normal(size=len(tested)) * 100
    runs = [
        anlage.fit(
            frame, target="label", out=tmp_path / name, epochs=3, resamples=50, threshold=("sensitivity>=0.8", "f1"),
            baseline_budget="20s", say=lambda line: None,
        )
        for name, frame in (("true", table), ("noise", noise))
    ]  # fmt: skip
    one, two = runs
    assert one.contents.weights.keys() == two.contents.weights.keys()
    for name, tensor in one.contents.weights.items():
        assert torch.equal(tensor, two.contents.weights[name]), name
    assert one.contents.trust and one.contents.trust == two.contents.trust, "calibration, sets or thresholds differ"
    assert one.contents.inputs == two.contents.inputs and one.contents.targets == two.contents.targets
    assert (one.path / NOVELTY).read_bytes() == (two.path / NOVELTY).read_bytes()
    metrics = [json.loads((run.path / "metrics.json").read_text())["targets"]["label"] for run in runs]
    baselines = [{name: (of["settings"], of["valid"]) for name, of in found["baselines"].items()} for found in metrics]
    assert baselines[0] == baselines[1] and len(baselines[0]) == 3
    for name, of in metrics[0]["model"]["valid"].items():  # other batch-mates round otherwise
        assert of["value"] == pytest.approx(metrics[1]["model"]["valid"][name]["value"], abs=1e-6)
    assert metrics[0]["model"]["test"] != metrics[1]["model"]["test"], "noise was judged as if it were nothing new"
