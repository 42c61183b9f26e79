"""The trust sections say what ``metrics.json`` says, all of it, and are absent where nothing was measured."""

import json
import re
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest
from report.trusted import TRUSTED, add_trust
from report.views import binary

from anlage.report.render import render
from anlage.report.section import At
from anlage.report.trust_figures import decision_curve, reliability

KEYS = {"calibration", "conformal", "thresholds", "net_benefit", "subgroups"}
OF_A_NUMBER = ("value", "observed", "model", "count", "flagged"), ("low", "of"), ("high",)
"""What a cell shows of an object, in the order of the page: the first of each that is there."""


class Cells(HTMLParser):
    """(pointer, text) of everything that says where it comes from."""

    def __init__(self, page: str):
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self.inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list) -> None:
        source = dict(attributes).get("data-from")
        if source is not None:
            self.found.append((source, ""))
            self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag != "span"

    def handle_data(self, data: str) -> None:
        if self.inside:
            source, text = self.found[-1]
            self.found[-1] = (source, f"{text} {data}")


def resolve(document: Any, pointer: str) -> Any:
    """RFC 6901."""
    for key in pointer.split("/")[1:]:
        key = key.replace("~1", "/").replace("~0", "~")
        document = document[int(key)] if isinstance(document, list) else document[key]
    return document


def exact(value: Any, pointer: str) -> dict[str, Any]:
    """The leaves that a cell shows, by pointer."""
    if not isinstance(value, dict):
        return {pointer: value}
    keys = [next((key for key in keys if key in value), None) for keys in OF_A_NUMBER]
    return {f"{pointer}/{key}": value[key] for key in keys if key is not None}


def numbers(text: str) -> list[float]:
    return [float(n.replace(",", "")) for n in re.findall(r"-?\d[\d,]*(?:\.\d+)?(?:e[+-]\d+)?", text)]


def leaves(value: Any, pointer: str) -> dict[str, float]:
    """All numbers of a JSON value, by pointer."""
    if isinstance(value, dict | list):
        entries = value.items() if isinstance(value, dict) else enumerate(value)
        inner = (leaves(v, f"{pointer}/{str(k).replace('~', '~0').replace('/', '~1')}") for k, v in entries)
        return {where: number for found in inner for where, number in found.items()}
    return {pointer: value} if isinstance(value, int | float) and not isinstance(value, bool) else {}


def trusted_leaves(metrics: dict) -> dict[str, float]:
    found = {}
    for key in ("audit", "novelty", "seeds"):
        found |= leaves(metrics[key], f"/{key}")
    for name, entry in metrics["targets"].items():
        for key in KEYS:
            found |= leaves(entry[key], f"/targets/{name}/{key}")
    return found


@pytest.mark.parametrize("name", TRUSTED)
def test_every_number_equals_metrics_json(name: str) -> None:
    view = TRUSTED[name]()
    cells = Cells(render(view)).found
    assert len(cells) > 100
    for pointer, text in cells:
        value = resolve(view.metrics, pointer)
        if isinstance(value, str):
            assert text.strip() == value
            continue
        known = [v for v in exact(value, pointer).values() if v is not None]
        assert numbers(text) == pytest.approx(known, abs=5.01e-4), (pointer, text)


@pytest.mark.parametrize("name", TRUSTED)
def test_no_number_is_left_out(name: str) -> None:
    """All but the points of the decision curve, which is drawn; and the rows of a group's estimates, said once."""
    view = TRUSTED[name]()
    said: set[str] = set()
    for pointer, _ in Cells(render(view)).found:
        said |= exact(resolve(view.metrics, pointer), pointer).keys()
    missing = [where for where in trusted_leaves(dict(view.metrics)) if where not in said]
    drawn = re.compile(r"/net_benefit/curve/\d+/\w+$|/levels/\d+/(score|ece|held)/n$")
    assert [where for where in missing if not drawn.search(where)] == []


@pytest.mark.parametrize("name", TRUSTED)
def test_the_order_and_the_contents(name: str) -> None:
    text = render(TRUSTED[name]())
    anchors = re.findall(r'id="([^"]+)"', text)
    linked = re.findall(r'<li><a href="#([^"]+)"', text)
    assert linked == anchors and len(set(anchors)) == len(anchors)
    assert set(re.findall(r'href="#([^"]+)"', text)) <= set(anchors)
    kinds = [re.sub(r"-\d+$", "", anchor) for anchor in anchors]
    order = ["audit", "scores", "calibration", "conformal", "thresholds", "subgroups", "seeds", "errors", "novelty"]
    order += ["data", "training", "limits", "repeat", "versions", "tripod", "signature"]
    assert name == "several" or kinds == order
    assert text.index("<h1>") < text.index('id="audit"')
    for drawing in re.findall(r"<svg.*?</svg>", text, re.S):
        ElementTree.fromstring(drawing)
        assert '"nan' not in drawing and " nan" not in drawing


@pytest.mark.parametrize("key", ["audit", "seeds", "novelty", *sorted(KEYS)])
def test_what_was_not_measured_has_no_section(key: str) -> None:
    view = TRUSTED["binary"]()
    metrics = json.loads(json.dumps(view.metrics))
    holder = metrics["targets"]["diagnosis"] if key in KEYS else metrics
    pages = [render(view)]
    for forget in (lambda: holder.update({key: None}), lambda: holder.pop(key)):
        forget()
        view.metrics = metrics
        pages.append(render(view))
    anchor = {"net_benefit": "Decision curve", "thresholds": "Chosen on validation rows"}.get(key, f'id="{key}"')
    assert [anchor in page for page in pages] == [True, False, False]


def test_a_page_without_any_of_them() -> None:
    text = render(binary())
    found = re.findall(r'id="([^"]+)"', text)
    assert not set(found) & {"audit", "calibration", "conformal", "thresholds", "subgroups", "seeds", "novelty"}
    assert "data-from" not in text and "limits" in found and "signature" in found


def test_leaks_are_told_beside_the_verdict() -> None:
    view = TRUSTED["binary"]()
    head = render(view).split("</header>")[0]
    assert "The audit found 1 leak" in head
    view.metrics["audit"]["findings"] = [f for f in view.metrics["audit"]["findings"] if f["severity"] != "leak"]
    text = render(view)
    assert "leak:" not in text.split("</header>")[0]
    view.metrics["audit"]["findings"] = []
    text = render(view)
    assert "Nothing was found." in text and "Near duplicates across parts" in text


def test_the_worst_finding_stands_first() -> None:
    text = render(TRUSTED["several"]())
    table = text.split('id="audit"')[1].split("</table>")[0]
    assert re.findall(r">(leak|warning|note)<", table) == ["leak", "warning", "note"]


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.88, 0.92, "as often as asked"),
        (0.80, 0.89, "less often than asked."),
        (0.93, 0.97, "wider"),
        (None, None, "cannot be told"),
    ],
)
def test_coverage_is_judged_in_words(low: float | None, high: float | None, said: str) -> None:
    view = TRUSTED["binary"]()
    held = view.metrics["targets"]["diagnosis"]["conformal"]["parts"]["test"]["held"]
    held |= {"low": low, "high": high}
    assert said in render(view).split('id="conformal"')[1].split("</section>")[0]


def test_unknown_numbers_are_dashes() -> None:
    view = TRUSTED["binary"]()

    def unknown(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: None if k in ("value", "low", "high", "ece", "size") else unknown(v) for k, v in value.items()}
        return [unknown(v) for v in value] if isinstance(value, list) else value

    entry = view.metrics["targets"]["diagnosis"]
    for key in KEYS:
        entry[key] = unknown(entry[key])
    for key in ("audit", "novelty", "seeds"):
        view.metrics[key] = unknown(view.metrics[key])
    text = render(view)
    assert "None" not in text and not re.search(r"\bnan\b", text) and text.count("–</td>") > 20


def test_small_groups_are_marked_not_hidden() -> None:
    text = render(TRUSTED["binary"]()).split('id="subgroups"')[1].split("</section>")[0]
    levels = TRUSTED["binary"]().metrics["targets"]["diagnosis"]["subgroups"]["columns"]
    small = [level for column in levels.values() for level in column["levels"] if level["small"]]
    drawn = [level for level in small if level["score"]["value"] is not None]
    assert 0 < len(drawn) < len(small)
    assert text.count('class="hollow"') == len(drawn)
    assert text.count("<small>small group</small>") == len(small)


def test_reliability_shows_every_bin_and_its_rows() -> None:
    bins = [(0.1, 0.12, 0.05, 0.2, 100), (0.5, 0.4, None, None, 50), (0.9, 0.93, 0.9, 0.97, 25)]
    drawing = reliability(bins)
    heights = [float(h) for h in re.findall(r'height="([\d.]+)" class="rows"', drawing)]
    assert heights == pytest.approx([46, 23, 11.5], abs=0.06)
    assert drawing.count("<circle") == 3 and drawing.count('class="bar model"') == 2


def test_the_decision_curve_is_cut_where_it_falls() -> None:
    curve = TRUSTED["binary"]().metrics["targets"]["diagnosis"]["net_benefit"]["curve"]
    drawing = decision_curve(curve)
    heights = [
        float(point.split(",")[1]) for line in re.findall(r'points="([^"]+)"', drawing) for point in line.split()
    ]
    assert max(heights) <= 290.05 and min(heights) >= 26
    assert min(point["all"] for point in curve) < -10


def test_pointers_escape_what_they_must() -> None:
    at = At({"a/b": {"~x": [1, {"": 2}]}})
    assert at["a/b"]["~x"][1][""].pointer == "/a~1b/~0x/1/" and at["a/b"]["~x"][1][""].value == 2
    assert not at["nothing"]["inside"] and list(at["nothing"]) == [] and dict(at["nothing"].items()) == {}


def test_names_of_the_data_are_words_not_html() -> None:
    view = add_trust(binary(), 569)
    entry = view.metrics["targets"]["diagnosis"]
    columns = entry["subgroups"]["columns"]
    columns["si/te<i>"] = columns.pop("sex")
    columns["si/te<i>"]["levels"][0]["name"] = "<script>a</script>"
    text = render(view)
    assert "<script" not in text and "si/te<i>" not in text and "By si/te&lt;i&gt;" in text
    assert 'data-from="/targets/diagnosis/subgroups/columns/si~1te&lt;i&gt;/gap"' in text


def test_labels_that_a_mean_over_all_rows_hides_are_named() -> None:
    view = TRUSTED["ten_classes"]()
    labels = view.metrics["targets"]["location"]["conformal"]["parts"]["test"]["by_label"]
    for cell in labels.values():
        cell["high"] = 0.95
    section = render(view).split('id="conformal"')[1].split("</section>")[0]
    assert "as often as asked" in section and "Less often than asked for" not in section
    labels["Plastid"]["high"] = labels["Nucleus"]["high"] = 0.8
    text = render(view)
    assert "Less often than asked for Nucleus, Plastid." in text.split('id="conformal"')[1]
    assert "less often than asked for where the truth is “Nucleus”, “Plastid”" in text.split('id="limits"')[1]


def test_a_goal_names_its_label_once() -> None:
    view = TRUSTED["ten_classes"]()
    view.metrics["targets"]["location"]["thresholds"][0]["goal"] = "Nucleus:sensitivity>=0.95"
    assert "Sensitivity ≥ 0.95 (Nucleus)" in render(view)
