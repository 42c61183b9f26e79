"""What a user asks of trust, through the verbs: fit, predict, evaluate."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import anlage

WISHES = {
    "epochs": 3, "resamples": 50, "baseline_budget": "20s", "seeds": 2, "coverage": 0.8, "gap": 0.05,
    "subgroup": ("site", "age:20"), "threshold": ("sensitivity>=0.8",), "drop": ("site", "age"),
    "relabel": ("died:late=yes,early=yes",), "say": lambda line: None,
}  # fmt: skip


def cohort(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(n, 3)), columns=list("abc"))
    ill = frame.a + frame.b + rng.normal(size=n) > 0
    frame["died"] = np.where(ill, rng.choice(["late", "early"], n), "no")
    return frame.assign(site=rng.choice(["A", "B"], n), age=rng.integers(30, 80, n))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> anlage.Run:
    return anlage.fit(cohort(600, 0), target="died", out=tmp_path_factory.mktemp("trust") / "run", **WISHES)


def test_metrics_say_how_far_to_trust_the_run(run: anlage.Run) -> None:
    metrics = run.evaluation
    entry = metrics["targets"]["died"]
    assert entry["calibration"]["rows"] >= 20 and "test" in entry["calibration"]["parts"]
    assert entry["conformal"]["coverage"] == 0.8 and 0 < entry["conformal"]["parts"]["test"]["held"]["value"] <= 1
    (goal,) = entry["thresholds"]
    assert goal["label"] == "yes" and goal["parts"]["test"]["sensitivity"]["n"] > 0
    assert [level["name"] for level in entry["subgroups"]["columns"]["site"]["levels"]] == ["A", "B"]
    assert len(entry["subgroups"]["columns"]["age:20"]["levels"]) >= 3
    spread = metrics["seeds"]["targets"]["died"]
    assert metrics["seeds"]["seeds"] == [0, 1] and len(spread["values"]) == 2 and spread["values"][0] != 0
    assert spread["values"][0] == entry["model"]["test"][entry["primary"]]["value"]
    assert metrics["audit"]["checked"] and metrics["novelty"]["parts"]["test"]["of"] > 0
    page = run.report_path.read_text()
    assert all(f'id="{part}"' in page for part in ("audit", "calibration", "subgroups", "seeds", "novelty"))


def test_predictions_bring_sets_thresholds_and_flags(run: anlage.Run) -> None:
    new = cohort(40, 1)
    new.loc[0, ["a", "b", "c"]] = 1e4
    told = run.predict(new, say=lambda line: None)
    assert set(told["died"]) <= {"yes", "no"} and set(told["died_at_sensitivity>=0.8"]) <= {"yes", "no"}
    assert all(label in held.split("|") for label, held in zip(told["died"], told["died_set"], strict=True))
    assert told["unusual"].iloc[0] and told["unusual_why"].iloc[0] and told["unusual"].iloc[1:].mean() < 0.3


def test_a_cohort_is_judged_with_the_run_s_own_calibration(run: anlage.Run, tmp_path: Path) -> None:
    anlage.evaluate(run, cohort(80, 2), out=tmp_path, say=lambda line: None)
    entry = json.loads((tmp_path / "metrics.json").read_text())["targets"]["died"]
    assert entry["calibration"]["rows"] == run.evaluation["targets"]["died"]["calibration"]["rows"]
    assert set(entry["conformal"]["parts"]) == {"test"} and entry["model"]["test"]["auroc"]["n"] == 80


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"threshold": ("often",)}, "no goal that is known"),
        ({"threshold": ("maybe:f1",)}, "no label 'maybe'"),
        ({"subgroup": ("ward",)}, "no column 'ward'"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused_before_training(wish: dict, said: str, tmp_path: Path) -> None:
    lines: list[str] = []
    with pytest.raises(anlage.AnlageError, match=said):
        anlage.fit(cohort(300, 0), target="died", out=tmp_path / "run", **WISHES | wish | {"say": lines.append})
    assert not any("step " in line for line in lines)
