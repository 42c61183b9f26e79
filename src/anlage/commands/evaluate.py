"""``anlage evaluate``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from anlage.commands.shared import parse, say


@dataclass(frozen=True)
class Evaluate:
    """Judge a bundle on new labelled rows: the same metrics, intervals and report as after fit."""

    run: Annotated[Path, Positional, arg(metavar="RUN")]
    """Folder of a bundle."""
    table: Annotated[str | None, Positional, arg(metavar="TABLE")] = None
    """Rows with their targets: same formats as for fit. Default: the test rows that `fit --no-test` left untouched."""
    out: Path | None = None
    """Folder for metrics.json and report.html."""


EXAMPLES = """\
anlage evaluate runs/loc other_hospital.csv --out runs/loc-elsewhere
anlage evaluate runs/loc
"""


def evaluate(words: Sequence[str]) -> None:
    """``anlage evaluate``."""
    command = parse(Evaluate, EXAMPLES, words)
    from anlage import api

    api.evaluate(command.run, command.table, out=command.out, say=say)
    if command.out is not None:
        print(f"report: {command.out / 'report.html'}")
