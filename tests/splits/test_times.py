"""The newest rows are tested, the newest of the rest validate, rows of one time stay together."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anlage.errors import AnlageError
from anlage.splits.assign import assign
from anlage.splits.settings import SplitSettings
from anlage.splits.times import parts, read_times

SETTINGS = SplitSettings(time="when")


@given(st.lists(st.integers(0, 30), min_size=20, max_size=200).filter(lambda times: len(set(times)) > 2))
def test_no_training_row_is_newer_than_a_tested_one(times: list[int]) -> None:
    part, _, notes = parts(pd.DataFrame({"when": times}), SETTINGS)
    when = np.array(times)
    groups = [when[part == name] for name in ("train", "valid", "test")]
    assert all(len(group) for group in groups) and not notes
    assert groups[0].max() < groups[1].min() and groups[1].max() < groups[2].min()


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%Y-%m-%dT%H:%M:%S+00:00"])
def test_dates_of_several_forms(form: str) -> None:
    days = pd.date_range("2020-01-01", periods=100, freq="5D")
    shuffled = days[np.random.default_rng(0).permutation(100)]
    part, how, _ = parts(pd.DataFrame({"when": shuffled.strftime(form)}), SETTINGS)
    assert set(shuffled[part == "test"]) == set(days[80:]) and set(shuffled[part == "valid"]) == set(days[72:80])
    assert str(days[80].date()) in how and str(days[72].date()) in how


def test_what_cannot_be_read_is_named_and_left_out() -> None:
    frame = pd.DataFrame({"when": [*(f"2021-{m:02d}-01" for m in range(1, 11)), "soon", None, ""]})
    part, _, notes = parts(frame, SETTINGS)
    assert list(part[-3:]) == ["none"] * 3 and (part[:10] != "none").all()
    assert "3 rows (2 of them empty)" in notes[0] and "'soon'" in notes[0]


def test_ambiguous_dates_and_too_few_times_are_refused() -> None:
    with pytest.raises(AnlageError, match="day or month first"):
        read_times(pd.Series(["03/04/2021", "05/06/2021"], name="when"))
    with pytest.raises(AnlageError, match="2 distinct times are too few"):
        parts(pd.DataFrame({"when": [2001, 2002] * 5}), SETTINGS)
    with pytest.raises(AnlageError, match="no such column"):
        parts(pd.DataFrame({"then": [1]}), SETTINGS)


def test_groups_that_straddle_time_are_counted_aloud() -> None:
    frame = pd.DataFrame({"when": np.arange(100.0)}, index=[f"r{i}" for i in range(100)])
    folds = assign(frame, SETTINGS, np.arange(100) % 90, np.zeros(100, dtype=int), 0)
    assert len(folds.rows("test")) == 20 and folds.how.startswith("by time: 'when' from 80 on")
    assert any("LEAK: 10 test rows" in note for note in folds.notes)


def test_time_decides_alone() -> None:
    with pytest.raises(AnlageError, match="--time"):
        SplitSettings(time="when", split="random")
    for options in ({"time": "when"}, {"split": "mutations"}):
        with pytest.raises(AnlageError, match="--folds"):
            SplitSettings(folds=5, **options)  # type: ignore[arg-type]
