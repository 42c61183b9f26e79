"""Going on to learn from new rows: what is gained, what is forgotten, and what may not be learned."""

import os
import re
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import anlage
from anlage import cli, updating
from anlage.bundle.contents import INDEX
from anlage.bundle.read import read_rows
from anlage.bundle.seal import file_hash
from anlage.errors import AnlageError
from anlage.lineage import lineage
from anlage.simulator import simulate_promoters
from anlage.training.loop import Interrupted
from anlage.update_settings import UpdateDataSettings, UpdateSettings

OTHER = str.maketrans("ACGT", "GTAC")
"""The new laboratory's promoters have the same grammar in other letters: the old model reads them worse than by chance,
and what it must learn differs from what it must keep."""
FAST: dict[str, Any] = {"baseline_budget": "1s", "resamples": 100, "say": lambda line: None}


def promoters(rows: int, seed: int, other: bool) -> pd.DataFrame:
    frame = simulate_promoters(rows, seed)
    frame["sequence"] = frame.sequence.str[30:110]
    if other:
        frame["sequence"] = [sequence.translate(OTHER) for sequence in frame.sequence]
    return frame.set_axis([f"{'new' if other else 'old'}-{seed}-{i}" for i in range(rows)]).rename_axis("id")


def ids(run: anlage.Run, part: str) -> list[str]:
    split = read_rows(run.path, "split.csv")
    assert split is not None
    return list(split.index[split.part == part])


def settings(**data: Any) -> UpdateSettings:
    return UpdateSettings(data=UpdateDataSettings(**data))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("update")
    promoters(600, 0, other=False).to_csv(folder / "old.csv")
    promoters(300, 1, other=True).to_csv(folder / "new.csv")
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> anlage.Run:
    return anlage.fit(
        folder / "old.csv", target="element", out=folder / "run", encoder="cnn-tiny:dropout=0,width=48,layers=3",
        epochs=8, learning_rate=0.006, batch_samples=32, patience=0, device="cpu", **FAST,
    )  # fmt: skip


@pytest.fixture(scope="module")
def updated(run: anlage.Run, folder: Path) -> anlage.Run:
    return anlage.update(run, folder / "new.csv", out=folder / "updated", epochs=6, say=FAST["say"])


def entry(run: anlage.Run) -> dict[str, Any]:
    return run.evaluation["update"]["targets"]["element"]["sets"]


def test_what_is_gained_and_what_is_forgotten(run: anlage.Run, updated: anlage.Run, folder: Path) -> None:
    sets = entry(updated)
    assert updated.verdict.startswith("new test rows: better than before by ")
    assert re.search(r"; old test rows: (no measurable forgetting|forgotten by)", updated.verdict)
    assert sets["new"]["before"]["auroc"]["value"] < 0.6 < 0.8 < sets["new"]["after"]["auroc"]["value"]
    assert sets["new"]["difference"]["auroc"]["low"] > 0
    old_before = run.evaluation["targets"]["element"]["model"]["test"]["auroc"]
    assert sets["old"]["before"]["auroc"] == old_before  # the same rows, the same resamples
    value = sets["old"]["after"]["auroc"]["value"] - old_before["value"]
    assert sets["old"]["difference"]["auroc"]["value"] == pytest.approx(value)
    assert set(updated.evaluation["targets"]["element"]["baselines"]) > {"LightGBM"}
    assert updated.evaluation["targets"]["element"]["model"]["test"]["auroc"]["n"] == (
        sets["old"]["after"]["auroc"]["n"] + sets["new"]["after"]["auroc"]["n"]
    )
    told = updated.contents.provenance["update"]
    assert told["from"] == {"path": str(run.path), "sha256": file_hash(run.path / INDEX)}
    assert told["tables"][0]["data_hash"] == run.contents.provenance["data_hash"] != told["tables"][1]["data_hash"]
    assert updated.contents.targets == run.contents.targets and updated.contents.inputs == run.contents.inputs
    page = updated.report_path.read_text()
    assert "What the update changed" in page and "Old, 120 test rows" in page and "anlage update" in page


def test_the_updated_bundle_predicts(updated: anlage.Run, folder: Path) -> None:
    kept = read_rows(updated.path, "predictions.parquet")
    assert kept is not None
    new = kept[kept.table == 2]
    assert len(new) and set(new.part) == {"valid", "test"}
    found = updated.predict(folder / "new.csv").loc[new.index, "element_probability_promoter"]
    np.testing.assert_allclose(found.astype(float), new["element_probability_promoter"], atol=1e-5)
    assert (new["before element_probability_promoter"] - new["element_probability_promoter"]).abs().max() > 0.1


def test_replay_keeps_the_model_from_forgetting(run: anlage.Run, updated: anlage.Run, folder: Path) -> None:
    forgetful = anlage.update(run, folder / "new.csv", out=folder / "forgetful", epochs=6, replay=0, say=FAST["say"])
    assert forgetful.evaluation["update"]["replayed"] == 0 < updated.evaluation["update"]["replayed"]
    kept, lost = (entry(one)["old"]["difference"]["log_loss"] for one in (updated, forgetful))
    assert lost["high"] < 0  # something was forgotten
    assert kept["value"] > lost["value"] + 0.05


def test_test_rows_of_the_run_are_refused_or_left_out(run: anlage.Run, folder: Path) -> None:
    old, new = pd.read_csv(folder / "old.csv", index_col="id"), promoters(60, 2, other=True)
    tested = old.loc[ids(run, "test")[:2]].set_axis(["again-1", "again-2"])
    back = str.maketrans("ACGT", "TGCA")
    tested.loc["again-2", "sequence"] = str(tested.loc["again-2", "sequence"])[::-1].translate(back)  # the other strand
    trained = old.loc[ids(run, "train")[:3]].set_axis([f"known-{i}" for i in range(3)])
    frame = pd.concat([new, tested, trained])
    with pytest.raises(AnlageError, match=r"2 of 65 new rows .* test rows of .*: again-1, again-2\. .*--drop-overlap"):
        updating.plan(run, frame, (), settings(), FAST["say"])
    lines: list[str] = []
    plan = updating.plan(run, frame, (), settings(drop_overlap=True), lines.append)
    assert (plan.added.dropped, plan.added.repeated) == (2, 3)
    assert any("3 of 65 new rows are known" in line for line in lines)
    part = pd.Series(plan.rows.part, plan.rows.frame.index)
    assert "again-1" not in part.index and "again-2" not in part.index
    assert list(part[[f"known-{i}" for i in range(3)]]) == ["train"] * 3
    with pytest.raises(AnlageError, match="no row is new"):
        updating.plan(run, trained, (), settings(), FAST["say"])


def test_replay_draws_at_most_all_old_rows_and_follows_from_the_seed(run: anlage.Run, folder: Path) -> None:
    plans = [
        updating.plan(run, folder / "new.csv", (), settings(replay=r), FAST["say"]) for r in (0.5, 0.5, 9)
    ]  # fmt: skip
    new = int((plans[0].is_new & (plans[0].rows.part == "train")).sum())
    assert len(plans[0].replayed) == round(0.5 * new) and (plans[0].replayed == plans[1].replayed).all()
    assert list(plans[0].rows.part[plans[0].replayed]) == ["train"] * len(plans[0].replayed)
    assert len(plans[2].replayed) == len(ids(run, "train"))
    with pytest.raises(AnlageError, match="--replay -1"):
        settings(replay=-1)


def test_a_label_that_the_model_does_not_know(run: anlage.Run) -> None:
    frame = promoters(20, 3, other=True)
    frame.iloc[4, frame.columns.get_loc("element")] = "enhancer"
    with pytest.raises(AnlageError, match="row new-3-4, column element: label 'enhancer' was not among .*fit anew"):
        updating.plan(run, frame, (), settings(), FAST["say"])
    with pytest.raises(AnlageError, match="no target column 'element'"):
        updating.plan(run, frame.drop(columns="element"), (), settings(), FAST["say"])


def test_without_its_own_table_nothing_is_measured(run: anlage.Run, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    moved = folder / "old.csv"
    away = moved.rename(tmp_path / "elsewhere.csv")
    try:
        with pytest.raises(AnlageError, match=r"old\.csv: no such file.*--table PATH"):
            lineage(run)
        found = lineage(run, [away])
        assert found.tables[0]["table"] == str(away) and list(found.frame.index[found.rows("test")]) == ids(run, "test")
        changed = pd.read_csv(away)
        changed.loc[0, "element"] = "none" if changed.loc[0, "element"] == "promoter" else "promoter"
        changed.to_csv(moved, index=False)
        with pytest.raises(AnlageError, match=r"old\.csv has changed since.*--table PATH"):
            anlage.update(run, promoters(60, 2, other=True), out=tmp_path / "out", say=FAST["say"])
        assert not (tmp_path / "out").exists()
        with pytest.raises(AnlageError, match="2 tables are named"):
            lineage(run, [away, away])
    finally:
        away.rename(moved)


def test_never_over_the_run_unless_told(run: anlage.Run, folder: Path) -> None:
    with pytest.raises(AnlageError, match="already holds a bundle"):
        anlage.update(run, folder / "new.csv", out=run.path, say=FAST["say"])
    assert (run.path / INDEX).exists()


def test_a_killed_update_resumes_to_the_same_weights(run: anlage.Run, updated: anlage.Run, folder: Path) -> None:
    out, validated = folder / "killed", 0

    def say(line: str) -> None:
        nonlocal validated
        validated += line.startswith("step ")
        if validated == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        anlage.update(run, folder / "new.csv", out=out, epochs=6, say=say)
    with pytest.raises(AnlageError, match="unfinished"):
        anlage.update(run, folder / "new.csv", out=out, epochs=6, say=FAST["say"])
    lines: list[str] = []
    resumed = anlage.update(out=out, resume=True, say=lines.append)
    assert any(line.startswith("resumed at step ") for line in lines)
    for name, weight in updated.contents.weights.items():
        assert torch.equal(weight, resumed.contents.weights[name]), name
    anlage.update(out=out, resume=True, say=lines.append)
    assert lines[-1] == f"{out} is finished already"


def test_updates_in_a_row(run: anlage.Run, updated: anlage.Run, folder: Path, capsys: Any) -> None:
    more = pd.concat([promoters(80, 4, other=True), pd.read_csv(folder / "new.csv", index_col="id")[:0]])
    tested = read_rows(updated.path, "split.csv")
    assert tested is not None
    again = tested.index[(tested.part == "test") & (tested.table == "2")][0]  # a test row of the first update
    more.loc["again"] = pd.read_csv(folder / "new.csv", index_col="id").loc[again]
    more.to_csv(folder / "more.csv")
    words = ["update", str(updated.path), str(folder / "more.csv"), "--out", str(folder / "third"), "--epochs", "1"]
    with pytest.raises(SystemExit):
        cli.main(words)
    assert "again" in capsys.readouterr().err.splitlines()[-1]
    cli.main([*words, "--drop-overlap", "--replay", "0.5"])
    assert f"bundle: {folder / 'third'}" in capsys.readouterr().out
    third = anlage.load(folder / "third")
    assert set(entry(third)) == {"old", "old 1", "old 2", "new"}
    assert entry(third)["old"]["before"]["auroc"] == updated.evaluation["targets"]["element"]["model"]["test"]["auroc"]
    assert third.evaluation["update"]["dropped"] == 1
    assert third.contents.provenance["update"]["settings"]["training"]["learning_rate"] == 0.006  # as in the fit
    found, split = lineage(third), read_rows(third.path, "split.csv")
    assert split is not None and list(found.part) == list(split.part) and "again" not in found.frame.index
    assert [len(found.rows(part)) for part in ("train", "valid", "test")] == list(
        third.contents.provenance["rows"].values()
    )


@pytest.mark.parametrize("adapt", ["frozen", "lora"])
def test_what_rested_in_the_fit_rests_in_the_update(adapt: str, run: anlage.Run, folder: Path, tmp_path: Path) -> None:
    table = folder / "small.csv"
    promoters(100, 5, other=False).to_csv(table)
    fitted = anlage.fit(
        table, target="element", out=tmp_path / "fitted", encoder=str(run.path), adapt=adapt, epochs=1, **FAST
    )
    again = anlage.update(fitted, promoters(60, 6, other=True), out=tmp_path / "again", say=FAST["say"])
    before, after = fitted.contents.weights, again.contents.weights
    assert before.keys() == after.keys()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert any(name.startswith("heads.") for name in moved)
    resting = {name for name in before if name.startswith("encoders.") and (adapt == "frozen" or "norm" in name)}
    assert resting and not resting & moved
    assert any(name.startswith("encoders.") for name in moved) == (adapt == "lora")
    with pytest.raises(AnlageError, match="table 2 was a DataFrame"):
        lineage(again)
    assert len(lineage(again, [table, promoters(60, 6, other=True)]).tables) == 2


def records(patients: int, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({"patient": np.repeat(np.arange(patients) + 1000 * seed, 2)})
    frame["size"], frame["age"] = random.normal(size=(2, 2 * patients))
    frame["dose"] = 2 * frame["size"] - frame["age"] + 0.1 * random.normal(size=2 * patients)
    return frame


def test_patients_stay_together_over_tables_and_cross_validation_has_no_test(tmp_path: Path) -> None:
    old = records(60, 1)
    options: dict[str, Any] = {"target": "dose", "group": "patient", "encoder": "mlp-tiny", "epochs": 1} | FAST
    run = anlage.fit(old, out=tmp_path / "run", **options)
    patient = old.patient[int(ids(run, "test")[0])]
    new = records(40, 2)
    new.loc[0, "patient"] = patient
    with pytest.raises(AnlageError, match="1 of 80 new rows have the same inputs or group"):
        updating.plan(run, new, [old], settings(), FAST["say"])
    with pytest.raises(AnlageError, match="no column 'patient'"):
        updating.plan(run, new.drop(columns="patient"), [old], settings(), FAST["say"])
    crossed = anlage.fit(old, out=tmp_path / "crossed", folds=2, **options)
    made = anlage.update(crossed, records(40, 3), table=old, out=tmp_path / "made", epochs=1, say=FAST["say"])
    sets = made.evaluation["update"]["targets"]["dose"]["sets"]
    assert (sets["old"]["part"], sets["new"]["part"]) == ("valid", "test")
    assert "old validation rows: " in made.verdict and made.evaluation["resampled"] == "groups"
