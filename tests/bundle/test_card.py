"""The model card is valid Hugging Face metadata, says the truth and shows no row."""

import json

import yaml
from bundle.example import contents

from anlage.bundle.card import model_card


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
