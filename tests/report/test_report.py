"""The page says what ``metrics.json`` says, needs nothing else, and shows no row unless asked."""

import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from report.views import ALL, PROVENANCE, binary, several, ten_classes

from anlage.bundle.numbers import interval
from anlage.errors import Problem
from anlage.report.render import render
from anlage.report.view import ReportView, TargetView

VOID = {"meta", "link", "br", "img", "hr"}


class Page(HTMLParser):
    """Score cells by place, and whether every element is closed in order."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.names: set[str] = set()
        self.cells: dict[tuple[str, str, str, str], str] = {}
        self.target, self.cell = "", None
        self.first_heading = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.names.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        found = dict(attributes)
        self.target = found.get("data-target", self.target)
        if "data-metric" in found:
            self.cell = (self.target, found["data-part"], found["data-row"], found["data-metric"])
            self.cells[self.cell] = ""

    def handle_startendtag(self, tag: str, attributes: list) -> None:
        self.names.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag == "td":
            self.cell = None

    def handle_data(self, data: str) -> None:
        if self.cell:
            self.cells[self.cell] += data
        if "h1" in self.open:
            self.first_heading += data


@pytest.mark.parametrize("name", ALL)
def test_every_number_equals_metrics_json(name: str) -> None:
    view = ALL[name]()
    page = Page(render(view))
    expected = {}
    for target, entry in view.metrics["targets"].items():
        for part in ("valid", "test"):
            rows = {"this model": entry["model"][part]}
            rows |= {name: found[part] for name, found in entry["baselines"].items()}
            if part == "test":
                rows |= {f"model − {name}": found[part] for name, found in entry["differences"].items()}
            for row, cells in rows.items():
                for metric, cell in cells.items():
                    expected[target, part, row, metric] = cell
    assert page.cells.keys() == expected.keys()
    for place, text in page.cells.items():
        shown = [float(number) for number in re.findall(r"-?\d+\.\d+(?:e[+-]\d+)?", text)]
        exact = [expected[place][key] for key in ("value", "low", "high")]
        assert shown == pytest.approx(exact, abs=5.01e-4), place
    assert page.first_heading == view.metrics["verdict"]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("show_rows", [False, True])
def test_the_page_is_whole_and_alone(name: str, show_rows: bool) -> None:
    text = render(ALL[name](show_rows))
    page = Page(text)
    assert not page.names & {"script", "link", "img", "iframe", "object", "b>malignant<"}
    assert not re.findall(r"""src\s*=|href\s*=\s*"[^#]|url\(|@import|https?://""", text)
    drawings = re.findall(r"<svg.*?</svg>", text, re.S)
    assert len(drawings) >= 4
    for drawing in drawings:
        ElementTree.fromstring(drawing)
    assert "NaN" not in text and "nan," not in text and len(text) < 400_000


def test_labels_are_words_not_html() -> None:
    text = render(binary())
    assert "<b>malignant" not in text and "&lt;b&gt;malignant&lt;/b&gt; &amp; co" in text


@pytest.mark.parametrize("name", ALL)
def test_rows_are_shown_only_when_asked(name: str) -> None:
    view = ALL[name]()
    ids = {str(id_) for target in view.targets for id_ in target.ids}
    hidden, shown = render(view), render(ALL[name](show_rows=True))
    assert not ids & set(re.findall(r"[\w-]+", hidden)) and "secret-" not in hidden
    assert "rows/predictions.parquet" in hidden and "Worst errors" not in hidden
    assert "Worst errors" in shown and ids & set(re.findall(r"<td>([\w-]+)</td>", shown))


def test_worst_errors_are_the_worst() -> None:
    view = several(show_rows=True)
    target = view.targets[0]
    error = np.abs(target.values - target.truth)[:, 0]
    worst = target.ids[np.argsort(-np.nan_to_num(error))[:12]]
    table = render(view).split("Worst errors")[1].split("</table>")[0]
    assert re.findall(r"<tr><td>(s\d+)</td>", table) == list(worst)


def test_errors_are_marked_as_smaller_is_better() -> None:
    text = render(several())
    assert "<th>rmse ↓</th>" in text and "<th>spearman</th>" in text


def test_confusions_are_counted() -> None:
    view = ten_classes()
    truth, best = view.targets[0].truth[:, 0].astype(int), view.targets[0].values.argmax(axis=1)
    drawing = re.search(r"<svg[^>]*Confusion matrix.*?</svg>", render(view), re.S).group()
    counts = [int(n) for n in re.findall(r'class="count[^"]*"[^>]*>(\d+)<', drawing)]
    matrix = np.zeros((10, 10), dtype=int)
    np.add.at(matrix, (truth, best), 1)
    assert counts == [n for n in matrix.ravel() if n]


def test_the_verdict_decides_the_colour() -> None:
    assert '<header class="no-better">' in render(binary())
    assert '<header class="better">' in render(ten_classes())
    assert '<li class="worse">' in render(several()) and '<header class="">' in render(several())


def test_bad_rows_are_counted_without_their_values() -> None:
    view = binary()
    view.problems += [Problem("9", "age", "value 4711 exceeds 'nine'")]
    text = render(view)
    assert "“…” is not a number" in text and "<td>14</td>" in text and "value # exceeds “…”" in text
    view.show_rows = True
    assert "&#39;secret-3&#39; is not a number (row patient-3)" in render(view)


def test_sections_without_content_are_left_out() -> None:
    view = ReportView("empty", {"schema": 1, "verdict": "nothing was measured", "targets": {}})
    text = render(view)
    Page(text)
    assert "<h2>" not in text and "nothing was measured" in text


def test_a_model_before_its_test() -> None:
    view = binary()
    metrics = json.loads(json.dumps(view.metrics))
    entry = metrics["targets"]["diagnosis"]
    del entry["model"]["test"]
    entry["differences"] = {}
    entry["verdict"] = None
    for found in entry["baselines"].values():
        del found["test"]
    cell = entry["model"]["valid"]["auroc"]
    cell["low"] = cell["high"] = None
    view.metrics = metrics
    page = Page(render(view))
    assert {part for _, part, _, _ in page.cells} == {"valid"}
    assert page.cells["diagnosis", "valid", "this model", "auroc"] == interval(cell)[0]


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("task", ["classification", "multilabel", "regression", "survival"])
def test_few_constant_and_missing_rows(task: str, n: int) -> None:
    """One label, equal numbers or nothing known: figures are left out or drawn, the page is always whole."""
    for truth in (np.zeros((n, 2 if task == "multilabel" else 1)), np.full((n, 1), np.nan)):
        outputs = truth.shape[1] if task in ("multilabel", "regression") else 2
        truth = np.broadcast_to(truth, (n, outputs)) if task == "multilabel" else truth
        values = np.full((n, outputs), 0.5)
        target = TargetView("y", task, ["a", "b"][:outputs], "test", np.arange(n).astype(str), truth, values)
        text = render(ReportView("few", {"verdict": "few", "targets": {}}, targets=[target], show_rows=True))
        Page(text)
        for drawing in re.findall(r"<svg.*?</svg>", text, re.S):
            ElementTree.fromstring(drawing)
        assert "nan" not in re.sub(r"[a-z-]*nan[a-z]+", "", text)


def test_very_many_labels_become_a_table() -> None:
    rng = np.random.default_rng(0)
    labels = [f"fold {i}" for i in range(1195)]
    truth = rng.integers(0, 1195, (3000, 1)).astype(float)
    values = rng.random((3000, 1195))
    target = TargetView("fold", "classification", labels, "test", np.arange(3000).astype(str), truth, values)
    text = render(ReportView("folds", {"verdict": "", "targets": {}}, targets=[target], provenance=PROVENANCE))
    assert "<svg" not in text and "Most confused labels" in text and len(text) < 40_000
