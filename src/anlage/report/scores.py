"""``metrics.json`` → the tables of scores of the page: what is printed is what the file says."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from anlage.bundle.numbers import count, interval, known
from anlage.report.figures import forest

PARTS = {"test": "Test", "valid": "Validation"}


@dataclass
class Score:
    """One cell: a number and its interval, and where they stand in ``metrics.json``."""

    metric: str
    value: str
    range: str


@dataclass
class Row:
    """One line of a table of scores."""

    name: str
    scores: list[Score]


@dataclass
class ScoreTable:
    """The scores of one part: the model first, then each baseline."""

    part: str
    title: str
    metrics: list[str]
    rows: list[Row]


@dataclass
class Scores:
    """All scores of one target."""

    target: str
    task: str
    text: str
    outcome: str
    tables: list[ScoreTable]
    differences: list[ScoreTable]
    baselines: list[tuple[str, str]]
    """Name, and how it was tuned."""
    forest: str


def scores(target: str, entry: Mapping[str, Any]) -> Scores:
    """The tables and the figure of one target of ``metrics.json``."""
    verdict = entry.get("verdict") or {}
    model, baselines = entry.get("model", {}), entry.get("baselines", {})
    parts = [part for part in PARTS if model.get(part)]
    tables = []
    for part in parts:
        metrics = list(model[part])
        rows = [_row("this model", metrics, model[part])]
        rows += [_row(name, metrics, found.get(part) or {}) for name, found in baselines.items()]
        tables.append(ScoreTable(part, f"{PARTS[part]}, {_size(model[part])}", metrics, rows))
    differences = []
    for part in parts:
        found = {name: each[part] for name, each in entry.get("differences", {}).items() if each.get(part)}
        if found:
            metrics = list(model[part])
            rows = [_row(f"model − {name}", metrics, cells) for name, cells in found.items()]
            differences.append(ScoreTable(part, f"{PARTS[part]}: paired differences", metrics, rows))
    return Scores(
        target=target,
        task=entry.get("task", ""),
        text=verdict.get("text", ""),
        outcome=verdict.get("outcome", ""),
        tables=tables,
        differences=differences,
        baselines=[(name, note) for name, found in baselines.items() if (note := _note(found))],
        forest=_forest(entry, parts[0]) if parts else "",
    )


def _row(name: str, metrics: list[str], cells: Mapping[str, Any]) -> Row:
    return Row(name, [Score(metric, *interval(cells.get(metric))) for metric in metrics])


def _note(baseline: Mapping[str, Any]) -> str:
    """How the baseline was tuned and what went wrong, in a few words."""
    settings = ", ".join(f"{name} {value}" for name, value in (baseline.get("settings") or {}).items())
    seconds = f"{baseline['seconds']:.1f} s" if known(baseline.get("seconds")) else ""
    return "; ".join(part for part in (settings, seconds, str(baseline.get("note") or "")) if part)


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
