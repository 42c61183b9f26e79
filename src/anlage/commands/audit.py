"""``anlage audit``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from anlage.commands.fit import FitData
from anlage.commands.shared import parse, say, write_text
from anlage.errors import AnlageError
from anlage.samples.settings import DataSettings
from anlage.settings import FitSettings
from anlage.splits.settings import SplitSettings


@dataclass(frozen=True)
class Audit:
    """Look for what could make a metric untrue before anything is trained: rows on both sides of the split, equal or
    near, contradicting labels, groups that straddle, columns that say the target by themselves, labels that shift."""

    data: FitData = field(default_factory=FitData)
    split: SplitSettings = field(default_factory=SplitSettings)
    seed: int = 0
    """A split that is drawn follows from it, as in `anlage fit`."""
    json: Path | None = None
    """Write the findings to this file as JSON, without any row. - for the screen, in place of the table."""
    rows: Path | None = None
    """Write the rows of the findings to this CSV file: finding, part, id, other id, similarity."""


EXAMPLES = """\
anlage audit proteins.fasta --target localisation
anlage audit cohort.csv --target died --group patient_id --rows leaks.csv
anlage audit train.csv --test test.csv --target label --json audit.json
"""


def audit(words: Sequence[str]) -> None:
    """``anlage audit``."""
    command = parse(Audit, EXAMPLES, words)
    data = DataSettings(**vars(command.data))
    if not data.table:
        raise AnlageError("which table? For example: anlage audit proteins.fasta --target localisation (TABLE first)")
    from anlage import planning
    from anlage.auditing.audit import audit as look
    from anlage.auditing.settle import settle

    split = replace(command.split, ungrouped=True)  # what a fit would refuse, an audit shows
    plan = planning.plan(data.table, FitSettings(data=data, split=split, seed=command.seed), say, labelled=False)
    found = look(plan, say)
    if command.rows is not None:
        write_text(command.rows, found.examples.to_csv(index=False))
        say(f"the rows of the findings: {command.rows}")
    text = json.dumps(found.to_json(), indent=1)
    if str(command.json) == "-":
        print(text)
    else:
        if command.json is not None:
            write_text(command.json, text + "\n")
        from rich.console import Console

        Console().print(found.render())
    settle(plan, found, command.split.on_leak, say)  # fix: says how many rows a fit would leave out
