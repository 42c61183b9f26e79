"""The demo: its tables are what they say, and it runs from start to end."""

from pathlib import Path

import numpy as np
import pytest

from anlage import demo, simulator


def test_the_tables() -> None:
    records = demo.breast_cancer()
    assert records.shape == (569, 31)
    assert records.diagnosis.value_counts().to_dict() == {"benign": 357, "malignant": 212}
    digits = demo.digits()
    assert len(digits) == 1797 and set(digits.digit) == set("0123456789")
    assert all(image.shape == (8, 8) and image.dtype == np.uint8 for image in digits.image)


def test_the_simulation_is_repeatable_and_balanced() -> None:
    table = simulator.simulate_promoters(500, seed=3)
    assert table.equals(simulator.simulate_promoters(500, seed=3))
    assert not table.equals(simulator.simulate_promoters(500, seed=4))
    assert table.element.value_counts().to_dict() == {"promoter": 250, "none": 250}
    assert set(table.sequence.str.len()) == {simulator.LENGTH}
    assert set("".join(table.sequence)) == set("ACGT")
    assert table.index.is_unique and all(name.startswith("simulated-") for name in table.index)


def test_only_promoters_have_the_elements_in_place() -> None:
    table = simulator.simulate_promoters(600, seed=0)
    consensus, place = next(iter(simulator.ELEMENTS.items()))
    codes = {"A": "A", "C": "C", "G": "G", "T": "T", "R": "AG", "W": "AT"}

    def in_place(sequence: str) -> bool:
        for shift in range(-simulator.JITTER, simulator.JITTER + 1):
            first = simulator.START + place + shift
            letters = sequence[first : first + len(consensus)]
            if sum(letter in codes[code] for letter, code in zip(letters, consensus, strict=True)) >= 7:
                return True
        return False

    share = table.sequence.map(in_place).groupby(table.element).mean()
    assert share["promoter"] > 0.8
    assert share["none"] < 0.2


@pytest.mark.slow
def test_the_demo_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    demo.run_demo(tmp_path)
    printed = capsys.readouterr().out
    for name, study in demo.STUDIES.items():
        assert study.title in printed
        report = tmp_path / name / "report.html"
        assert str(report) in printed and report.stat().st_size > 10_000
    assert printed.count("the baseline") >= 3
