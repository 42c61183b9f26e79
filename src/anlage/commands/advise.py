"""``anlage advise``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from anlage.commands.fit import FitData
from anlage.commands.shared import parse, say, top
from anlage.errors import AnlageError
from anlage.samples.settings import DataSettings
from anlage.settings import FitSettings


@dataclass(frozen=True)
class Advise(FitSettings):
    """Recommend encoder, size, adaptation and batches for a table, each with its reason, time them on this machine, and
    print the command to run. Takes any option of `anlage fit`: what you set stays, the rest is advised."""

    data: FitData = field(default_factory=FitData)
    json: bool = False
    """Print JSON, for programs."""


EXAMPLES = """\
anlage advise proteins.fasta --target localisation
anlage advise proteins.fasta --target localisation --encoder encoders/protein
anlage advise cohort.csv --target died --group patient --json
"""


def advise(words: Sequence[str]) -> None:
    """``anlage advise``."""
    command = parse(Advise, EXAMPLES, words)
    settings = FitSettings(**top(command) | {"data": DataSettings(**vars(command.data))})
    if not settings.data.table:
        raise AnlageError("which table? For example: anlage advise proteins.fasta --target localisation (TABLE first)")
    from anlage import api

    advice = api.advise(settings.data.table, settings=settings, say=say)
    print(json.dumps(advice.to_json(), default=lambda number: number.item()) if command.json else advice)  # numpy's
