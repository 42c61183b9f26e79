"""How a table is divided before anything is trained: by similarity, by owners, by time, and again as it was."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from anlage import lineage, planning
from anlage.config import merge
from anlage.errors import AnlageError
from anlage.modalities.protein.modality import Protein
from anlage.settings import FitSettings

LETTERS = np.array(list("ACDEFGHIKLMNPQRSTVWY"))


def plan(frame: pd.DataFrame, again: planning.Divided | None = None, **options: Any) -> planning.Plan:
    return planning.plan(frame, merge(FitSettings(), {"target": "y"} | options), lambda line: None, again)


def homologues(families: int = 40, members: int = 4) -> pd.DataFrame:
    """Families of proteins whose members differ from their parent in a third of the residues."""
    random = np.random.default_rng(0)
    rows = []
    for _ in range(families):
        parent = random.choice(LETTERS, 100)
        for _ in range(members):
            changed = np.where(random.random(100) < 0.3, random.choice(LETTERS, 100), parent)
            rows.append("".join(changed))
    frame = pd.DataFrame({"sequence": rows}, index=[f"p{i}" for i in range(len(rows))])
    return frame.assign(y=random.normal(size=len(rows)), family=np.repeat(np.arange(families), members))


def records(n: int = 200) -> pd.DataFrame:
    random = np.random.default_rng(1)
    frame = pd.DataFrame({"age": random.normal(size=n), "dose": random.normal(size=n)})
    return frame.assign(y=np.where(random.random(n) < 0.3, "ill", "well"), patient_id=np.arange(n) // 4)


def straddling(part: np.ndarray, owner: pd.Series) -> int:
    return int((pd.Series(part).groupby(owner.to_numpy()).nunique() > 1).sum())


def test_homologues_stay_in_one_part_unless_similarity_is_off() -> None:
    frame = homologues()
    near = plan(frame, input="sequence")
    assert near.least == {"sequence": 0.3} and straddling(near.folds[0].part, frame.family) == 0
    assert "similar sequence (from 30 % on)" in near.folds[0].how
    assert any("40 groups of 160 rows" in note for note in near.notes)
    equal = plan(frame, input="sequence", similarity="off")
    assert equal.least == {} and straddling(equal.folds[0].part, frame.family) > 10
    folds = plan(frame, input="sequence", folds=3).folds
    assert all(straddling(one.part, frame.family) == 0 for one in folds)


def test_a_split_of_the_table_is_grouped_by_equality_unless_a_threshold_is_named() -> None:
    frame = homologues().assign(split=["train", "train", "valid", "test"] * 40)
    told = plan(frame, input="sequence")
    assert told.least == {} and not told.folds[0].notes
    asked = plan(frame, input="sequence", similarity="0.3")
    assert list(asked.folds[0].part) == list(told.folds[0].part)
    assert any("LEAK: 40 test rows (100.0%)" in note for note in asked.folds[0].notes)


def test_a_run_is_divided_again_as_it_was_without_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = homologues()
    first = plan(frame, input="sequence")
    rows = pd.DataFrame({"part": first.folds[0].part, "group": first.groups}, index=frame.index)
    again = plan(frame, planning.Divided(first.least), input="sequence")
    assert again.folds[0].hash == first.folds[0].hash and again.least == first.least
    older = plan(frame, planning.Divided({}), input="sequence")  # a bundle that says nothing of similarity
    assert older.folds[0].hash == plan(frame, input="sequence", similarity="off").folds[0].hash
    monkeypatch.setattr(Protein, "similarity_groups", None)  # no search can be made
    kept = plan(frame, planning.Divided(first.least, rows), input="sequence")
    assert kept.folds[0].hash == first.folds[0].hash and (kept.groups == first.groups).all()
    settings = merge(FitSettings(), {"target": "y", "input": "sequence"})
    run: Any = SimpleNamespace(
        path="run", fit_settings=settings, contents=SimpleNamespace(provenance={"similarity": first.least})
    )
    folds = plan(frame, planning.Divided(first.least, rows), input="sequence", folds=3).folds
    assert all(straddling(one.part, frame.family) == 0 for one in folds)
    table = rows.astype(str)
    monkeypatch.setattr(lineage, "read_rows", lambda path, name: table)
    assert lineage.replan(run, frame).folds[0].hash == first.folds[0].hash
    table.iloc[0, 0] = "none"  # left out by --on-leak fix
    assert lineage.replan(run, frame).folds[0].part[0] == "none"
    numbered = frame.reset_index(drop=True)
    table.index = numbered.index
    assert (lineage.replan(run, numbered).folds[0].part == table.part).all()
    run.contents.provenance = {"similarity": {"sequence": "0.3; rm"}}
    with pytest.raises(AnlageError, match="does not say how similar"):
        lineage.replan(run, frame)


def test_repeating_ids_are_grouped_or_insisted_on() -> None:
    frame = records()
    for options in ({}, {"split": "random"}, {"folds": 3}):
        with pytest.raises(AnlageError, match="'patient_id' has 50 values in 200 rows.*--group patient_id.*ungrouped"):
            plan(frame, **options)
    assert straddling(plan(frame, group="patient_id").folds[0].part, frame.patient_id) == 0
    assert straddling(plan(frame, ungrouped=True).folds[0].part, frame.patient_id) > 0
    plan(frame.drop(columns="patient_id").assign(patient_age=np.arange(200) // 4))
    plan(frame.rename(columns={"patient_id": "y2"}).assign(patient_id=np.arange(200)))
    plan(frame, input=("age", "dose", "patient_id"))
    with pytest.raises(AnlageError, match="'patient_id'"):  # repeated ids were told apart on reading
        plan(frame, id="patient_id")


def test_a_split_of_the_table_is_warned_of_repeating_ids() -> None:
    frame = records().assign(split=["train", "valid", "test", "train"] * 50)
    (note,) = [note for note in plan(frame).folds[0].notes if "patient_id" in note]
    assert "50 of 50 test rows share their 'patient_id' with training rows" in note
    whole = records().assign(split=np.repeat(["train", "valid", "test", "train"], [52, 48, 48, 52]))
    whole["patient_id"] += np.where(whole.split == "valid", 1000, 0)
    assert not plan(whole).folds[0].notes


def test_time_and_variants_decide_where_they_are_asked_for() -> None:
    frame = (
        records().drop(columns="patient_id").assign(seen=pd.date_range("2020-01-01", periods=200).strftime("%Y-%m-%d"))
    )
    late = plan(frame, time="seen")
    assert list(late.folds[0].rows("test")) == list(range(160, 200))
    assert "seen" not in [column for item in late.preparation.inputs for column in item.columns]
    with pytest.raises(AnlageError, match="no sequence among the inputs"):
        plan(frame, split="mutations")
    random = np.random.default_rng(2)
    parent = random.choice(LETTERS, 60)
    mutated = random.random((300, 60)) < 0.04
    sequences = ["".join(np.where(row, "W", parent)) for row in mutated]
    library = pd.DataFrame({"sequence": sequences, "y": random.normal(size=300)})
    counts = (np.array([list(s) for s in sequences]) != parent).sum(axis=1)
    part = plan(library, split="mutations").folds[0].part
    assert counts[part == "test"].min() > counts[part == "train"].max() and (part == "valid").any()
    assert any("variant library" in note for note in plan(library).notes)


def test_all_targets_and_labels_are_alike_in_all_parts() -> None:
    random = np.random.default_rng(3)
    frame = pd.DataFrame({"age": random.normal(size=500)})
    frame["y"] = np.where(random.random(500) < 0.05, "rare", "common")
    frame["z"] = random.normal(size=500)
    joined = [";".join(np.array(list("abcdef"))[random.random(6) < [0.5, 0.3, 0.2, 0.1, 0.06, 0.03]]) for _ in frame.y]
    frame["w"] = [text or None for text in joined]
    part = plan(frame, target=("y", "z", "w"), input="age", similarity="off").folds[0].part
    test, train = frame[part == "test"], frame[part == "train"]
    assert abs((frame.y == "rare").sum() / 5 - (test.y == "rare").sum()) <= 1
    for label in "abcdef":
        held = frame.w.str.contains(label, na=False)
        assert abs(held.sum() / 5 - held[part == "test"].sum()) <= 2
    assert abs(train.z.median() - test.z.median()) < 0.2
