"""Numbers as people read them."""

import math

import pytest

from anlage.bundle.numbers import interval, number


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.91349, "0.913"), (0.0, "0.000"), (-0.0, "0.000"), (-1.5, "-1.500"), (4.2e-5, "4.20e-05"), (2.5e7, "2.50e+07")]
    + [(None, "–"), (math.nan, "–"), (math.inf, "–")],
)
def test_number(value: float | None, text: str) -> None:
    assert number(value) == text


def test_an_interval_is_written_to_one_scale() -> None:
    assert interval({"value": 0.0001, "low": -0.02, "high": 0.02}) == ("0.000", "[-0.020, 0.020]")
    assert interval({"value": 0.5, "low": None, "high": 0.6}) == ("0.500", "")
    assert interval(None) == ("–", "")
