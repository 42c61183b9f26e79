"""``anlage predict``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from anlage.commands.shared import SHOWN, parse, say


@dataclass(frozen=True)
class Predict:
    """Predict the rows of a table: any rows, in any order, of any table that has the input columns."""

    run: Annotated[Path, Positional, arg(metavar="RUN")]
    """Folder of a bundle."""
    table: Annotated[str, Positional, arg(metavar="TABLE")]
    """The rows: same formats as for fit."""
    out: Annotated[Path | None, arg(aliases=["-o"])] = None
    """.csv, .tsv, .parquet or .jsonl; streams tables larger than memory. Default: the first rows on the screen."""


EXAMPLES = """\
anlage predict runs/loc new.fasta -o predictions.csv
anlage predict runs/loc new.parquet
"""


def predict(words: Sequence[str]) -> None:
    """``anlage predict``."""
    command = parse(Predict, EXAMPLES, words)
    from anlage import output

    if command.out is not None:
        output.check_suffix(command.out)
    from anlage import api

    run = api.load(command.run)
    if command.out is not None:
        rows = output.write_frames(run.predict_stream(command.table, say=say), command.out)
        say(f"{rows:,} rows: {command.out}")
        return
    predictions = next(run.predict_stream(command.table, rows=SHOWN, say=say))
    print(predictions.to_string())
    if len(predictions) == SHOWN:
        say(f"the first {SHOWN} rows; -o FILE writes all")
