import time

import numpy as np
import pandas as pd

from anlage.samples.hashing import data_hash


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {"text": ["a", "b", None], "number": [1.0, np.nan, 3.0], "image": [np.zeros((2, 2)), np.ones((2, 2)), None]},
        index=["x", "y", "z"],
    )


def test_order_of_rows_and_columns_is_nothing() -> None:
    assert data_hash(frame()) == data_hash(frame().iloc[[2, 0, 1], [1, 2, 0]])


def test_every_change_shows() -> None:
    hashes = {data_hash(frame())}
    for row, column, value in (("x", "text", "c"), ("y", "number", 2.0), ("z", "text", "")):
        changed = frame()
        changed.loc[row, column] = value
        hashes.add(data_hash(changed))
    image = frame()
    image.loc["x", "image"][0, 0] = 9
    hashes.add(data_hash(image))
    hashes.add(data_hash(frame().rename(index={"x": "w"})))
    hashes.add(data_hash(frame().rename(columns={"text": "t"})))
    hashes.add(data_hash(frame().iloc[:2]))
    swapped = frame()
    swapped.index = ["y", "x", "z"]
    hashes.add(data_hash(swapped))
    assert len(hashes) == 9


def test_whole_numbers_are_numbers() -> None:
    assert data_hash(pd.DataFrame({"a": [1, 0]})) == data_hash(pd.DataFrame({"a": [1.0, -0.0]}))


def test_known_value() -> None:
    """The hash stands in bundles: it must not change from version to version."""
    small = pd.DataFrame({"a": ["x", None], "b": [1, 2]}, index=["p", "q"])
    assert data_hash(small) == "f899069c20ebb2df0ea2492fb9aeb2ce6075b86d69e9f859d4214a74175e3ff1"


def test_is_fast() -> None:
    n = 70_000
    big = pd.DataFrame(
        {f"c{i}": np.arange(n) * i for i in range(3)} | {f"t{i}": [f"{j}" * 10 for j in range(n)] for i in (1, 2)}
    )
    start = time.perf_counter()
    data_hash(big)
    assert time.perf_counter() - start < 2
