"""``anlage update``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from anlage.commands.shared import parse, resumable, say
from anlage.errors import AnlageError
from anlage.update_settings import UpdateDataSettings, UpdateSettings


@dataclass(frozen=True)
class _UpdateData(UpdateDataSettings):
    """The model, the new rows, and the old ones that are learned again beside them."""

    run: Annotated[str, Positional, arg(metavar="RUN")] = ""
    """Folder of a bundle of `anlage fit` or `anlage update`."""
    new: Annotated[str, Positional, arg(metavar="NEW")] = ""
    """New rows with their targets: same formats as for fit."""


@dataclass(frozen=True)
class Update(UpdateSettings):
    """Go on training a bundle on new labelled rows, beside replayed old ones; judged before and after on its old test
    rows and on test rows among the new. How it trains is as in the fit where nothing else is said."""

    data: _UpdateData = field(default_factory=_UpdateData)
    out: Path | None = None
    """Folder for the new bundle. Default: RUN with -updated behind it."""
    resume: Path | None = None
    """Go on with an interrupted update in this folder; its settings are those it began with."""
    overwrite: bool = False
    """Replace a bundle that is already in the folder."""


EXAMPLES = """\
anlage update runs/loc new.fasta --out runs/loc-2
anlage update runs/loc new.fasta --replay 3 --epochs 5 --drop-overlap --out runs/loc-2
anlage update runs/loc-2 newer.fasta --table archive/proteins.fasta archive/new.fasta --out runs/loc-3
anlage update --resume runs/loc-2
"""


def update(words: Sequence[str]) -> None:
    """``anlage update``."""
    command = parse(Update, EXAMPLES, words)
    from anlage import api

    if (folder := command.resume) is not None:
        again = {"resume": True, "overwrite": command.overwrite, "say": say}
        made = resumable(folder, lambda: api.update(out=folder, **again), "update")
    else:
        if not command.data.run or not command.data.new:
            raise AnlageError("which run and rows? For example: anlage update runs/loc new.csv --out runs/loc-2")
        run = api.load(command.data.run)
        command = parse(Update, EXAMPLES, words, Update(training=run.fit_settings.training))
        settings = UpdateSettings(UpdateDataSettings(**vars(command.data)), command.training)
        out = command.out or run.path.with_name(f"{run.path.name}-updated")
        start = {"out": out, "settings": settings, "overwrite": command.overwrite, "say": say}
        made = resumable(out, lambda: api.update(run, **start), "update")
    print(f"bundle: {made.path}\nreport: {made.report_path}")
