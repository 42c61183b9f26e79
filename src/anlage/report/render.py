"""A view → one HTML page that needs nothing else: no script, no network, no font but the reader's own."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

from markupsafe import Markup

from anlage.bundle.limits import limits
from anlage.bundle.numbers import count, number
from anlage.errors import Problem
from anlage.report.distillation import distillation_table
from anlage.report.distillation import outcome as distilled
from anlage.report.judged import judged
from anlage.report.ladder import ladder_table, outcome
from anlage.report.progress import learning_curves
from anlage.report.scores import scores, smaller_is_better
from anlage.report.templates import environment
from anlage.report.tripod import checklist
from anlage.report.trust import trust
from anlage.report.update import update_tables
from anlage.report.view import ReportView, SplitView

_LABELS_SHOWN = 25
_PROBLEMS_SHOWN = 30


def render(view: ReportView) -> str:
    """The report as HTML. Rows of the data (ids, values) appear only where ``view.show_rows`` says so."""
    targets = view.metrics.get("targets", {})
    scored = [scores(name, entry) for name, entry in targets.items()]
    primary = {name: entry.get("primary", "") for name, entry in targets.items()}
    adaptation = view.metrics.get("adaptation")
    distillation = view.metrics.get("distillation")
    shared = dict(
        view=view,
        metrics=view.metrics,
        scored=scored,
        outcome=scored[0].outcome if len(scored) == 1 else "",
        trust=trust(view.metrics),
        limits=limits(view.metrics, view.pretrained) if targets else [],
        tripod=checklist(view) if targets and not view.pretrained else None,
        sources=[PurePath(str(source)).name for source in view.provenance.get("sources", [])],
        hashes=_hashes(view),
        ladder=ladder_table(adaptation) if adaptation else None,
        ladder_outcome=outcome(adaptation).capitalize() if adaptation else "",
        updated=update_tables(view.metrics["update"]) if "update" in view.metrics else [],
        pupil=distillation_table(distillation) if distillation else None,
        pupil_outcome=distilled(distillation) if distillation else "",
        targets=[judged(target, view.show_rows) for target in view.targets],
        curves=learning_curves(view.history, primary),
        labels=_label_tables(view.split),
        smaller=smaller_is_better(),
        problems=_problems(view.problems, view.show_rows),
        settings=json.dumps(view.settings, indent=2, ensure_ascii=False, default=str) if view.settings else "",
        facts=_facts(view),
    )
    body = environment().get_template("body.html.jinja").render(shared)
    headings = re.findall(r'<h2 id="([^"]+)">(.*?)</h2>', body)
    contents = [(anchor, Markup(title)) for anchor, title in headings]
    return environment().get_template("report.html.jinja").render(shared, body=Markup(body), contents=contents)


def _label_tables(split: SplitView | None) -> list[dict[str, Any]]:
    """For each target how its labels (or its quantiles) are spread over the parts."""
    if split is None:
        return []
    parts, tables = list(split.rows), []
    for target, labels in split.labels.items():
        ordered = sorted(labels.items(), key=lambda entry: -sum(entry[1].values()))
        rows = [(label, [count(found.get(part, 0)) for part in parts]) for label, found in ordered[:_LABELS_SHOWN]]
        rest = len(ordered) - len(rows)
        tables.append({"target": target, "rows": rows, "rest": f"and {count(rest)} rarer labels" if rest else ""})
    for target, found in split.quantiles.items():
        names = list(dict.fromkeys(name for part in parts for name in found.get(part, {})))
        rows = [(name, [number(found.get(part, {}).get(name)) for part in parts]) for name in names]
        tables.append({"target": target, "rows": rows, "rest": ""})
    return tables


def _problems(problems: Iterable[Problem], show_rows: bool) -> list[tuple[str, str, str, str]]:
    """(column, reason, how many, what became of them). Without ``show_rows`` quoted values and numbers are hidden,
    since they stand in rows; this also brings equal reasons together."""
    counted: Counter[tuple[str, str, str]] = Counter()
    for problem in problems:
        reason = problem.reason if show_rows else re.sub(r"\d+", "#", re.sub(r"(['\"`]).*?\1", "“…”", problem.reason))
        if show_rows and problem.id is not None:
            reason = f"{reason} (row {problem.id})"
        counted[problem.column, reason, "row left out" if problem.fatal else "mended or read as missing"] += 1
    ordered = counted.most_common()
    rows = [(column, reason, count(n), fate) for (column, reason, fate), n in ordered[:_PROBLEMS_SHOWN]]
    rest = sum(n for _, n in ordered[_PROBLEMS_SHOWN:])
    return [*rows, ("…", "further problems", count(rest), "")] if rest else rows


def _facts(view: ReportView) -> list[tuple[str, str]]:
    """What pins the run down beside its data: versions, seed, steps."""
    provenance, metrics = view.provenance, view.metrics
    found: dict[str, Any] = {
        "made on": provenance.get("created"),
        "anlage": provenance.get("anlage"),
        **_mapping(provenance.get("versions")),
        "seed": metrics.get("seed", provenance.get("seed")),
        **_mapping(metrics.get("training")),
    }
    return [(name.replace("_", " "), _fact(value)) for name, value in found.items() if value is not None]


def _hashes(view: ReportView) -> list[tuple[str, str]]:
    """Of the data and of the split: what was learned from and judged on."""
    provenance, metrics = view.provenance, view.metrics
    found = {
        "data hash": metrics.get("data_hash", provenance.get("data_hash")),
        "split hash": view.split.hash if view.split else metrics.get("split_hash", provenance.get("split_hash")),
    }
    return [(name, str(value)) for name, value in found.items() if value is not None]


def _fact(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return count(value)
    return str(value) if isinstance(value, str | bool) else json.dumps(value, ensure_ascii=False, default=str)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
