"""Leaks that were planted are found: in every modality, all of those that equality and ids can tell."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from planted import MAKERS, Planted, planted
from scipy.stats.contingency import association

import anlage.modalities
from anlage import planning
from anlage.auditing.audit import audit
from anlage.auditing.findings import Audit, Finding
from anlage.errors import AnlageError
from anlage.modalities import lookup
from anlage.planning import Plan
from anlage.samples.settings import DataSettings
from anlage.settings import FitSettings
from anlage.splits.settings import SplitSettings

NAMES = sorted(p.parent.name for p in Path(anlage.modalities.__path__[0]).glob("*/modality.py"))


def planned(table: Planted, modality: str, **split: object) -> Plan:
    column = tuple(f"{c}={modality}" for c in table.inputs)
    data = DataSettings(target=("label",), input=tuple(table.inputs), column=column)
    return planning.plan(table.frame, FitSettings(data=data, split=SplitSettings(**split)), lambda line: None)


def audited(table: Planted, modality: str) -> Audit:
    return audit(planned(table, modality), lambda line: None)


def ids(found: Audit, kind: str, part: str = "test") -> set[str]:
    return {str(found.ids[row]) for f in found.findings if (f.kind, f.part) == (kind, part) for row in f.rows}


def one(found: Audit, kind: str, part: str = "test") -> Finding:
    (finding,) = [f for f in found.findings if (f.kind, f.part) == (kind, part)]
    return finding


def test_every_modality_has_planted_leaks() -> None:
    assert set(MAKERS) == set(NAMES), "add the new modality to tests/planted.py"


@pytest.mark.parametrize("name", NAMES)
def test_exact_duplicates_conflicts_and_straddling_groups_are_all_found(name: str) -> None:
    table = planted(name)
    found = audited(table, name)
    assert ids(found, "duplicates") == table.duplicates
    assert ids(found, "conflicting labels across parts") == table.conflicts
    assert ids(found, "conflicting labels", "train") == table.train_conflicts
    assert ids(found, "straddling groups") == table.straddling
    assert one(found, "duplicates").severity == "leak" and found.worst is not None
    compromised = {str(i) for i in found.ids[found.offending["test"]]}
    assert table.duplicates | table.straddling <= compromised
    planted_rows = table.duplicates | table.straddling | set().union(*table.near.values())
    assert compromised <= planted_rows, "rows that nobody planted are accused"
    if lookup.get(name).similarity:
        nearest = set().union(*(rows for kind, rows in table.near.items() if kind in ("95%", "copy")))
        assert nearest <= ids(found, "near duplicates")
    else:
        assert any("near duplicates" in one["what"] for one in found.skipped)


def test_a_sound_table_is_found_clean() -> None:
    table = planted("protein")
    bad = table.duplicates | table.straddling | set().union(*table.near.values()) | table.train_conflicts
    frame = table.frame[~table.frame["id"].isin(bad)]
    found = audited(Planted(frame, table.inputs), "protein")
    assert [f.kind for f in found.findings if f.severity != "note"] == []
    assert found.worst is None and not found.offending
    assert any("equal a training row in all that the model reads: none" in line for line in found.checked)


def test_examples_name_both_rows_and_json_names_none() -> None:
    table = planted("protein")
    found = audited(table, "protein")
    frame = table.frame.set_index("id")
    for _, row in found.examples.query("finding == 'duplicates'").iterrows():
        assert frame.x[row["id"]].upper() == frame.x[row["other id"]].upper()
        assert frame.split[row["other id"]] == "train"
    for _, row in found.examples.query("finding == 'straddling groups'").iterrows():
        assert frame.patient_id[row["id"]] == frame.patient_id[row["other id"]]
    against = found.examples.query("finding.str.startswith('conflicting')")
    assert len(against) and (frame.label[against["id"]].values != frame.label[against["other id"]].values).all()
    text = json.dumps(found.to_json())
    assert not [i for i in frame.index if i in text] and not [p for p in frame.patient_id if p in text]
    counted = {(f["kind"], f["part"]): f["count"] for f in found.to_json()["findings"]}
    assert counted["duplicates", "test"] == len(table.duplicates)


def test_an_id_that_says_the_label_is_found_and_others_are_not() -> None:
    found = audited(planted("protein", telling_id=True), "protein")
    finding = one(found, "single column", "train")
    assert finding.severity == "warning" and "its prefix" in finding.text and "AUROC" in finding.text
    plain = audited(planted("protein"), "protein")
    assert not [f for f in plain.findings if f.kind == "single column"]


def test_beside_the_inputs_a_scanner_that_says_the_label() -> None:
    table = planted("image")
    random = np.random.default_rng(1)
    sure = random.random(len(table.frame)) < 0.97
    table.frame["scanner"] = np.where((table.frame.label == "yes") == sure, "Mira 3", "Vega 1")
    table.frame["room"] = random.choice(["A", "B"], len(table.frame))
    finding = one(audited(table, "image"), "single column", "train")
    assert finding.severity == "warning" and "scanner" in finding.text and "room" not in finding.text
    assert (finding.count, finding.of) == (1, 2)


def test_what_the_test_labels_are_changes_no_single_column_answer() -> None:
    """Nothing is measured on test rows but their kinship."""
    table = planted("record", telling_id=True)
    before = one(audited(table, "record"), "single column", "train").text
    test = table.frame.split == "test"
    table.frame.loc[test, "label"] = np.random.default_rng(3).choice(["no", "yes"], test.sum())
    assert one(audited(table, "record"), "single column", "train").text == before


def test_repeating_ids_are_found_by_name_and_other_columns_are_not() -> None:
    table = planted("vector")
    table.frame["document_type"] = np.resize([f"t{i}" for i in range(9)], len(table.frame))
    table.frame = table.frame.rename(columns={"patient_id": "PatientID"})
    found = audited(table, "vector")
    straddling = [f for f in found.findings if f.kind == "straddling groups"]
    assert {f.part for f in straddling} <= {"test", "valid"} and all("PatientID" in f.text for f in straddling)
    assert any("--group PatientID" in f.text for f in straddling)


def test_folds_of_a_cross_validation_are_all_looked_at() -> None:
    table = planted("record")
    plan = planned(table, "record", split="random", folds=4, ungrouped=True)
    found = audit(plan, lambda line: None)
    assert not ids(found, "duplicates"), "duplicates were kept together"
    straddling = one(found, "straddling groups")
    assert straddling.of == len(table.frame)
    patients = table.frame.set_index("id").patient_id
    parted = patients[patients.duplicated(keep=False)].index
    assert ids(found, "straddling groups") <= set(parted)
    grouped = audit(planned(table, "record", split="random", folds=4, group="patient_id"), lambda line: None)
    assert not [f for f in grouped.findings if f.kind == "straddling groups"]


def test_two_inputs_are_near_only_where_both_are() -> None:
    pairs = planted("protein")
    other = planted("dna", seed=1).frame["x"]
    frame = pairs.frame.assign(promoter=other.str.upper().to_numpy())
    found = audit(
        planning.plan(
            frame,
            FitSettings(data=DataSettings(target=("label",), input=("x", "promoter"))),
            lambda line: None,
        ),
        lambda line: None,
    )
    assert not ids(found, "duplicates") and not ids(found, "near duplicates")
    shared = [f for f in found.findings if f.kind == "shared input"]
    assert shared and all(f.severity == "note" for f in shared)
    assert len(pairs.duplicates) in [f.count for f in shared]


def test_without_a_target_rows_and_groups_are_still_compared() -> None:
    table = planted("record")
    plan = planned(table, "record")
    plan.preparation.tasks.clear()
    found = audit(plan, lambda line: None)
    assert ids(found, "duplicates") == table.duplicates and ids(found, "straddling groups") == table.straddling
    assert [one["why"] for one in found.skipped if "contradict" in one["what"]] == ["no target is named"]


def test_a_target_of_one_label_is_skipped_in_words() -> None:
    table = planted("vector")
    table.frame["label"] = "yes"
    found = audited(table, "vector")
    assert any("at least two" in one["why"] for one in found.skipped)


def test_render_shows_the_worst_first_and_what_was_not_looked_for() -> None:
    from rich.console import Console

    found = audited(planted("record"), "record")
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(found.render())
    lines = console.export_text().splitlines()
    assert lines[0].startswith("LEAK: ") and any("looked for" in line for line in lines)
    assert found.lines()[0].startswith("LEAK: ")


def test_numbers_conflict_beyond_one_deviation() -> None:
    random = np.random.default_rng(0)
    x = [f"{v:.6f}" for v in random.normal(size=80)]
    y = random.normal(0, 1, 80)
    frame = pd.DataFrame({"a": x, "b": x[::-1], "y": y, "split": ["train"] * 50 + ["test"] * 30}).astype({"a": float})
    frame.loc[[60, 61], ["a", "b"]] = frame.loc[[3, 4], ["a", "b"]].to_numpy()
    frame.loc[60, "y"], frame.loc[61, "y"] = frame.y[3] + 0.3, frame.y[4] + 4.0
    data = DataSettings(target=("y",), input=("a", "b"))
    found = audit(
        planning.plan(frame.astype({"b": float}), FitSettings(data=data), lambda line: None), lambda line: None
    )
    assert ids(found, "duplicates") == {"60", "61"}
    assert ids(found, "conflicting labels across parts") == {"61"}


def test_shifted_labels_are_told_with_their_effect_size() -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"a": random.normal(size=900), "b": random.normal(size=900)})
    frame["split"] = ["train"] * 600 + ["test"] * 300
    frame["y"] = np.where(random.random(900) < np.where(frame.split == "train", 0.2, 0.6), "yes", "no")
    data = DataSettings(target=("y",), input=("a", "b"))
    found = audit(planning.plan(frame, FitSettings(data=data), lambda line: None), lambda line: None)
    counts = pd.crosstab(frame["split"], frame["y"]).to_numpy()
    expected = association(counts, method="cramer", correction=False)
    shown = float(one(found, "label shift").text.split("Cramér's V ")[1].split(",")[0])
    assert shown == pytest.approx(expected, abs=0.01) and one(found, "label shift").severity == "warning"
    frame["y"] = random.permutation(frame["y"].to_numpy())
    even = audit(planning.plan(frame, FitSettings(data=data), lambda line: None), lambda line: None)
    assert not [f for f in even.findings if f.kind == "label shift"]


def test_a_split_without_test_rows_is_refused_or_said() -> None:
    table = planted("record")
    table.frame["split"] = table.frame["split"].replace("test", "valid")
    try:
        found = audited(table, "record")
    except AnlageError:
        return
    assert any(one["what"] == "test rows" for one in found.skipped)
    assert ids(found, "duplicates", "valid") == table.duplicates and found.worst is None
