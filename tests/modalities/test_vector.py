import numpy as np
import pandas as pd

from anlage.modalities.vector.modality import Vector


def frame(*cells: object) -> pd.DataFrame:
    return pd.DataFrame({"emb": pd.Series(cells, index=[f"r{i}" for i in range(len(cells))], dtype=object)})


def test_lists_arrays_and_texts_are_vectors() -> None:
    checked = Vector().check(frame([1, 2], np.array([3.0, 4.0]), "[5, 6]", "[7.5  8]", (9, 10)))
    assert not checked.problems
    assert [c.tolist() for c in checked.frame["emb"]] == [[1, 2], [3, 4], [5, 6], [7.5, 8], [9, 10]]


def test_bad_vectors_are_named() -> None:
    checked = Vector().check(frame([1, 2], [3, 4], [1, 2, 3], "x", [1, np.inf], [np.nan, np.nan], ["a", 1], None))
    assert [(p.id, p.fatal) for p in checked.problems] == [
        ("r2", True),
        ("r3", True),
        ("r4", False),
        ("r5", False),
        ("r6", True),
    ]
    assert checked.frame["emb"].isna().tolist() == [False, False, True, True, False, True, True, True]
    assert np.isnan(checked.frame["emb"].iloc[4][1])


def test_length_is_that_of_training() -> None:
    modality = Vector().fit(Vector().check(frame([1, 2], [3, 4])).frame)
    checked = modality.check(frame([1, 2, 3], [1, 2, 3], [1, 2]))
    assert [p.id for p in checked.problems] == ["r0", "r1"]


def test_standardised_by_training_rows() -> None:
    cells = Vector().check(frame([1, 5], [3, 5], [np.nan, 5])).frame
    modality = Vector().fit(cells)
    numbers = modality.prepare(cells).parts.take(np.arange(3)).numbers
    assert numbers[:2].tolist() == [[-1, 0], [1, 0]] and numbers[2, 0].isnan()
    assert modality.shape.numbers == 2
    assert np.isnan(modality.descriptors(frame(None)).values).all()


def test_only_vectors_are_recognised() -> None:
    assert "3 numbers" in Vector.recognise("e", frame([1, 2, 3], [4, 5, 6])["emb"]).evidence
    for cells in (["a", "b"], [1.0, 2.0], ["1, 2", "3, 4"], [np.zeros((2, 2))]):
        assert Vector.recognise("e", pd.Series(cells)) is None
