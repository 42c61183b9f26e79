"""What a single column says of a target, beside scikit-learn and by chance."""

import numpy as np
import pandas as pd
import pytest

from anlage.auditing.telling import Target, quantiles, readings
from anlage.tasks.classification import Classification
from anlage.tasks.multilabel import MultiLabel
from anlage.tasks.regression import Regression

N = 1200
ALONE = np.arange(N)


def yes_no(y: np.ndarray) -> Target:
    return Target(Classification("y", ["y"]), pd.DataFrame({"y": np.where(y, "yes", "no")}), ALONE)


def test_a_number_says_as_much_as_its_roc_curve() -> None:
    from sklearn.metrics import roc_auc_score

    random = np.random.default_rng(0)
    y = random.random(N) < 0.3
    x = random.normal(size=N) + 2 * y
    answer = yes_no(y).told_by(quantiles(x))
    assert answer is not None and answer.value == pytest.approx(roc_auc_score(y, x), abs=0.02)
    e = answer.interval(ALONE)
    assert e.low < answer.value < e.high
    bent = yes_no(np.abs(x) > 1.5).told_by(quantiles(x))  # no order is needed
    assert bent is not None and bent.value > 0.97


def test_what_says_nothing_says_nothing() -> None:
    random = np.random.default_rng(1)
    target = yes_no(random.random(N) < 0.5)
    values = [a.value for _ in range(30) if (a := target.told_by(quantiles(random.normal(size=N)))) is not None]
    assert len(values) == 30 and 0.45 < np.mean(values) < 0.52 and max(values) < 0.6
    many = target.told_by(np.arange(N))  # a level of its own for each row cannot be told by the others
    assert many is not None and many.value < 0.55


def test_rows_of_a_group_do_not_tell_one_another() -> None:
    random = np.random.default_rng(2)
    patient = np.repeat(np.arange(N // 4), 4)
    y = (random.random(N // 4) < 0.5)[patient]
    frame = pd.DataFrame({"y": np.where(y, "yes", "no")})
    apart = Target(Classification("y", ["y"]), frame, patient).told_by(patient)
    mixed = Target(Classification("y", ["y"]), frame, ALONE).told_by(patient)
    assert apart is not None and mixed is not None and apart.value < 0.6 < 0.95 < mixed.value


def test_classes_numbers_and_labels() -> None:
    random = np.random.default_rng(3)
    site = random.integers(0, 3, N)
    frame = pd.DataFrame({"y": np.array(["a", "b", "c"])[site]})
    answer = Target(Classification("y", ["y"]), frame, ALONE).told_by(site)
    assert answer is not None and answer.measure == "gain in accuracy" and answer.value == pytest.approx(1.0)
    frame = pd.DataFrame({"y": site + 0.5 * random.normal(size=N)})
    answer = Target(Regression("y", ["y"]), frame, ALONE).told_by(site)
    assert answer is not None and answer.value == pytest.approx(1 - 0.25 / frame.y.var(), abs=0.03)
    frame = pd.DataFrame({"p": (site == 1) * 1, "q": random.integers(0, 2, N)})
    answer = Target(MultiLabel("t", ["p", "q"]), frame, ALONE).told_by(site)
    assert answer is not None and answer.measure == "AUROC" and answer.value > 0.99


def test_missing_values_can_tell() -> None:
    random = np.random.default_rng(4)
    y = random.random(N) < 0.5
    x = np.where(y & (random.random(N) < 0.95), np.nan, random.normal(size=N))
    answer = yes_no(y).told_by(quantiles(x))
    assert answer is not None and answer.value > 0.95


def test_text_is_read_as_number_prefix_and_length_and_dates_as_dates() -> None:
    ids = pd.Series([f"scans/ill/{'a' if i % 2 else 'bb'}{i:05d}.png" for i in range(N)], dtype=object)
    read = readings(ids)
    assert set(read) == {"its number", "its prefix", "its length"}
    assert (np.diff(read["its number"]) >= 0).all(), "the number is that of the file, not of its folder"
    assert len(np.unique(read["its prefix"])) == 2
    days = pd.Series(pd.date_range("2019-01-01", periods=N).strftime("%Y-%m-%d").to_numpy(), dtype=object)
    assert (np.diff(readings(days)["its date"]) >= 0).all()
    assert set(readings(pd.Series([1.0, 2.0, None, 4.0] * 20))) == {""}
    assert readings(pd.Series([[1, 2], [3, 4]], dtype=object)) == {}
    assert readings(pd.Series([None, None], dtype=object)) == {}
