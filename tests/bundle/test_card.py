"""The model card is valid Hugging Face metadata, says the truth and shows no row."""

import json

import yaml
from bundle.example import contents
from report.trusted import TRUSTED

from anlage.bundle.card import model_card
from anlage.bundle.contents import Contents


def head(card: str) -> dict:
    return yaml.safe_load(card.split("---")[1])


def test_metadata() -> None:
    held = contents()
    found = head(model_card('a "quoted": title', held))
    assert found["library_name"] == "anlage" and {"record", "classification"} <= set(found["tags"])
    (model,) = found["model-index"]
    assert model["name"] == 'a "quoted": title'
    by_split = {result["dataset"]["split"]: result for result in model["results"]}
    measured = held.metrics["targets"]["diagnosis"]["model"]
    for part, split in (("test", "test"), ("valid", "validation")):
        values = {metric["type"]: metric["value"] for metric in by_split[split]["metrics"]}
        assert values == {name: cell["value"] for name, cell in measured[part].items()}
        assert by_split[split]["dataset"]["name"] == "patients.csv"


def test_scores_with_intervals_stand_beside_baselines() -> None:
    held = contents()
    card = model_card("t", held)
    entry = held.metrics["targets"]["diagnosis"]
    for cells in (entry["model"]["test"], entry["baselines"]["lightgbm"]["test"]):
        cell = cells["auroc"]
        assert f"{cell['value']:.3f} [{cell['low']:.3f}, {cell['high']:.3f}]" in card
    assert "a plain baseline does as well or better" in card and "3,983 train" in card


def test_nobodys_home_and_no_row_is_shown() -> None:
    card = model_card("t", contents())
    assert "/home/someone" not in card and "patient-" not in card


def test_foreign_words_stay_words() -> None:
    held = contents()
    held.inputs[0]["columns"] = ["a|b", "<script>", "two\nlines"]
    body = model_card("x", held).split("---", 2)[2]
    assert "<script>" not in body and "a\\|b" in body and "two lines" in body


def test_a_model_without_test_rows_says_so() -> None:
    held = contents()
    held.metrics = json.loads(json.dumps(held.metrics))
    del held.metrics["targets"]["diagnosis"]["model"]["test"]
    card = model_card("t", held)
    assert "was not measured on test rows" in card and len(head(card)["model-index"][0]["results"]) == 1


def trusted() -> Contents:
    held = contents()
    held.metrics = dict(TRUSTED["binary"]().metrics)
    return held


def test_how_far_to_trust_it() -> None:
    held = trusted()
    card = model_card("t", held)
    head(card)
    part = card.split("## How far to trust it")[1].split("\n## ")[0]
    entry = held.metrics["targets"]["diagnosis"]
    again = held.metrics["audit"]["findings"][1]["without"]["diagnosis"]
    for cell in (
        entry["calibration"]["parts"]["test"]["ece"],
        entry["calibration"]["parts"]["test"]["ece_before"],
        entry["conformal"]["parts"]["test"]["held"],
        entry["thresholds"][0]["parts"]["test"]["sensitivity"],
        entry["subgroups"]["columns"]["sex"]["gap"],
        again["all"],
        again["without"],
    ):
        assert f"{cell['value']:.3f} [{cell['low']:.3f}, {cell['high']:.3f}]" in part
    assert "best female, worst male" in part and "331 of 569" in part and "31 of 569 test rows" in part
    assert part.index("- leak:") < part.index("- warning:") < part.index("- note:")
    assert "no threshold for precision>=0.99" in part and "over 5 seeds" in part


def test_limits_follow_from_the_numbers() -> None:
    held = trusted()
    limits = model_card("t", held).split("## Limits")[1].split("\n## ")[0]
    assert "The audit found leaks" in limits and "worst for male" in limits and "90 to 99" in limits
    assert "less often than asked" not in limits
    entry = held.metrics["targets"]["diagnosis"]
    entry["conformal"]["parts"]["test"]["held"]["high"] = 0.89
    assert "less often than asked" in model_card("t", held)


def test_what_was_not_measured_is_not_in_the_card() -> None:
    assert "How far to trust it" not in model_card("t", contents())
    held = trusted()
    held.metrics["audit"] = {"findings": [], "checked": ["exact duplicates"], "skipped": []}
    held.metrics["targets"]["diagnosis"] |= {
        "calibration": None,
        "conformal": None,
        "thresholds": [],
        "subgroups": None,
    }
    card = model_card("t", held)
    assert "the audit found nothing" in card and "calibrat" not in card and "threshold" not in card


def test_levels_and_findings_stay_words() -> None:
    held = trusted()
    entry = held.metrics["targets"]["diagnosis"]
    entry["subgroups"]["columns"]["sex"]["gap"]["best"] = "<b>a|b</b>"
    held.metrics["audit"]["findings"][0]["text"] = "two\nlines `of` <script>"
    body = model_card("t", held).split("---", 2)[2]
    assert "<b>" not in body and "<script>" not in body and "a\\|b" in body and "two lines" in body
