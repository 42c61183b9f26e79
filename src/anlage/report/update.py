"""``metrics.json`` of an update → its verdict, and the tables of what was gained and what was forgotten."""

from collections.abc import Mapping
from typing import Any

from anlage.bundle.numbers import count, interval, known
from anlage.report.judged import Table
from anlage.report.scores import smaller_is_better

PARTS = {"test": "test rows", "valid": "validation rows", "test and valid": "test and validation rows"}


def verdict(update: Mapping[str, Any]) -> str:
    """Gain and forgetting of each target by its deciding metric, in one line. Said only where the whole paired interval
    lies on one side of zero."""
    told = []
    for target, entry in update["targets"].items():
        name = entry["metric"].replace("_", " ")
        new, old = (_said(entry["sets"][which], which, entry["metric"], name) for which in ("new", "old"))
        told.append(f"{target}: {new}; {old}" if len(update["targets"]) > 1 else f"{new}; {old}")
    return "; ".join(told)


def _said(found: Mapping[str, Any], which: str, metric: str, name: str) -> str:
    rows = f"{which} {PARTS.get(found['part'], 'rows')}"
    cell = found["difference"].get(metric) or {}
    if not all(known(cell.get(key)) for key in ("value", "low", "high")):
        what = "gain" if which == "new" else "forgetting"
        return f"{rows}: {what} cannot be measured ({name} is undefined on these rows)"
    if cell["low"] > 0:
        return f"{rows}: better than before by {_span(cell)} {name}"
    if cell["high"] < 0:
        worse = {"value": -cell["value"], "low": -cell["high"], "high": -cell["low"]}
        return f"{rows}: {'worse than before' if which == 'new' else 'forgotten'} by {_span(worse)} {name}"
    nothing = "no better than before" if which == "new" else "no measurable forgetting"
    value, bounds = interval(cell)
    return f"{rows}: {nothing} ({value} {bounds} {name})"


def _span(cell: Mapping[str, Any]) -> str:
    return " ".join(interval(cell))


def update_tables(update: Mapping[str, Any]) -> list[Table]:
    """For each target and set of rows a table: each metric before, after, and their paired difference."""
    tables, smaller = [], smaller_is_better()
    for target, entry in update["targets"].items():
        for which, found in entry["sets"].items():
            size = next((cell["n"] for cell in found["after"].values()), 0)
            of = f"{target}: " if len(update["targets"]) > 1 else ""
            heading = f"{of}{_name(which)}, {count(size)} {PARTS.get(found['part'], 'rows')}"
            rows = []
            for metric in found["after"]:
                cells = [_span(found[when].get(metric) or {}).strip() for when in ("before", "after", "difference")]
                rows.append([metric.replace("_", " ") + (" ↓" if metric in smaller else ""), *cells])
            tables.append(Table(heading, ["", "before", "after", "gain"], rows))
    return tables


def _name(which: str) -> str:
    """ "old 2" → "Old table 2"."""
    first, _, number = which.partition(" ")
    return f"{first.capitalize()} table {number}" if number else first.capitalize()
