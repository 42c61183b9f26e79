"""Runs side by side on the same rows."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from anlage import cli
from anlage.bundle.contents import Contents
from anlage.bundle.write import write
from anlage.comparing import compare, holm, shown_pairs, values_of
from anlage.errors import AnlageError
from anlage.evaluation.intervals import paired, weights
from anlage.metrics.classification import AUROC
from anlage.metrics.regression import RMSE
from anlage.tasks.classification import Classification
from anlage.tasks.multilabel import MultiLabel
from anlage.tasks.protocol import Task
from anlage.tasks.regression import Regression

ROWS = 300


def diagnosis() -> Classification:
    return Classification("died", ["died"]).fit(pd.DataFrame({"died": ["no", "yes"] * 5}))


def dose() -> Regression:
    return Regression("dose", ["dose"]).fit(pd.DataFrame({"dose": [0.0, 1.0, 2.0]}))


def run(
    folder: Path,
    task: Task,
    truth: list,
    values: np.ndarray,
    *,
    ids: list[str] | None = None,
    part: str = "test",
    split: str = "s",
    data: str = "d",
    resampled: str = "rows",
    groups: np.ndarray | None = None,
    primary: str | None = None,
    kept: bool = True,
) -> Path:
    """A bundle with these predictions; its model is empty."""
    columns = {"part": part, f"true {task.target}": [str(t) for t in truth], **task.to_columns(values)}
    index = pd.Index(ids or [f"r{i}" for i in range(len(truth))], name="id")
    frame = pd.DataFrame(columns, index=index)
    if groups is not None:
        frame["group"] = groups
    metrics = {
        "resamples": 500,
        "seed": 0,
        "resampled": resampled,
        "targets": {task.target: {"primary": primary or next(iter(task.metrics))}},
    }
    contents = Contents(
        settings={"data": {}}, inputs=[], targets=[task.to_json()], metrics=metrics, history=[],
        provenance={"data_hash": data, "split_hash": split}, weights={"w": torch.zeros(1)},
    )  # fmt: skip
    return write(folder, contents, {"predictions.parquet": frame} if kept else {})


def two_classes(noise: float, rng: np.random.Generator) -> tuple[list, np.ndarray]:
    """The same labels each time, and probabilities with that much noise."""
    truth = np.random.default_rng(0).integers(0, 2, ROWS)
    p = 1 / (1 + np.exp(-(2 * truth - 1 + noise * rng.normal(size=ROWS))))
    return ["yes" if t else "no" for t in truth], np.stack([1 - p, p], axis=1)


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """A good run, one as good, and a bad one."""
    rng = np.random.default_rng(1)
    made = {"good": 0.7, "same": 0.7, "bad": 3.0}
    return [run(tmp_path / name, diagnosis(), *two_classes(noise, rng)) for name, noise in made.items()]


def test_a_better_run_is_said_to_be_better_by_its_paired_difference(runs):
    good, _, bad = runs
    found = compare([bad, good])
    assert found.verdict.startswith(f"{good.name} is better than {bad.name} by ") and found.verdict.endswith(" auroc")
    (pair,) = found.to_json()["targets"]["died"]["pairs"]
    assert (pair["a"], pair["b"], pair["outcome"]) == (good.name, bad.name, "better") and pair["p"] < 0.001
    frames = [pd.read_parquet(path / "rows" / "predictions.parquet") for path in (good, bad)]
    values = [frame[["died_probability_no", "died_probability_yes"]].to_numpy() for frame in frames]
    truth = (frames[0]["true died"] == "yes").to_numpy(dtype=float)[:, None]
    plain = paired(AUROC, truth, *values, weights(None, ROWS, 500, 0))
    said = pair["difference"]
    assert [said["value"], said["low"], said["high"]] == pytest.approx([plain.value, plain.low, plain.high])
    assert compare([good, bad]).to_json()["targets"]["died"]["pairs"] == [pair]


def test_equal_runs_show_no_difference_and_three_are_adjusted_for(runs):
    good, same, bad = runs
    assert compare([good, same]).verdict.startswith("no difference shown between ")
    found = compare(runs)
    died = found.to_json()["targets"]["died"]
    assert len(died["pairs"]) == 3 and all(pair["p_adjusted"] >= pair["p"] for pair in died["pairs"])
    assert died["best"] in (good.name, same.name) and f"better than {bad.name}" in found.verdict
    assert "not shown to be better than" in found.verdict
    assert any("adjusted for 3 pairs" in note for note in found.to_json()["notes"])
    assert found.lines()[0] == found.verdict


def test_errors_are_better_where_smaller(tmp_path):
    rng = np.random.default_rng(0)
    truth = rng.normal(size=ROWS)
    exact, rough = (truth[:, None] + noise * rng.normal(size=(ROWS, 1)) for noise in (0.1, 1.0))
    one = run(tmp_path / "exact", dose(), list(truth), exact)
    two = run(tmp_path / "rough", dose(), list(truth), rough)
    (pair,) = compare([two, one], metric="rmse").to_json()["targets"]["dose"]["pairs"]
    assert pair["a"] == one.name and pair["difference"]["value"] > 0.7
    table = truth.astype(np.float32)[:, None].astype(float)
    assert pair["difference"]["value"] == pytest.approx(RMSE(table, rough) - RMSE(table, exact), abs=1e-6)


def test_rows_are_matched_by_id_whatever_their_order(tmp_path, runs):
    rng = np.random.default_rng(5)
    truth, values = two_classes(1.0, rng)
    order = rng.permutation(ROWS)
    straight = run(tmp_path / "straight", diagnosis(), truth, values)
    ids = [f"r{i}" for i in order]
    shuffled = run(tmp_path / "shuffled", diagnosis(), [truth[i] for i in order], values[order], ids=ids)
    (pair,) = compare([straight, shuffled]).to_json()["targets"]["died"]["pairs"]
    assert pair["difference"] == {"value": 0.0, "low": 0.0, "high": 0.0} and pair["outcome"] == "no difference shown"


def test_groups_are_resampled_where_they_are_stored_and_missed_aloud_where_not(tmp_path):
    rng = np.random.default_rng(0)
    (truth, one), (_, two) = two_classes(1.0, rng), two_classes(1.5, rng)
    groups = np.repeat(np.arange(30), 10)
    same = {"resampled": "groups", "groups": groups}
    stored = [run(tmp_path / n, diagnosis(), truth, v, **same) for n, v in (("a", one), ("b", two))]
    found = compare(stored).to_json()
    assert (found["resampled"], found["n_groups"], found["notes"]) == ("groups", 30, [])
    bare = [run(tmp_path / n, diagnosis(), truth, v, resampled="groups") for n, v in (("c", one), ("d", two))]
    found = compare(bare).to_json()
    assert found["resampled"] == "rows" and "not stored" in found["notes"][0]


def test_what_cannot_be_compared_is_refused_in_one_line(tmp_path, runs):
    good = runs[0]
    truth, values = two_classes(1.0, np.random.default_rng(0))
    number = np.zeros((ROWS, 1))
    others = {
        "predict other targets": run(tmp_path / "t", dose(), [0.0] * ROWS, number),
        "were fitted to different tables": run(tmp_path / "d", diagnosis(), truth, values, data="other"),
        "--common compares on those (300 of 300 and 300 test rows": run(
            tmp_path / "s", diagnosis(), truth, values, split="other"
        ),
        "0 of 300 and 300 test rows are in both": run(
            tmp_path / "i", diagnosis(), truth, values, ids=[f"x{i}" for i in range(ROWS)]
        ),
        "hold different values of died": run(tmp_path / "v", diagnosis(), truth[::-1], values),
        "were left behind": run(tmp_path / "b", diagnosis(), truth, values, kept=False),
        "give --metric": run(tmp_path / "m", diagnosis(), truth, values, primary="mcc"),
        "not judged on": run(tmp_path / "p", diagnosis(), truth, values, part="none"),
    }
    for what, path in others.items():
        with pytest.raises(AnlageError) as raised:
            compare([good, path])
        assert what in str(raised.value) and "\n" not in str(raised.value), raised.value
    with pytest.raises(AnlageError, match="no metric 'speed'; metrics: auroc"):
        compare(runs, metric="speed")
    with pytest.raises(AnlageError, match="named twice"):
        compare([good, good])
    with pytest.raises(AnlageError, match="two or more"):
        compare([good])


def test_common_rows_of_other_splits(tmp_path):
    truth, values = two_classes(1.0, np.random.default_rng(0))
    _, worse = two_classes(4.0, np.random.default_rng(1))
    one = run(tmp_path / "one", diagnosis(), truth[:200], values[:200])
    ids = [f"r{i}" for i in range(100, ROWS)]
    two = run(tmp_path / "two", diagnosis(), truth[100:], worse[100:], ids=ids, split="other")
    found = compare([one, two], common=True)
    assert found.to_json()["n"] == 100 and "learned from other rows" in found.to_json()["notes"][0]


def test_rows_without_a_label_are_unknown_to_all(tmp_path):
    truth, values = two_classes(1.0, np.random.default_rng(0))
    truth[0] = truth[1] = float("nan")
    _, other = two_classes(1.5, np.random.default_rng(1))
    found = compare([run(tmp_path / n, diagnosis(), truth, v) for n, v in (("a", values), ("b", other))]).to_json()
    assert all(score["n"] == ROWS - 2 for score in found["targets"]["died"]["scores"].values())


def test_values_come_back_from_their_columns():
    labels = MultiLabel("signs", ["signs"]).fit(pd.DataFrame({"signs": ["a;b", "b", "", "c"]}))
    several = Regression("y", ["u", "v"]).fit(pd.DataFrame({"u": [0.0, 1.0], "v": [0.0, 2.0]}))
    rng = np.random.default_rng(0)
    for task, values in ((diagnosis(), np.array([[0.2, 0.8]])), (labels, rng.random((4, 3))), (several, np.eye(2))):
        frame = pd.DataFrame(task.to_columns(values))
        np.testing.assert_array_equal(values_of(task, frame, "run"), values)
    with pytest.raises(AnlageError, match="run: its predictions have no column 'died_probability_no'"):
        values_of(diagnosis(), pd.DataFrame({"died": ["no"]}), "run")


def test_holm_is_that_of_the_textbook():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([None, 0.5, 0.9]) == [None, 1.0, 1.0] and holm([]) == []


def test_the_command_prints_the_verdict_first_and_writes_page_and_json(runs, tmp_path, capsys):
    page, data = tmp_path / "new" / "c.html", tmp_path / "c.json"
    cli.main(["compare", *map(str, runs), "-o", str(page), "--json", str(data)])
    found = json.loads(data.read_text())
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.startswith(found["verdict"])
    html = page.read_text()
    assert found["verdict"] in html and "<script" not in html and html.count("<tr>") >= 6
    for pair in shown_pairs(found["targets"]["died"], found["runs"]):
        assert f"{pair['difference']['value']:.3f}" in html


def test_the_command_ends_in_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["compare", str(tmp_path / "a"), str(tmp_path / "b")])
    assert ended.value.code == 2 and "is not a bundle" in capsys.readouterr().err
