"""Labels are merged on reading, and a rule that names nothing is an error."""

import pandas as pd
import pytest

from anlage.errors import AnlageError
from anlage.samples.read import read
from anlage.samples.relabel import relabel

FRAME = pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0], "kind": ["weak", "strong", "none", None], "grade": [1, 2, 3, 3]})


def test_named_values_change_and_others_stay():
    samples = relabel(read(FRAME), ["kind:weak=enhancer,strong=enhancer", "grade:1=low,2=low"])
    assert samples.frame["kind"].iloc[:3].tolist() == ["enhancer", "enhancer", "none"]
    assert samples.frame["kind"].isna().tolist() == [False, False, False, True]
    assert samples.frame["grade"].tolist() == ["low", "low", 3, 3]
    assert any("2 of 4 rows relabelled" in note for note in samples.notes)
    assert FRAME["kind"].iloc[0] == "weak"


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("kind", "write COLUMN:VALUE=LABEL"),
        ("kind:weak", "write COLUMN:VALUE=LABEL"),
        ("kind:weak=", "write COLUMN:VALUE=LABEL"),
        ("sort:weak=a", "no column 'sort'"),
        ("kind:waek=a", "no row has 'waek'; kind holds"),
    ],
)
def test_one_clear_line(rule, said):
    with pytest.raises(AnlageError, match=said):
        relabel(read(FRAME), [rule])


def test_a_cohort_may_lack_a_value():
    assert relabel(read(FRAME), ["kind:waek=a"], whole=False).frame["kind"].iloc[0] == "weak"
