"""``anlage fit``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from anlage.commands.shared import parse, resumable, say, top
from anlage.config import load_settings
from anlage.errors import AnlageError
from anlage.samples.settings import DataSettings
from anlage.settings import FitSettings


@dataclass(frozen=True)
class FitData(DataSettings):
    """The table, its targets and its inputs."""

    table: Annotated[str, Positional, arg(metavar="TABLE")] = ""
    """File or folder to learn from: CSV, TSV, Parquet, JSON lines, FASTA, .npz, or a folder of images."""


@dataclass(frozen=True)
class Fit(FitSettings):
    """Learn from a table: encoder, training, honest evaluation against plain baselines, bundle and report."""

    data: FitData = field(default_factory=FitData)
    out: Path | None = None
    """Folder for the bundle. Default: runs/<table>-<target>."""
    recipe: Path | None = None
    """A TOML file of settings; flags override it."""
    resume: Path | None = None
    """Go on with an interrupted fit in this folder; its settings are those it began with."""
    overwrite: bool = False
    """Replace a bundle that is already in the folder."""


EXAMPLES = """\
anlage fit proteins.fasta --target localisation --out runs/loc
anlage fit cohort.csv --target died --group patient --drop discharge_note --budget 10m
anlage fit variants.csv --target fitness --encoder lstm-small --epochs 30 --seed 1
anlage fit train.csv --valid dev.csv --test test.csv --target label
anlage fit --recipe recipes/deeploc.toml --out runs/deeploc
anlage fit --resume runs/loc
"""


def asked(words: Sequence[str]) -> Fit:
    """What was asked for: flags over the recipe over the defaults."""
    command = parse(Fit, EXAMPLES, words)
    if command.recipe is None:
        return command
    recipe = load_settings(command.recipe)
    return parse(Fit, EXAMPLES, words, Fit(**top(recipe) | {"data": FitData(**vars(recipe.data))}))


def fit(words: Sequence[str]) -> None:
    """``anlage fit``."""
    command = asked(words)
    settings = FitSettings(**top(command) | {"data": DataSettings(**vars(command.data))})
    from anlage import api

    if (folder := command.resume) is not None:
        run = resumable(folder, lambda: api.resume(folder, say=say))
    else:
        if not settings.data.table:
            raise AnlageError("which table? For example: anlage fit proteins.fasta --target localisation (TABLE first)")
        out = command.out or _default_out(settings)
        run = resumable(out, lambda: api.fit(out=out, settings=settings, overwrite=command.overwrite, say=say))
    print(f"bundle: {run.path}\nreport: {run.report_path}")


def _default_out(settings: FitSettings) -> Path:
    stem = Path(settings.data.table).name.split(".")[0]
    target = "-".join(name.split("=")[0] for name in settings.data.target)
    return Path("runs") / "-".join(part for part in (stem, target) if part)
