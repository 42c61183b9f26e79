"""``metrics.json`` → the tables of scores of the page: what is printed is what the file says."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from anlage import metrics
from anlage.bundle.numbers import count, interval, known
from anlage.metrics.metric import Metric
from anlage.report.figures import forest

PARTS = {"test": "Test", "valid": "Validation"}


@dataclass
class Score:
    """One cell: a number and its interval."""

    value: str
    range: str


@dataclass
class Row:
    """The scores of the model, of a baseline or of a difference, in the order of the table's metrics."""

    name: str
    scores: list[Score]


@dataclass
class ScoreTable:
    """The scores on one part: the model first, then each baseline."""

    part: str
    title: str
    metrics: list[str]
    rows: list[Row]


@dataclass
class PartScores:
    """All that was measured on one part."""

    title: str
    scores: ScoreTable
    differences: ScoreTable | None
    forest: str


@dataclass
class Scores:
    """All scores of one target."""

    target: str
    text: str
    outcome: str
    parts: list[PartScores]
    """Test before validation."""
    baselines: list[tuple[str, str]]
    """Name, and how it was tuned."""


def scores(target: str, entry: Mapping[str, Any]) -> Scores:
    """The tables and figures of one target of ``metrics.json``."""
    verdict = entry.get("verdict") or {}
    return Scores(
        target=target,
        text=verdict.get("text", ""),
        outcome=verdict.get("outcome") or "",
        parts=[_part(entry, part) for part in PARTS if entry.get("model", {}).get(part)],
        baselines=[(name, note) for name, found in entry.get("baselines", {}).items() if (note := _note(found))],
    )


def _part(entry: Mapping[str, Any], part: str) -> PartScores:
    model = entry["model"][part]
    names, title = list(model), f"{PARTS[part]}, {_size(model)}"
    rows = [_row("this model", names, model)]
    rows += [_row(name, names, found.get(part) or {}) for name, found in entry.get("baselines", {}).items()]
    paired = {name: found[part] for name, found in entry.get("differences", {}).items() if found.get(part)}
    differences = None
    if paired:
        held = [_row(f"model − {name}", names, cells) for name, cells in paired.items()]
        differences = ScoreTable(part, f"{PARTS[part]}: paired differences", names, held)
    return PartScores(title, ScoreTable(part, title, names, rows), differences, _forest(entry, part))


def smaller_is_better() -> set[str]:
    """Names of the metrics that are errors, looked up among all metrics."""
    modules = [import_module(f"{metrics.__name__}.{found.name}") for found in iter_modules(metrics.__path__)]
    every = [value for module in modules for value in vars(module).values() if isinstance(value, Metric)]
    return {metric.name for metric in every if not metric.greater_is_better}


def _row(name: str, names: list[str], cells: Mapping[str, Any]) -> Row:
    return Row(name, [Score(*interval(cells.get(metric))) for metric in names])


def _note(baseline: Mapping[str, Any]) -> str:
    """How the baseline was tuned and what went wrong, in a few words."""
    settings = _settings(baseline.get("settings") or {})
    took = baseline.get("seconds")
    seconds = f"{took:.1f} s" if took is not None and known(took) and took >= 0.05 else ""
    return "; ".join(part for part in (settings, seconds, str(baseline.get("note") or "")) if part)


def _settings(found: Mapping[str, Any]) -> str:
    """ "C 0.1", or for each fold "fold 1: C 0.1"; what needed no tuning says nothing."""
    if any(isinstance(value, Mapping) for value in found.values()):
        each = {name: _settings(value) for name, value in found.items() if isinstance(value, Mapping)}
        return "; ".join(f"{name}: {said}" for name, said in each.items() if said)
    return ", ".join(f"{name} {value}" for name, value in found.items())


def _size(cells: Mapping[str, Any]) -> str:
    first: Mapping[str, Any] = next(iter(cells.values()))
    rows = f"{count(first['n'])} rows" if first.get("n") is not None else "rows unknown"
    groups = first.get("n_groups")
    return f"{rows} in {count(groups)} groups" if groups and groups != first.get("n") else rows


def _forest(entry: Mapping[str, Any], part: str) -> str:
    primary = entry.get("primary", "")
    cells = {"this model": entry["model"][part].get(primary)}
    cells |= {name: (found.get(part) or {}).get(primary) for name, found in entry.get("baselines", {}).items()}
    rows = []
    for name, cell in cells.items():
        if cell and known(cell.get("value")):
            low, high = cell.get("low"), cell.get("high")
            rows.append((name, cell["value"], low if known(low) else None, high if known(high) else None))
    return forest(rows, primary) if rows and rows[0][0] == "this model" else ""
