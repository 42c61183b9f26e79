"""``anlage inspect``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional, arg

from anlage.commands.shared import parse


@dataclass(frozen=True)
class Inspect:
    """Show rows, columns, modalities, lengths, missing values, labels, duplicates, conflicts and bad rows."""

    table: Annotated[str, Positional, arg(metavar="TABLE")]
    """File or folder: CSV, TSV, Parquet, JSON lines, FASTA, .npz, or a folder of images."""
    target: tuple[str, ...] = ()
    """Columns to predict: shows their labels, and equal inputs with conflicting ones."""
    column: tuple[str, ...] = ()
    """NAME=MODALITY[:setting=value,...] where the recognised modality is not the one you want."""
    id: str | None = None
    """The column of row ids."""
    json: bool = False
    """Print JSON, for programs."""


EXAMPLES = """\
anlage inspect cohort.csv --target died
anlage inspect proteins.fasta --json
"""


def inspect(words: Sequence[str]) -> None:
    """``anlage inspect``."""
    command = parse(Inspect, EXAMPLES, words)
    from anlage import api

    found = api.inspect(command.table, target=command.target, column=command.column, id=command.id)
    if command.json:
        print(json.dumps(found.to_json(), default=lambda number: number.item()))  # numpy's numbers
    else:
        from rich.console import Console

        Console().print(found.render())
