"""The folder of a run that is being trained: who may write there, what it is told, and how it becomes a bundle."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from anlage.bundle.contents import Contents
from anlage.bundle.numbers import interval, number
from anlage.bundle.read import is_bundle
from anlage.bundle.write import write
from anlage.config import save_settings
from anlage.errors import AnlageError
from anlage.pretrain_settings import PretrainSettings
from anlage.report.distillation import lines as distilled_lines
from anlage.settings import FitSettings
from anlage.training.devices import leads, wait_for_others
from anlage.update_settings import UpdateSettings

TRAINING = "training"
RECIPE = "recipe.toml"
Say = Callable[[str], None]


def begin(
    folder: Path, settings: FitSettings | PretrainSettings | UpdateSettings, overwrite: bool, resume: bool
) -> None:
    """Make sure that ``folder`` may be written, and keep the settings there for ``--resume``. Of several processes one
    does it."""
    if leads():
        _claim(folder, overwrite, resume)
        if not (resume and (folder / TRAINING / RECIPE).exists()):
            save_settings(settings, folder / TRAINING / RECIPE)


def finish(
    folder: Path,
    contents: Contents,
    rows: Mapping[str, pd.DataFrame],
    pages: Mapping[str, str | bytes],
    overwrite: bool,
    say: Say,
) -> None:
    """Write the bundle, say its verdict and metrics, and take the checkpoints away that it makes useless."""
    write(folder, contents, rows, pages, overwrite)
    for line in lines(contents.metrics):
        say(line)
    for checkpoint in (folder / TRAINING).rglob("checkpoint.safetensors"):
        checkpoint.unlink()
    wait_for_others()


def lines(metrics: dict[str, Any]) -> list[str]:
    """The verdict and the metrics as lines for the terminal."""
    shown = [metrics["verdict"]]
    for target, entry in metrics["targets"].items():
        part = "test" if "test" in entry["model"] else "valid"
        for name, row in {"model": entry["model"], **entry["baselines"]}.items():
            values = "  ".join(f"{metric} {' '.join(interval(m))}" for metric, m in list(row.get(part, {}).items())[:4])
            shown.append(f"{target} {part} {name}: {values}")
    shown += seeds_lines(metrics.get("seeds"))
    return shown + (distilled_lines(metrics["distillation"]) if metrics.get("distillation") else [])


def seeds_lines(seeds: dict[str, Any] | None) -> list[str]:
    """The deciding metric of each target over seeds."""
    lines = []
    for target, of in (seeds["targets"] if seeds else {}).items():
        values = ", ".join(number(value) for value in of["values"])
        spread = f"{number(of['mean'])} ± {number(of['sd'])}"
        lines.append(f"{target} over {len(of['values'])} seeds: {of['metric']} {spread} ({values})")
    return lines


def _claim(folder: Path, overwrite: bool, resume: bool) -> None:
    """Never over a bundle or an unfinished fit unless told to."""
    training = folder / TRAINING
    if is_bundle(folder) and not overwrite:
        raise AnlageError(f"{folder} already holds a bundle: name another --out, or say --overwrite")
    started = any(training.rglob("checkpoint.safetensors")) if training.exists() else False
    if started and not (overwrite or resume):
        raise AnlageError(f"{folder} holds an unfinished fit: go on with --resume {folder}, or say --overwrite")
    if overwrite and not resume:
        shutil.rmtree(training, ignore_errors=True)
    try:
        training.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AnlageError(f"{folder}: cannot be written ({error.strerror})") from error
