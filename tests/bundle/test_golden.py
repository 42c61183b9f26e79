"""Bundles that released schemas wrote stay readable: same predictions, within rounding.

``golden/schema-N`` was written by ``anlage.fit`` on simulated promoters with two record columns and two targets; its
``rows/`` was left behind, as when a bundle is shared. A new schema adds a folder here and never changes an old one.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import anlage
from anlage.bundle.contents import SCHEMA

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("schema", range(1, SCHEMA + 1))
def test_a_golden_bundle_predicts_as_it_did(schema: int) -> None:
    run = anlage.load(GOLDEN / f"schema-{schema}")
    predicted = run.predict(GOLDEN / "rows.csv", say=lambda line: None)
    expected = pd.read_csv(GOLDEN / f"schema-{schema}-predictions.csv", index_col=0)
    assert list(predicted.columns) == list(expected.columns) and list(predicted.index) == list(expected.index)
    assert (predicted["element"] == expected["element"]).all()
    numbers = expected.select_dtypes("number").columns
    np.testing.assert_allclose(predicted[numbers].astype(float), expected[numbers], rtol=1e-4, atol=1e-5)
    assert run.verdict == run.evaluation["verdict"]
