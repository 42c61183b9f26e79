"""A comparison of runs → one HTML page in the style of the report."""

from collections.abc import Mapping, Sequence
from typing import Any

from anlage.bundle.numbers import count, interval, known, number
from anlage.report.templates import environment
from anlage.report.trust_figures import LARGEST_FOREST, Estimated, levels_forest

Pairs = Mapping[str, Sequence[Mapping[str, Any]]]


def basis(found: Mapping[str, Any]) -> str:
    """On what runs were compared, in words."""
    part = "validation" if found["part"] == "valid" else found["part"]
    grouped = f" in {count(found['n_groups'])} groups" if found["resampled"] == "groups" else ""
    return (
        f"the same {count(found['n'])} {part} rows{grouped}; {found['level']:.0%} intervals from "
        f"{count(found['resamples'])} bootstrap resamples of {found['resampled']}"
    )


def chance(p: float | None) -> str:
    """A p-value as people read it."""
    return "<0.001" if p is not None and p < 0.001 else number(p)


def render(found: Mapping[str, Any], pairs: Pairs) -> str:
    """The page. ``found``: what ``Comparison.to_json`` gives; ``pairs``: those of each target that are shown."""
    targets = [_target(name, of, pairs[name]) for name, of in found["targets"].items()]
    return environment().get_template("compare.html.jinja").render(found=found, basis=basis(found), targets=targets)


def _target(name: str, of: Mapping[str, Any], pairs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    metric = of["metric"].replace("_", " ")
    scores = [(run, *interval(score), count(score["n"])) for run, score in of["scores"].items()]
    differences = [
        (pair["a"], pair["b"], *interval(pair["difference"]), chance(pair["p"]), chance(pair["p_adjusted"]),
         pair["outcome"] or "not compared")
        for pair in pairs
    ]  # fmt: skip
    drawn = []
    for pair in pairs:
        value, low, high = (pair["difference"][key] for key in ("value", "low", "high"))
        if known(value):
            drawn.append(Estimated(f"{pair['a']} − {pair['b']}", value, low, high, None))
    figure = levels_forest(drawn, f"difference in {metric}", 0.0) if 0 < len(drawn) <= LARGEST_FOREST else ""
    smaller = "" if of["greater_is_better"] else " ↓"
    return {"name": name, "metric": metric + smaller, "scores": scores, "pairs": differences, "figure": figure}
