import numpy as np
import pandas as pd
import pytest

from anlage.errors import AnlageError
from anlage.modalities.record.modality import Record


def checked(**columns: list) -> pd.DataFrame:
    return Record().check(pd.DataFrame(columns)).frame


def test_check_names_infinite_and_non_numbers() -> None:
    raw = pd.DataFrame({"a": [1.0, np.inf, 3.0] + [1.0] * 20, "b": ["1", "high", "?"] + ["2"] * 20})
    result = Record().check(raw)
    assert [(p.id, p.column, p.fatal) for p in result.problems] == [("1", "b", False), ("1", "a", False)]
    assert "'high' is no number" in result.problems[0].reason
    assert result.frame.dtypes.tolist() == [np.float64, np.float64]
    assert result.frame.loc[1].isna().all() and np.isnan(result.frame.loc[2, "b"])


def test_many_bad_rows_are_counted_not_repeated() -> None:
    result = Record().check(pd.DataFrame({"a": [1.0] * 10 + [np.inf] * 500}))
    assert len(result.problems) == 21
    assert "480 more" in result.problems[-1].reason


def test_numbers_categories_booleans_and_missing() -> None:
    frame = checked(age=[1.0, 3.0, None], ill=[True, False, True], sex=["f", " m ", None])
    modality = Record().fit(frame)
    assert modality.shape.numbers == 2 and modality.shape.categories == (3,)
    layout = modality.prepare(frame).parts.take(np.arange(3))
    assert layout.numbers[:2, 0].tolist() == [-1, 1] and layout.numbers[2, 0].isnan()
    assert layout.categories[:, 0].tolist() == [1, 2, 0]
    described = modality.descriptors(frame)
    assert described.names == ["age", "ill", "age missing", "sex = f", "sex = m"]
    assert described.values[:, 2].tolist() == [0, 0, 1]


def test_after_fit_kinds_are_those_of_training() -> None:
    modality = Record().fit(checked(n=[1.0, 2.0], c=["x", "y"]))
    result = modality.check(pd.DataFrame({"n": ["7", "many"], "c": ["x", "z"], "other": [1, 2]}))
    assert list(result.frame.columns) == ["n", "c"]
    assert result.frame["n"].tolist()[0] == 7 and np.isnan(result.frame["n"].tolist()[1])
    reasons = [str(p) for p in result.problems]
    assert any("'many' is no number" in r for r in reasons) and any("'z' was not among" in r for r in reasons)
    assert modality.prepare(result.frame).index.tolist() == [0, -1]  # nothing known of the second row


def test_truth_values_agree_between_files() -> None:
    modality = Record().fit(checked(ill=[True, False, True]))
    result = modality.check(pd.DataFrame({"ill": ["TRUE", "false", None]}))
    assert result.frame["ill"].tolist()[:2] == [1, 0] and not result.problems


def test_a_column_that_the_table_lacks_is_missing_and_named() -> None:
    modality = Record().fit(checked(a=[1.0, 2.0], b=[3.0, 5.0]))
    result = modality.check(pd.DataFrame({"a": [1.0]}))
    assert "not in this table" in str(result.problems[0])
    assert np.isnan(modality.prepare(result.frame).parts.take(np.array([0])).numbers[0, 1].item())


def test_category_codes_agree_between_numbers_and_texts() -> None:
    modality = Record().fit(checked(c=["1", "2", "x", "1"]))
    assert modality.shape.categories == (4,)
    result = modality.check(pd.DataFrame({"c": [1.0, 2.0]}))
    assert result.frame["c"].tolist() == ["1", "2"] and not result.problems


def test_constant_and_empty_columns_are_left_out() -> None:
    frame = checked(a=[1.0, 2.0], same=[5.0, 5.0], none=[None, None], word=["x", "x"])
    assert Record().fit(frame).shape.numbers == 1
    with pytest.raises(AnlageError, match="constant or empty"):
        Record().fit(frame[["same", "none", "word"]])


def test_one_wild_number_is_cut() -> None:
    modality = Record().fit(checked(a=[1.0, 2.0, 3.0]))
    assert modality.prepare(checked(a=[1e30])).parts.take(np.array([0])).numbers.item() == 10


def test_other_rows_do_not_change_the_means() -> None:
    frame = checked(a=[1.0, 2.0, 3.0, 1000.0])
    assert Record().fit(frame.iloc[:3]).state["mean"] == [2.0]


def test_rows_equal_in_float32_are_one_group() -> None:
    groups = Record().groups(checked(a=[0.1, 0.1 + 1e-12, 0.2, None], c=["x", "x", "x", None]))
    assert groups[0] == groups[1] != groups[2] and groups[3] == -1


def test_recognises_plain_columns_only() -> None:
    assert Record.recognise("age", pd.Series([1, 2, 3]))
    assert Record.recognise("ill", pd.Series([True, False]))
    assert Record.recognise("lab", pd.Series(["1.5", "2", "?"] * 4))
    assert Record.recognise("sex", pd.Series(["f", "m"] * 5))
    assert Record.recognise("id", pd.Series([f"patient {i}" for i in range(500)])) is None


def test_thousands_of_columns(data) -> None:
    table = pd.read_csv(data / "expression" / "golub.csv.gz")
    modality = Record()
    frame = modality.check(table).frame
    assert modality.fit(frame).shape.numbers > 7000
    assert modality.descriptors(frame).values.shape[0] == 72
    assert len(set(modality.groups(frame))) == 72
