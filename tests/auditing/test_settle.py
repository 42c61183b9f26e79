"""What is done about leaks, and the metric again without the rows of a finding."""

import numpy as np
import pandas as pd
import pytest
from planted import planted

from anlage import planning
from anlage.auditing.audit import audit, seen_in_pretraining
from anlage.auditing.findings import Audit, Finding
from anlage.auditing.remeasure import remeasure, without
from anlage.auditing.settle import settle
from anlage.errors import AnlageError
from anlage.evaluation.intervals import weights
from anlage.metrics.classification import ACCURACY
from anlage.planning import Plan
from anlage.samples.settings import DataSettings
from anlage.settings import FitSettings
from anlage.splits.settings import SplitSettings


def silent(line: str) -> None:
    pass


@pytest.fixture
def leaky() -> tuple[Plan, Audit]:
    table = planted("protein")
    data = DataSettings(target=("label",), input=tuple(table.inputs))
    plan = planning.plan(table.frame, FitSettings(data=data), silent)
    return plan, audit(plan, silent)


def test_warn_leaves_the_plan_as_it_is(leaky: tuple[Plan, Audit]) -> None:
    plan, found = leaky
    assert settle(plan, found, "warn", silent) is plan


def test_fail_names_the_worst_leak_in_one_line(leaky: tuple[Plan, Audit]) -> None:
    plan, found = leaky
    with pytest.raises(AnlageError, match=r"--on-leak fail: .* test rows") as raised:
        settle(plan, found, "fail", silent)
    assert "\n" not in str(raised.value)
    assert settle(plan, Audit(found.ids), "fail", silent) is plan


def test_fix_keeps_every_test_row_and_leaves_no_leak(leaky: tuple[Plan, Audit]) -> None:
    plan, found = leaky
    told: list[str] = []
    fixed = settle(plan, found, "fix", told.append)
    before, after = plan.folds[0], fixed.folds[0]
    assert (after.rows("test") == before.rows("test")).all() and after.hash != before.hash
    assert len(after.rows("train")) < len(before.rows("train"))
    dropped = len(before.rows("train")) - len(after.rows("train"))
    assert f"{dropped} of {len(before.rows('train'))} " in told[0] and told[0] in after.how
    again = audit(fixed, silent)
    assert again.worst is None and "test" not in again.offending
    assert (plan.folds[0].part == before.part).all(), "the old plan is as it was"


def test_fix_refuses_where_too_little_stays() -> None:
    table = planted("record")
    train = table.frame.split == "train"
    table.frame.loc[train, "patient_id"] = np.resize(["A1", "B2", "C3", "D4", "E5"], train.sum())
    table.frame.loc[~train, "patient_id"] = np.resize(["A1", "B2", "C3", "F6"], (~train).sum())
    data = DataSettings(target=("label",), input=tuple(table.inputs))
    plan = planning.plan(table.frame, FitSettings(data=data), silent)
    with pytest.raises(AnlageError, match="--on-leak fix would leave"):
        settle(plan, audit(plan, silent), "fix", silent)


def test_fix_of_a_cross_validation_mends_each_fold() -> None:
    table = planted("record")
    data = DataSettings(target=("label",), input=tuple(table.inputs))
    plan = planning.plan(
        table.frame, FitSettings(data=data, split=SplitSettings(split="random", folds=4, ungrouped=True)), silent
    )
    found = audit(plan, silent)
    assert found.worst is not None and found.worst.kind == "straddling groups"
    fixed = settle(plan, found, "fix", silent)
    assert audit(fixed, silent).worst is None
    assert fixed.folds[-1] is plan.folds[-1], "the model of the bundle learns from all rows"
    for before, after in zip(plan.folds[:-1], fixed.folds[:-1], strict=True):
        assert (before.rows("test") == after.rows("test")).all()


def predictions(n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    truth = np.random.default_rng(0).integers(0, 2, n).astype(float)
    sure = np.where(np.arange(n) < 20, truth, 1 - truth)  # right on the first 20 rows, wrong on all others
    truth[n - 1] = np.nan
    return truth[:, None], np.stack([1 - sure, sure], axis=1)


def test_without_is_the_metric_of_the_other_rows() -> None:
    truth, values = predictions()
    flagged = np.arange(60) < 15
    found = without(ACCURACY, truth, values, weights(None, 60, 200, 0), flagged)
    assert found["metric"] == "accuracy" and found["n"] == 44
    assert found["all"]["value"] == pytest.approx(20 / 59)
    assert found["without"]["value"] == pytest.approx(5 / 44)
    assert found["without"]["low"] < 5 / 44 < found["without"]["high"]
    none = without(ACCURACY, truth, values, weights(None, 60, 200, 0), np.ones(60, dtype=bool))
    assert none["n"] == 0 and none["without"]["value"] is None


def test_remeasure_fills_in_the_findings_of_the_judged_part() -> None:
    truth, values = predictions()
    rows = np.arange(100, 160)  # the judged rows in the table
    findings = [
        Finding("duplicates", "leak", "15 rows", 15, 60, "test", "", np.arange(100, 115)),
        Finding("duplicates", "warning", "2 rows", 2, 10, "valid", "", np.arange(2)),
        Finding("label shift", "note", "shifted", 60, 60, "test", ""),
    ]
    found = Audit(np.array([f"r{i}" for i in range(200)], dtype=object), findings)
    remeasure(found, "y", ACCURACY, "test", rows, truth, values, weights(None, 60, 200, 0))
    first, second, third = found.to_json()["findings"]
    assert first["without"]["y"]["n"] == 44 and second["without"] is None and third["without"] is None


def test_rows_seen_in_pretraining_are_a_leak(leaky: tuple[Plan, Audit]) -> None:
    plan, found = leaky
    found.add(seen_in_pretraining(plan, plan.folds[0].rows("test")[:40]))
    assert found.findings[0].severity == "leak" and found.worst is not None
    assert isinstance(found.examples, pd.DataFrame) and found.worst.kind == "seen in pretraining"
