"""TRIPOD+AI: every item is there once, what the run knows is filled in, the rest is left to people."""

import re

from report.trusted import TRUSTED
from report.views import ALL, binary, ten_classes

from anlage.report.render import render
from anlage.report.tripod import checklist
from anlage.report.view import ReportView

NUMBERS = ["1", "2", "3a", "3b", "3c", "4", "5a", "5b", "6a", "6b", "6c", "7", "8a", "8b", "8c", "9a", "9b", "9c", "10"]
NUMBERS += ["11", "12a", "12b", "12c", "12d", "12e", "12f", "12g", "13", "14", "15", "16", "17", "18a", "18b", "18c"]
NUMBERS += [
    "18d",
    "18e",
    "18f",
    "19",
    "20a",
    "20b",
    "20c",
    "21",
    "22",
    "23a",
    "23b",
    "24",
    "25",
    "26",
    "27a",
    "27b",
    "27c",
]
ONLY_PEOPLE = {"2", "3a", "3b", "3c", "4", "5b", "6a", "6b", "6c", "8b", "8c", "9b", "9c", "11", "17", "18a", "18b"}
ONLY_PEOPLE |= {"18c", "18d", "19", "23b", "25", "27b", "27c"}


def test_all_27_items() -> None:
    items = checklist(binary()).items
    assert [item.number for item in items] == NUMBERS
    assert len({re.sub(r"\D", "", number) for number in NUMBERS}) == 27
    assert all(item.found or item.to_add for item in items)


def test_what_only_people_know_is_open() -> None:
    for make in TRUSTED.values():
        found = checklist(make())
        assert {item.number for item in found.open} >= ONLY_PEOPLE
        assert {item.number for item in found.filled} >= {"12a", "12c", "12e", "14", "15", "22", "23a"}


def test_the_facts_are_those_of_the_run() -> None:
    view = TRUSTED["binary"]()
    view.provenance = {**view.provenance, "sources": ["/home/someone/breast_cancer.csv"]}
    said = {item.number: item.found for item in checklist(view).items}
    assert said["5a"].startswith("breast_cancer.csv") and "/home" not in " ".join(said.values())
    assert "3,983 train, 569 valid, 569 test" in said["12a"] and said["23a"].endswith("by sex, age")
    assert "decision curve" in said["12e"] and "95% bootstrap" in said["12e"] and "ft-transformer-small" in said["12c"]
    assert view.metrics["data_hash"] in said["18e"] and "loss weights" in said["13"] and "recalibrated" in said["12f"]


def test_what_was_not_measured_is_not_claimed() -> None:
    said = {item.number: item for item in checklist(binary()).items}
    assert "--subgroup" in said["23a"].found and not said["14"].found and not said["27a"].found and not said["16"].found
    assert "reliability" not in said["12e"].found and said["12f"].found == "none"
    assert checklist(ReportView("empty", {"targets": {}})).filled == []


def test_it_is_folded_only_where_no_input_is_clinical_and_never_hidden() -> None:
    clinical, proteins = (render(make()).split('id="tripod"')[1] for make in (binary, ten_classes))
    assert "<details>" not in clinical and "<details>" in proteins
    for page in (clinical, proteins):
        shown = re.findall(r"<tr><th>(\d+[a-g]?) ", page)
        assert sorted(shown) == sorted(NUMBERS)


def test_no_row_is_shown() -> None:
    for make in ALL.values():
        view = make()
        ids = {str(i) for target in view.targets for i in target.ids}
        said = " ".join(f"{item.found} {item.to_add}" for item in checklist(view).items)
        assert not ids & set(re.findall(r"[\w-]+", said))
