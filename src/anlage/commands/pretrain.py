"""``anlage pretrain``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from anlage.commands.shared import parse, resumable, say, top
from anlage.config import load_settings
from anlage.corpus.settings import CorpusSettings
from anlage.errors import AnlageError
from anlage.pretrain_settings import PretrainSettings


@dataclass(frozen=True)
class _Corpus(CorpusSettings):
    """The corpus, and what must not be in it."""

    corpus: Annotated[str, Positional, arg(metavar="CORPUS")] = ""
    """File or folder of unlabelled rows: FASTA, CSV, TSV, Parquet, JSON lines, .npz, or a folder of images."""


@dataclass(frozen=True)
class Pretrain(PretrainSettings):
    """Train an encoder without labels, for `anlage fit --encoder`; judged on held-out rows against plain baselines."""

    data: _Corpus = field(default_factory=_Corpus)
    out: Path | None = None
    """Folder for the bundle. Default: encoders/<corpus>."""
    recipe: Path | None = None
    """A TOML file of settings; flags override it."""
    resume: Path | None = None
    """Go on with an interrupted pretraining in this folder; its settings are those it began with."""
    overwrite: bool = False
    """Replace a bundle that is already in the folder."""


EXAMPLES = """\
anlage pretrain proteins.fasta --encoder transformer-small --budget 60m --out encoders/protein
anlage pretrain proteins.fasta --exclude deeploc.csv:sequence --exclude-identity 0.3 --out encoders/protein
anlage pretrain genomes.fasta --objective next_token --encoder transformer-medium --out encoders/dna
anlage pretrain scans/ --objective masked_patches --encoder resnet-small --out encoders/scans
anlage pretrain --resume encoders/protein
anlage fit deeploc.csv --target location --encoder encoders/protein
"""


def asked(words: Sequence[str]) -> Pretrain:
    """What was asked for: flags over the recipe over the defaults."""
    command = parse(Pretrain, EXAMPLES, words)
    if command.recipe is None:
        return command
    recipe = load_settings(command.recipe, PretrainSettings)
    return parse(
        Pretrain, EXAMPLES, words, Pretrain(**top(recipe, PretrainSettings) | {"data": _Corpus(**vars(recipe.data))})
    )


def pretrain(words: Sequence[str]) -> None:
    """``anlage pretrain``."""
    command = asked(words)
    settings = PretrainSettings(**top(command, PretrainSettings) | {"data": CorpusSettings(**vars(command.data))})
    from anlage import api

    if (folder := command.resume) is not None:
        run = resumable(folder, lambda: api.pretrain(out=folder, resume=True, say=say), "pretrain")
    else:
        if not settings.data.corpus:
            raise AnlageError("which corpus? For example: anlage pretrain proteins.fasta --out encoders/protein")
        out = command.out or Path("encoders") / Path(settings.data.corpus).name.split(".")[0]
        start = {"out": out, "settings": settings, "overwrite": command.overwrite, "say": say}
        run = resumable(out, lambda: api.pretrain(**start), "pretrain")  # type: ignore[arg-type]
    print(f"bundle: {run.path}\nreport: {run.report_path}")
    print(f"use it: anlage fit TABLE --target COLUMN --encoder {run.path}")
