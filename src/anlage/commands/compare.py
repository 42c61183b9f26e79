"""``anlage compare``."""

from __future__ import annotations

import json as to_json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from anlage.commands.shared import parse, say, write_text


@dataclass(frozen=True)
class Compare:
    """Which run is better on the same rows: paired differences with intervals, adjusted for the number of pairs."""

    runs: Annotated[tuple[Path, ...], Positional, arg(metavar="RUN1 RUN2 ...")]
    """Two or more folders of runs that were fitted to the same table and split."""
    metric: str | None = None
    """The metric to compare by. Default: the one that decided the runs."""
    common: bool = False
    """Where splits differ: compare on the rows that all runs were judged on."""
    out: Annotated[Path | None, arg(aliases=["-o"])] = None
    """Write the comparison to this HTML file."""
    json: Path | None = None
    """Write the comparison to this JSON file."""


EXAMPLES = """\
anlage compare runs/plain runs/pretrained
anlage compare runs/a runs/b runs/c --metric auroc -o compare.html --json compare.json
"""


def compare(words: Sequence[str]) -> None:
    """``anlage compare``."""
    command = parse(Compare, EXAMPLES, words)
    from anlage import comparing

    found = comparing.compare(command.runs, command.metric, command.common, say)
    from rich.console import Console

    Console().print(found.render())
    for path, text in ((command.out, found.html()), (command.json, to_json.dumps(found.to_json(), indent=1) + "\n")):
        if path is not None:
            write_text(path, text)
            say(f"comparison: {path}")
