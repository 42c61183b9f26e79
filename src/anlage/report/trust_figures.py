"""Figures of the trust sections: reliability diagram, forest of groups, decision curve."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from anlage.bundle.numbers import known
from anlage.report.figures import legend
from anlage.report.svg import Plot, shorten, words

LARGEST_FOREST = 40
"""Groups that still fit into a forest plot."""
_ROW = 34.0


@dataclass(frozen=True)
class Estimated:
    """A number with its interval, and a remark that makes its mark hollow."""

    name: str
    value: float
    low: float | None
    high: float | None
    note: str | None


def levels_forest(rows: Sequence[Estimated], axis: str, guide: float | None) -> str:
    """A row for each group; ``guide``: x of the dashed line that they are compared with."""
    numbers = [x for row in rows for x in (row.value, row.low, row.high, guide) if x is not None and known(x)]
    margin = 0.06 * ((max(numbers) - min(numbers)) or abs(max(numbers)) or 1)
    plot = Plot((min(numbers) - margin, max(numbers) + margin), (0, 1), height=_ROW * len(rows) + 50, left=12)
    plot.axes(axis, "", y_ticks=False)
    if guide is not None:
        plot.segment(guide, 0, guide, 1, "guide")
    for index, row in enumerate(rows):
        y = 1 - (_ROW * index + 23) / (plot.bottom - plot.top)
        name = shorten(str(row.name), 36) + (f" ({row.note})" if row.note else "")
        plot.body.append(words(plot.left, plot.y(y) - 9, name, "label dim" if row.note else "label"))
        css = "other" if row.note else "model"
        if known(row.low) and known(row.high):
            plot.segment(float(row.low or 0), y, float(row.high or 0), y, f"bar {css}")
        plot.dot(row.value, y, 4.5, "hollow" if row.note else "fill-model")
    return plot.svg(f"{axis} of each group, with intervals")


Bin = tuple[float, float, float | None, float | None, int]
"""Predicted, observed, low, high, rows."""


def reliability(bins: Sequence[Bin]) -> str:
    """Observed share over predicted probability; columns at the bottom show how many rows each bin has."""
    plot = Plot((0, 1), (0, 1), height=350)
    plot.axes("predicted probability", "observed share")
    largest = max(n for *_, n in bins)
    for predicted, _, _, _, n in bins:
        x, top = plot.x(predicted), 46.0 * n / largest
        plot.body.append(
            f'<rect x="{x - 3:.1f}" y="{plot.bottom - top:.1f}" width="6" height="{top:.1f}" class="rows"/>'
        )
    plot.segment(0, 0, 1, 1, "guide")
    seen = [found for found in bins if known(found[0]) and known(found[1])]
    plot.line([(predicted, observed) for predicted, observed, *_ in seen], "series-0 thin")
    for predicted, observed, low, high, _ in seen:
        if low is not None and high is not None and known(low) and known(high):
            plot.segment(predicted, low, predicted, high, "bar model")
        plot.dot(predicted, observed, 4, "fill-model")
    return plot.svg("Reliability diagram: observed share over predicted probability")


def decision_curve(points: Sequence[Mapping[str, Any]]) -> str:
    """Net benefit of the model with its interval, and of treating all, over the threshold probability. What lies far
    below zero is cut off: there treating nobody is better whatever the number."""
    xs = [float(point["threshold"]) for point in points]
    top = max(
        0.0, *(float(point[key]) for point in points for key in ("model", "high", "all") if known(point.get(key)))
    )
    floor = -0.25 * (top or 1.0)
    plot = Plot((0.0, max(xs)), (floor, top * 1.06 or 0.1), height=330)
    plot.top = 26.0
    plot.axes("threshold probability", "net benefit")
    plot.segment(0, 0, max(xs), 0, "guide")
    banded = [p for p in points if known(p.get("low")) and known(p.get("high"))]
    if len(banded) > 1:
        edge = [(float(p["threshold"]), float(p["high"])) for p in banded]
        edge += [(float(p["threshold"]), float(p["low"])) for p in reversed(banded)]
        drawn = " ".join(f"{plot.x(x):.1f},{plot.y(max(y, floor)):.1f}" for x, y in edge)
        plot.body.append(f'<polygon points="{drawn}" class="band"/>')
    plot.line(_above(xs, [p.get("all") for p in points], floor), "series-1")
    plot.line(_above(xs, [p.get("model") for p in points], floor), "series-0")
    legend(plot, ["this model", "treat all"])
    return plot.svg("Decision curve: net benefit over threshold probability")


def _above(xs: Sequence[float], ys: Sequence[Any], floor: float) -> list[tuple[float, float]]:
    """The curve down to where it first crosses ``floor``."""
    points = [(x, float(y)) for x, y in zip(xs, ys, strict=True) if known(y)]
    kept: list[tuple[float, float]] = []
    for (x0, y0), (x1, y1) in zip(points, points[1:], strict=False):
        if y0 < floor:
            break
        kept.append((x0, y0))
        if y1 < floor:
            return [*kept, (x0 + (x1 - x0) * (y0 - floor) / (y0 - y1), floor)]
    return [*kept, points[-1]] if points and points[-1][1] >= floor else kept
