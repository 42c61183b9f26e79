"""What an audit finds: one sentence for each thing, the rows that it concerns, and what was looked for in vain."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from rich.console import Group

Severity = Literal["leak", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("leak", "warning", "note")
"""From the worst: the metric cannot be taken at its word; it may mislead; good to know."""
MOST_EXAMPLES = 1000
"""Rows of one finding that the table of examples holds at most."""


@dataclass
class Finding:
    """One thing that was found. Its text names columns, labels and numbers, never a row or what a row holds."""

    kind: str
    severity: Severity
    text: str
    count: int
    """Rows that it concerns (columns, where single columns are meant) …"""
    of: int
    """… of so many."""
    part: str
    effect: str
    """What it may do to the metric."""
    rows: np.ndarray = field(default_factory=lambda: np.arange(0))
    """Row numbers of the table, of the rows that it concerns; none where columns are meant."""
    others: np.ndarray | None = None
    """[len(rows)] the row of the table that each resembles or contradicts."""
    similarity: np.ndarray | None = None
    """[len(rows)] in the modality's unit."""
    without: dict[str, Any] | None = None
    """For each target the metric with and without these rows, once a model is judged: see ``remeasure``."""

    def to_json(self) -> dict[str, Any]:
        """What metrics.json keeps of it: no row."""
        names = ("kind", "severity", "text", "count", "of", "part", "effect", "without")
        return {name: getattr(self, name) for name in names}


@dataclass
class Audit:
    """All that was found in a plan. ``render`` shows it, ``to_json`` keeps it, ``examples`` names the rows."""

    ids: np.ndarray
    """[table rows]"""
    findings: list[Finding] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    """What was looked for and what came of it, in words."""
    skipped: list[dict[str, str]] = field(default_factory=list)
    """What was not looked for, and why: {"what", "why"}."""
    offending: dict[str, np.ndarray] = field(default_factory=dict)
    """For "test" and "valid" [table rows] bool: the rows that duplicates, near duplicates or straddling groups
    compromise."""

    def add(self, finding: Finding) -> None:
        """Keep the findings in order, the worst first."""
        self.findings.append(finding)
        self.findings.sort(key=lambda f: (SEVERITIES.index(f.severity), f.part != "test"))

    def compromise(self, part: str, rows: np.ndarray) -> None:
        """These rows of the table do not judge a model honestly."""
        self.offending.setdefault(part, np.zeros(len(self.ids), dtype=bool))[rows] = True

    def skip(self, what: str, why: str) -> None:
        """Say what was not looked for."""
        self.skipped.append({"what": what, "why": why})

    @property
    def worst(self) -> Finding | None:
        """The leak that concerns the most rows, if there is any."""
        leaks = [f for f in self.findings if f.severity == "leak"]
        return max(leaks, key=lambda f: (f.part == "test", f.count), default=None)

    @property
    def examples(self) -> pd.DataFrame:
        """The rows of the findings, for ``rows/audit.csv``: finding, part, id, other id, similarity."""
        columns = ["finding", "part", "id", "other id", "similarity"]
        return pd.DataFrame([row for f in self.findings for row in self._rows(f)], columns=columns)

    def _rows(self, finding: Finding) -> Iterator[tuple[Any, ...]]:
        for number, row in enumerate(finding.rows[:MOST_EXAMPLES]):
            other = -1 if finding.others is None else finding.others[number]
            near = np.nan if finding.similarity is None else finding.similarity[number]
            named = None if other < 0 else self.ids[other]
            yield finding.kind, finding.part, self.ids[row], named, None if np.isnan(near) else round(float(near), 4)

    def lines(self) -> list[str]:
        """A line for each leak and warning, and one for the rest."""
        told = [f"{f.severity.upper()}: {f.text}" for f in self.findings if f.severity != "note"]
        rest = len(self.findings) - len(told)
        worst = "no leak found" if self.worst is None else "see above"
        return [*told, f"audit: {worst}; {len(told)} warnings or leaks, {rest} notes"]

    def to_json(self) -> dict[str, Any]:
        """The entry ``audit`` of metrics.json."""
        found = [finding.to_json() for finding in self.findings]
        return {"findings": found, "checked": list(self.checked), "skipped": list(self.skipped)}

    def render(self) -> "Group":
        """For a terminal: the worst first, then what was clean, then what was not looked for."""
        from anlage.auditing.view import render

        return render(self)


def share(count: int, of: int) -> str:
    """ "26 of 12,851 (0.2 %)"."""
    percent = 100 * count / max(1, of)
    shown = "<0.1" if 0 < percent < 0.05 else ">99.9" if 99.95 <= percent < 100 else f"{percent:.1f}"
    return f"{count:,} of {of:,} ({shown} %)"
