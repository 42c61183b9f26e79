"""The lines of the model card that say how far its numbers can be trusted: audit, calibration, conformal coverage,
thresholds, subgroups, novelty, seeds. What was not measured has no line."""

from collections.abc import Iterator, Mapping
from typing import Any

from anlage.bundle.markdown import plain
from anlage.bundle.numbers import count, interval, known, number

_PARTS = {"test": "test", "valid": "validation"}
_GOALS = 6
"""Thresholds that are listed for a target."""


def trust_lines(metrics: Mapping[str, Any]) -> list[str]:
    """Markdown list items; it shows no row of the data."""
    lines = [*_audit(metrics.get("audit") or {})]
    for target, entry in metrics.get("targets", {}).items():
        name = f"`{plain(target)}`"
        lines += [f"{name}: {line}" for line in _calibration(entry.get("calibration") or {})]
        lines += [f"{name}: {line}" for line in _conformal(entry.get("conformal") or {}, entry.get("task", ""))]
        lines += [f"{name}: {line}" for line in _thresholds(entry.get("thresholds") or [])]
        lines += [f"{name}: {line}" for line in _subgroups(entry.get("subgroups") or {})]
    lines += [*_novelty(metrics.get("novelty") or {}), *_seeds(metrics.get("seeds") or {})]
    return [f"- {line}" for line in lines]


def _audit(audit: Mapping[str, Any]) -> Iterator[str]:
    if audit and not audit["findings"]:
        yield "the audit found nothing; it looked for " + plain(", ".join(audit["checked"]))
    for severity in ("leak", "warning", "note"):
        for found in (one for one in audit.get("findings", []) if one["severity"] == severity):
            effect = f"; {plain(found['effect'])}" if found["effect"] else ""
            rows = f"{count(found['count'])} of {count(found['of'])}"
            yield f"{severity}: {plain(found['text'])} ({rows}){effect}"
            for target, again in (found["without"] or {}).items():
                metric = f"`{plain(target)}` has {plain(again['metric'].replace('_', ' '))}"
                yield f"without these rows {metric} {_said(again['without'])}, with them {_said(again['all'])}"


def _calibration(found: Mapping[str, Any]) -> Iterator[str]:
    if not found:
        return
    how = "probabilities are as the model gives them"
    if found["method"] != "none":
        how = f"probabilities are calibrated by {plain(found['method'])} on {count(found['rows'])} validation rows"
    for part in _measured(found):
        cells = found["parts"][part]
        before = f", before {_said(cells['ece_before'])}" if cells.get("ece_before") else ""
        yield f"{how}; expected calibration error {_said(cells['ece'])} on {_PARTS[part]} rows{before}"
        return
    yield how


def _conformal(found: Mapping[str, Any], task: str) -> Iterator[str]:
    for part in _measured(found):
        cells = found["parts"][part]
        regression = task == "regression"
        what, size = ("intervals", "median width") if regression else ("sets", "mean number of labels")
        asked, held = number(found["coverage"]), _said(cells["held"])
        yield (
            f"prediction {what} that shall hold {asked} of the rows hold {held} of the {_PARTS[part]} rows; "
            f"{size} {number(cells['size'])}"
        )
        return


def _thresholds(goals: list[Mapping[str, Any]]) -> Iterator[str]:
    for goal in goals[:_GOALS]:
        label = f" of {plain(goal['label'])}" if goal["label"] not in (None, "") else ""
        asked = plain(str(goal["goal"]).removeprefix(f"{goal['label']}:")) + label
        if not known(goal["threshold"]):
            yield f"no threshold for {asked}: {plain(goal['why'])}"
            continue
        said = ""
        for part in _measured(goal):
            cells = goal["parts"][part]
            named = [f"{name} {_said(cells[name])}" for name in ("sensitivity", "specificity", "precision")]
            said = f"; on {_PARTS[part]} rows {', '.join(named)}"
            break
        yield f"threshold {number(goal['threshold'])} for {asked}{said}"


def _subgroups(found: Mapping[str, Any]) -> Iterator[str]:
    for column, entry in (found.get("columns") or {}).items():
        gap = entry["gap"]
        by = f"{plain(found['metric'].replace('_', ' '))} by {plain(column)}"
        small = sum(bool(level["small"]) for level in entry["levels"])
        left = f"; {count(small)} of {count(len(entry['levels']))} groups are too small to judge" if small else ""
        told = "the gap cannot be told"
        if gap:
            told = f"gap {_said(gap)}, best {plain(gap['best'])}, worst {plain(gap['worst'])}"
        yield f"{by}: {told}{left}"


def _novelty(found: Mapping[str, Any]) -> Iterator[str]:
    for part in _measured(found):
        cells = found["parts"][part]
        rows = f"{count(cells['flagged'])} of {count(cells['of'])} {_PARTS[part]} rows"
        yield f"rows unlike the training rows are flagged ({plain(found['method'])}): {rows}"
        return


def _seeds(found: Mapping[str, Any]) -> Iterator[str]:
    for target, cells in (found.get("targets") or {}).items():
        mean, spread = number(cells["mean"]), number(cells["sd"])
        metric = plain(cells["metric"].replace("_", " "))
        yield f"`{plain(target)}`: {metric} {mean} over {len(found['seeds'])} seeds, standard deviation {spread}"


def _measured(found: Mapping[str, Any]) -> list[str]:
    """Parts with numbers, the test part first."""
    return [part for part in _PARTS if (found.get("parts") or {}).get(part)]


def _said(cell: Mapping[str, Any] | None) -> str:
    return " ".join(interval(cell)).strip()
