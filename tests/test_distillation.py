"""A student learns from a teacher: closer to it than without, on rows without labels, and honestly judged beside it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import anlage
from anlage.distillation.distilled import Distilled, Lesson
from anlage.distillation.settings import DistillationSettings
from anlage.distillation.soft import SOFT
from anlage.errors import AnlageError
from anlage.simulator import simulate_promoters
from anlage.tasks import lookup
from anlage.tasks.protocol import Task
from anlage.training import checkpoints
from anlage.types import Encoded

FAST: dict[str, Any] = {"baseline_budget": "1s", "resamples": 50, "say": lambda line: None}
TRAIN, VALID, TEST, LABELLED = 600, 100, 300, 40
SHARED: dict[str, Any] = {"batch_samples": 16, "patience": 0, "seed": 0}
TEACHER = {"encoder": "cnn-tiny:layers=3,pooling=max,token_dropout=0", "epochs": 7, "learning_rate": 3e-3} | SHARED
STUDENT = {
    "encoder": "cnn-tiny:width=32,layers=3,pooling=max,token_dropout=0",
    "epochs": 8,
    "learning_rate": 5e-3,
} | SHARED


def promoters(folder: Path) -> tuple[Path, Path]:
    """Simulated promoters with all labels, and the same with few of those of the training rows."""
    whole = simulate_promoters(TRAIN + VALID + TEST)
    whole["split"] = ["train"] * TRAIN + ["valid"] * VALID + ["test"] * TEST
    few = whole.copy()
    few.loc[few.index[LABELLED:TRAIN], "element"] = None
    paths = folder / "whole.csv", folder / "few.csv"
    for path, table in zip(paths, (whole, few), strict=True):
        table.to_csv(path, index_label="id")
    return paths


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("study")
    whole, few = promoters(folder)
    teacher = anlage.fit(whole, target="element", out=folder / "teacher", **TEACHER | FAST)
    lines: list[str] = []
    options = {"target": "element", "teacher": str(teacher.path)} | STUDENT | FAST
    taught = anlage.fit(few, out=folder / "taught", **options | {"say": lines.append})
    small = folder / "small.csv"
    rows = np.r_[: LABELLED + 60, TRAIN : TRAIN + 50, -100:0]
    pd.read_csv(few).iloc[rows].to_csv(small, index=False)
    return {
        "whole": whole,
        "few": few,
        "small": small,
        "teacher": teacher,
        "taught": taught,
        "lines": lines,
        "options": options,
    }


def predicted(run: anlage.Run, table: Path) -> np.ndarray:
    rows = pd.read_csv(table, index_col="id").query("split == 'test'").drop(columns="element")
    return run.predict(rows)["element_probability_promoter"].to_numpy(dtype=float)


def test_a_student_is_closer_to_its_teacher_than_without_it(study: dict[str, Any]) -> None:
    alone = anlage.fit(study["few"], target="element", **STUDENT | FAST | {"epochs": 60})
    goal, near, far = (predicted(run, study["whole"]) for run in (study["teacher"], study["taught"], alone))
    assert np.abs(near - goal).mean() < 0.6 * np.abs(far - goal).mean()
    assert np.corrcoef(near, goal)[0, 1] > np.corrcoef(far, goal)[0, 1] + 0.3


def test_both_are_judged_on_the_same_rows_in_one_run(study: dict[str, Any]) -> None:
    found = study["taught"].evaluation["distillation"]
    teacher, student = found["teacher"], found["student"]
    assert teacher["parameters"] == study["teacher"].evaluation["training"]["parameters"]
    assert student["parameters"] == study["taught"].evaluation["training"]["parameters"] < 0.4 * teacher["parameters"]
    assert student["samples_per_second"] > teacher["samples_per_second"] > 0
    for one, run in ((teacher, study["teacher"]), (student, study["taught"])):
        own = run.evaluation["targets"]["element"]["model"]["test"]["auroc"]
        assert one["scores"]["element"] == {"metric": "auroc"} | own
    gain = found["difference"]["element"]
    scores = [one["scores"]["element"]["value"] for one in (student, teacher)]
    assert gain["value"] == pytest.approx(scores[0] - scores[1]) and gain["low"] <= gain["value"] <= gain["high"]
    assert (found["rows"], found["part"], found["test_rows_seen"]) == (TEST, "test", 0)
    assert found["unlabelled_rows"] == TRAIN - LABELLED
    page = study["taught"].report_path.read_text()
    assert "What it learned from a teacher" in page and f"{student['parameters']:,}" in page
    assert any(line.startswith("student − teacher") for line in study["lines"])
    assert any("baselines learned from the labels of this table alone" in line for line in study["lines"])
    assert "What it learned from a teacher" not in study["teacher"].report_path.read_text()


def test_the_bundle_knows_nothing_of_teachers(study: dict[str, Any], tmp_path: Path) -> None:
    run = anlage.load(study["taught"].path)
    assert run.contents.targets == study["teacher"].contents.targets
    names = run.model.heads[next(iter(run.model.heads))].state_dict().keys()
    assert names == study["teacher"].model.heads[next(iter(study["teacher"].model.heads))].state_dict().keys()
    goal = predicted(run, study["whole"])
    study["teacher"].path.rename(tmp_path / "gone")
    try:
        np.testing.assert_array_equal(predicted(anlage.load(run.path), study["whole"]), goal)
    finally:
        (tmp_path / "gone").rename(study["teacher"].path)


def test_a_killed_fit_resumes_to_the_same_weights(
    study: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = study["options"] | {"epochs": 2}
    whole = anlage.fit(study["small"], out=tmp_path / "whole", **options)
    real = checkpoints.save

    def save(path: Path, progress: checkpoints.Progress, *rest: Any) -> None:
        real(path, progress, *rest)
        if progress.step == 9:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "save", save)
    with pytest.raises(KeyboardInterrupt):
        anlage.fit(study["small"], out=tmp_path / "killed", **options | {"checkpoint_seconds": 0.0})
    monkeypatch.undo()
    again = anlage.resume(tmp_path / "killed", say=lambda line: None)
    assert whole.evaluation["distillation"]["unlabelled_rows"] == 60
    for name, tensor in whole.contents.weights.items():
        assert torch.equal(tensor, again.contents.weights[name]), name


def test_a_teacher_that_was_trained_on_test_rows_is_refused(study: dict[str, Any], tmp_path: Path) -> None:
    table = pd.read_csv(study["whole"])
    options = study["options"] | {"epochs": 1, "split": "random"}
    with pytest.raises(AnlageError, match=r"LEAK: teacher .* was trained on \d+ of 200 test rows") as same:
        anlage.fit(study["whole"], out=tmp_path / "same", **options)  # by the ids of its own table
    table = table.drop(columns="split").sample(n=500, random_state=0)
    table["id"] = [f"other{i}" for i in range(len(table))]
    table.to_csv(tmp_path / "other.csv", index=False)
    with pytest.raises(AnlageError, match=r"LEAK: .* of \d+ test rows") as other:  # by the sequences of another
        anlage.fit(tmp_path / "other.csv", out=tmp_path / "other", **options)
    told = [str(error.value).split("trained on ")[1].split() for error in (same, other)]
    seen, of = zip(*[(int(words[0]), int(words[2])) for words in told], strict=True)
    assert of[0] == 200 and 95 <= of[1] <= 105
    assert all(0.55 < a / b < 0.85 for a, b in zip(seen, of, strict=True))  # 70 % of its rows trained or tuned it
    lines: list[str] = []
    run = anlage.fit(
        tmp_path / "other.csv", out=tmp_path / "left", exclude_seen=True, **options | {"say": lines.append}
    )
    found = run.evaluation["distillation"]
    assert found["test_rows_seen"] == seen[1] and found["rows"] == of[1] - seen[1]
    assert any("LEAK" in line and "left out" in line for line in lines)


def test_a_teacher_whose_rows_are_gone_is_not_vouched_for(study: dict[str, Any], tmp_path: Path) -> None:
    lines: list[str] = []
    moved = study["whole"].rename(tmp_path / "moved.csv")
    try:
        run = anlage.fit(study["small"], out=tmp_path / "run", **study["options"] | {"epochs": 1, "say": lines.append})
    finally:
        moved.rename(study["whole"])
    assert any("NOT CHECKED" in line for line in lines)
    assert run.evaluation["distillation"]["test_rows_seen"] is None
    assert "NOT CHECKED" in run.report_path.read_text()


def test_no_training_row_needs_a_label(study: dict[str, Any], tmp_path: Path) -> None:
    table = pd.read_csv(study["small"], index_col="id")
    table.loc[table["split"] == "train", "element"] = None
    run = anlage.fit(table, out=tmp_path / "run", **study["options"] | {"epochs": 1})
    assert run.evaluation["distillation"]["unlabelled_rows"] == LABELLED + 60
    assert run.evaluation["targets"]["element"]["baselines"] == {}
    table["element"] = None
    with pytest.raises(AnlageError, match="no row has both"):
        anlage.fit(table, out=tmp_path / "none", **study["options"])


def test_what_does_not_fit_is_one_clear_line(study: dict[str, Any], tmp_path: Path) -> None:
    table = pd.read_csv(study["whole"], index_col="id")
    table["strength"] = np.random.default_rng(0).normal(size=len(table))
    wrong = table.replace({"element": {"none": "enhancer"}})
    for frame, options, told in (
        (wrong, {}, "labels that the teacher lacks: enhancer$"),
        (table, {"target": "strength"}, "it predicts element, not strength$"),
        (table, {"task": "regression"}, "element is classification to it, not regression$"),
        (table.rename(columns={"sequence": "dna"}), {}, "lacks the input column 'sequence'"),
        (table, {"teacher": str(tmp_path)}, "is not a bundle"),
        (table, {"teacher_weight": 0.0}, "--teacher-weight 0.0"),
        (table, {"temperature": 0.0}, "--temperature 0.0"),
    ):
        with pytest.raises(AnlageError, match=told):
            anlage.fit(frame, out=tmp_path / "run", **study["options"] | options)


def test_duplicates_of_test_rows_are_not_learned_from(study: dict[str, Any], tmp_path: Path) -> None:
    table = pd.read_csv(study["small"], index_col="id")
    unlabelled, tested = table.index[LABELLED : LABELLED + 7], table.index[-7:]
    table.loc[unlabelled, "sequence"] = table.loc[tested, "sequence"].to_numpy()
    run = anlage.fit(table, out=tmp_path / "run", **study["options"] | {"epochs": 1})
    assert run.evaluation["distillation"]["unlabelled_rows"] == 60 - 7
    split = pd.read_csv(run.path / "rows" / "split.csv", index_col="id")["part"]
    assert (split[unlabelled] == "none").all() and (split[tested] == "test").all()


@pytest.mark.parametrize("task", ["regression", "multilabel"])
def test_other_tasks_by_other_columns(task: str, tmp_path: Path) -> None:
    """The teacher reads all columns; the student has one of them, and labels in a third of its rows."""
    random = np.random.default_rng(0)
    table = pd.DataFrame(random.normal(size=(400, 3)), columns=["a", "b", "c"])
    table["copy"] = table["a"] + 0.1 * table["b"]
    table["level"] = 100 + 20 * (table["a"] + 0.3 * table["b"])
    table["high"], table["low"] = (table["a"] > 0.5).astype(float), (table["a"] < -0.5).astype(float)
    target = "level" if task == "regression" else "t=high,low"
    table = table.drop(columns=["high", "low"] if task == "regression" else ["level"])
    wanted = ["level"] if task == "regression" else ["high", "low"]
    options = {"target": target, "encoder": "mlp-tiny", "epochs": 20, "learning_rate": 5e-3} | FAST
    teacher = anlage.fit(table, out=tmp_path / "teacher", **options)
    split = pd.read_csv(teacher.path / "rows" / "split.csv", index_col="id")["part"].to_numpy()
    few = table.assign(split=split)
    few.loc[(split == "train") & (np.arange(400) % 3 > 0), wanted] = np.nan
    student = anlage.fit(few, out=tmp_path / "student", teacher=str(teacher.path), input="copy", **options)
    found = student.evaluation["distillation"]
    (name,) = found["difference"]
    assert found["student"]["scores"][name]["value"] > 0.7
    assert found["unlabelled_rows"] == ((split == "train") & (np.arange(400) % 3 > 0)).sum()
    assert student.contents.targets == teacher.contents.targets


# A contract: every task can be taught.

EXAMPLES: dict[str, pd.DataFrame] = {
    "classification": pd.DataFrame({"y": ["a"] * 30 + ["b"] * 20 + ["c"]}),  # rare: the loss is weighted
    "multilabel": pd.DataFrame({"x": [1.0] * 2 + [0.0] * 48, "y": [0.0, 1.0] * 25}),
    "regression": pd.DataFrame({"x": np.linspace(90, 110, 50), "y": np.linspace(-1, 1, 50) ** 2}),
}


def fitted(name: str) -> tuple[Task, pd.DataFrame]:
    frame = EXAMPLES[name]
    return lookup.get(name)("t", list(frame.columns)).fit(frame), frame


def test_every_task_can_be_taught() -> None:
    assert set(lookup.names()) == set(SOFT) == set(EXAMPLES)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
class TestTaught:
    def lesson(self, task: Task, rows: int, width: int = 5) -> tuple[torch.Tensor, Lesson]:
        torch.manual_seed(1)
        raw = torch.randn(rows, task.head(4)(Encoded(torch.zeros(1, 4))).shape[1])
        return raw, Lesson(torch.from_numpy(task.decode(raw)).float(), torch.randn(rows, width))

    def test_the_loss_is_least_where_both_predict_the_same(self, name: str) -> None:
        task, _ = fitted(name)
        raw, lesson = self.lesson(task, 6)
        for temperature in (1.0, 3.0):
            off = raw.clone().requires_grad_()
            cells = SOFT[name](task, off, lesson.values, temperature)
            assert len(cells) == 6 and cells.ndim == 2
            torch.testing.assert_close(cells, torch.zeros_like(cells), atol=1e-4, rtol=0)
            (other,) = torch.autograd.grad(
                SOFT[name](task, off + 0.5 * torch.randn_like(off), lesson.values, 1.0).sum(), off
            )
            assert (other != 0).any()
            assert SOFT[name](task, raw + torch.randn_like(raw), lesson.values, temperature).min() >= 0

    def test_temperature_shows_the_doubts(self, name: str) -> None:
        task, _ = fitted(name)
        raw, lesson = self.lesson(task, 6)
        one, two = (SOFT[name](task, raw + torch.randn(raw.shape), lesson.values, t).mean() for t in (1.0, 4.0))
        assert name == "regression" or not torch.isclose(one, two)

    def test_parts_of_the_loss(self, name: str) -> None:
        """Alone the label, alone the teacher, both by their weights; rows that neither knows count nothing."""
        task, frame = fitted(name)
        rows = len(frame)
        raw, lesson = self.lesson(task, rows)
        truth = torch.from_numpy(task.encode(frame))
        output = torch.cat((raw + 0.3, lesson.vectors), 1)  # its vectors are the teacher's: no distance
        plain, count = task.loss(raw + 0.3, truth)

        def loss(weight: float, truth: torch.Tensor, lesson: Lesson) -> tuple[torch.Tensor, torch.Tensor]:
            settings = DistillationSettings(teacher_weight=weight)
            target = torch.cat((truth, lesson.values, lesson.vectors), 1)
            return Distilled(task, lesson, settings).loss(output, target)

        none = Lesson(*(torch.full_like(t, torch.nan) for t in (lesson.values, lesson.vectors)))
        unknown = torch.full_like(truth, torch.nan)
        assert loss(0.5, truth, none)[0].item() == pytest.approx(plain.item(), rel=1e-5)
        assert int(loss(0.5, truth, none)[1]) == int(count) == int(loss(0.5, truth, lesson)[1])
        soft, cells = loss(0.5, unknown, lesson)
        torch.testing.assert_close(soft, SOFT[name](task, raw + 0.3, lesson.values, 2.0).sum(), atol=1e-3, rtol=1e-4)
        assert int(cells) == int(count)
        mixed, _ = loss(0.25, truth, lesson)
        torch.testing.assert_close(mixed, 0.75 * plain + 0.25 * soft, atol=1e-3, rtol=1e-4)
        nothing, zero = loss(0.5, unknown, none)
        assert nothing.item() == 0 and int(zero) == 0
        turned = replace(lesson, vectors=-lesson.vectors)  # cosine distance 2 in every row
        torch.testing.assert_close(loss(0.5, unknown, turned)[0] - soft, 2.0 * cells, atol=1e-2, rtol=1e-3)

    def test_all_else_is_the_task_s_own(self, name: str) -> None:
        task, frame = fitted(name)
        raw, lesson = self.lesson(task, len(frame))
        distilled = Distilled(task, lesson, DistillationSettings())
        output = distilled.head(4)(Encoded(torch.randn(3, 4)))
        assert output.shape == (3, raw.shape[1] + 5) and distilled.decode(output).shape == (3, raw.shape[1])
        np.testing.assert_array_equal(distilled.encode(frame), task.encode(frame))
        assert list(distilled.metrics) == list(task.metrics) and distilled.name == task.name
        assert json.dumps(distilled.state) == json.dumps(task.state)
