"""One command for a verb of :mod:`anlage.api`: parse, call, print.

Flags come from the settings dataclasses (their docstrings are the help) by tyro. Nothing heavy is imported before the
words are understood, so that help and mistakes in flags answer at once.
"""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any

import tyro
from tyro.conf import DisallowNone, FlagCreatePairsOff, OmitArgPrefixes, Positional, arg

from anlage import __version__
from anlage.config import load_settings
from anlage.corpus.settings import CorpusSettings
from anlage.embedding.settings import EmbedSettings
from anlage.errors import AnlageError
from anlage.pretrain_settings import PretrainSettings
from anlage.samples.settings import DataSettings
from anlage.settings import FitSettings

HELP = """\
anlage: bring a biomedical table, get a model that you can trust.

  anlage fit TABLE --target COLUMN --out RUN     learn, judge against plain baselines, pack into a bundle
  anlage predict RUN TABLE -o FILE               predictions for new rows
  anlage evaluate RUN TABLE                      judge a bundle on new labelled rows
  anlage embed SOURCE TABLE -o FILE              vectors of rows, or of their elements, from any encoder
  anlage search VECTORS QUERIES                  nearest neighbours among vectors
  anlage pretrain CORPUS --out ENCODER           train an encoder without labels, for fit --encoder ENCODER
  anlage inspect TABLE                           what is in a table, and what is wrong with it
  anlage demo                                    three small studies, no network, a few minutes

  anlage COMMAND --help explains the options of a command; anlage --version.

Start here:
  anlage inspect proteins.fasta
  anlage fit proteins.fasta --target localisation --out runs/loc
  anlage predict runs/loc new.fasta -o predictions.csv
"""


@dataclass(frozen=True)
class _Data(DataSettings):
    """The table, its targets and its inputs."""

    table: Annotated[str, Positional, arg(metavar="TABLE")] = ""
    """File or folder to learn from: CSV, TSV, Parquet, JSON lines, FASTA, .npz, or a folder of images."""


@dataclass(frozen=True)
class Fit(FitSettings):
    """Learn from a table: encoder, training, honest evaluation against plain baselines, bundle and report."""

    data: _Data = field(default_factory=_Data)
    out: Path | None = None
    """Folder for the bundle. Default: runs/<table>-<target>."""
    recipe: Path | None = None
    """A TOML file of settings; flags override it."""
    resume: Path | None = None
    """Go on with an interrupted fit in this folder; its settings are those it began with."""
    overwrite: bool = False
    """Replace a bundle that is already in the folder."""


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


@dataclass(frozen=True)
class Predict:
    """Predict the rows of a table: any rows, in any order, of any table that has the input columns."""

    run: Annotated[Path, Positional, arg(metavar="RUN")]
    """Folder of a bundle."""
    table: Annotated[str, Positional, arg(metavar="TABLE")]
    """The rows: same formats as for fit."""
    out: Annotated[Path | None, arg(aliases=["-o"])] = None
    """.csv, .tsv, .parquet or .jsonl; streams tables larger than memory. Default: the first rows on the screen."""


@dataclass(frozen=True)
class Evaluate:
    """Judge a bundle on new labelled rows: the same metrics, intervals and report as after fit."""

    run: Annotated[Path, Positional, arg(metavar="RUN")]
    """Folder of a bundle."""
    table: Annotated[str | None, Positional, arg(metavar="TABLE")] = None
    """Rows with their targets: same formats as for fit. Default: the test rows that `fit --no-test` left untouched."""
    out: Path | None = None
    """Folder for metrics.json and report.html."""


@dataclass(frozen=True, kw_only=True)
class Embed(EmbedSettings):
    """Turn a table of any size into vectors: one for each row, or for each of its residues, bases or patches.
    Interrupted, the same command goes on where it stopped. Rows that cannot be used are named and left out."""

    source: Annotated[str, Positional, arg(metavar="SOURCE")]
    """A bundle of `anlage fit` (all its inputs, fused) or `anlage pretrain`, a folder of a checkpoint in Hugging Face's
    format, or hf:ORG/NAME, which is fetched once."""
    table: Annotated[str, Positional, arg(metavar="TABLE")]
    """The rows: same formats as for fit."""
    out: Annotated[Path, arg(aliases=["-o"])]
    """.parquet (columns id and vector) or .h5 (datasets ids and vectors)."""
    overwrite: bool = False
    """Replace a file that is there, and the parts of another job."""


@dataclass(frozen=True)
class Search:
    """Find the nearest vectors by cosine, exactly, in files of `anlage embed` larger than memory."""

    vectors: Annotated[Path, Positional, arg(metavar="VECTORS")]
    """What to search: a file of vectors."""
    queries: Annotated[Path, Positional, arg(metavar="QUERIES")]
    """What to search for: a file of vectors from the same model."""
    k: Annotated[int, arg(aliases=["-k"])] = 10
    """Neighbours of each query."""
    out: Annotated[Path | None, arg(aliases=["-o"])] = None
    """.csv, .tsv, .parquet or .jsonl with the columns id (of the query), hit, rank and cosine. Default: the first rows
    on the screen."""


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


@dataclass(frozen=True)
class Demo:
    """Fit, judge and report three small studies: records, images and simulated DNA. No network."""

    out: Path = Path("runs/demo")
    """Folder for the three bundles."""
    overwrite: bool = False
    """Replace the bundles of an earlier demo."""


SHOWN = 20
"""Rows that `anlage predict` prints where no file is named."""

EXAMPLES = {
    Fit: """
        anlage fit proteins.fasta --target localisation --out runs/loc
        anlage fit cohort.csv --target died --group patient --drop discharge_note --budget 10m
        anlage fit variants.csv --target fitness --encoder lstm-small --epochs 30 --seed 1
        anlage fit train.csv --valid dev.csv --test test.csv --target label
        anlage fit --recipe recipes/deeploc.toml --out runs/deeploc
        anlage fit --resume runs/loc
        """,
    Pretrain: """
        anlage pretrain proteins.fasta --encoder transformer-small --budget 60m --out encoders/protein
        anlage pretrain proteins.fasta --exclude deeploc.csv:sequence --exclude-identity 0.3 --out encoders/protein
        anlage pretrain genomes.fasta --objective next_token --encoder transformer-medium --out encoders/dna
        anlage pretrain scans/ --objective masked_patches --encoder resnet-small --out encoders/scans
        anlage pretrain --resume encoders/protein
        anlage fit deeploc.csv --target location --encoder encoders/protein
        """,
    Predict: """
        anlage predict runs/loc new.fasta -o predictions.csv
        anlage predict runs/loc new.parquet
        """,
    Evaluate: """
        anlage evaluate runs/loc other_hospital.csv --out runs/loc-elsewhere
        anlage evaluate runs/loc
        """,
    Embed: """
        anlage embed runs/loc new.fasta -o vectors.parquet
        anlage embed hf:facebook/esm2_t6_8M_UR50D proteins.fasta -o vectors.h5 --precision bf16 --dtype float16
        anlage embed encoders/protein proteins.csv --level element -o residues.parquet
        anlage embed runs/loc proteins.csv -o vectors.parquet --map map.png --color location
        """,
    Search: """
        anlage search vectors.parquet queries.parquet -k 5 -o hits.csv
        """,
    Inspect: """
        anlage inspect cohort.csv --target died
        anlage inspect proteins.fasta --json
        """,
    Demo: """
        anlage demo --out runs/demo
        """,
}


def fit_command(words: Sequence[str]) -> Fit:
    """What was asked for: flags over the recipe over the defaults."""
    command = _parse(Fit, words)
    return command if command.recipe is None else _parse(Fit, words, _as_defaults(load_settings(command.recipe)))


def fit(words: Sequence[str]) -> None:
    """``anlage fit``."""
    command = fit_command(words)
    settings = FitSettings(**_top(command) | {"data": DataSettings(**vars(command.data))})
    from anlage import api

    if (folder := command.resume) is not None:
        run = _resumable(folder, lambda: api.resume(folder, say=_say))
    else:
        if not settings.data.table:
            raise AnlageError("which table? For example: anlage fit proteins.fasta --target localisation (TABLE first)")
        out = command.out or _default_out(settings)
        run = _resumable(out, lambda: api.fit(out=out, settings=settings, overwrite=command.overwrite, say=_say))
    print(f"bundle: {run.path}\nreport: {run.report_path}")


def pretrain_command(words: Sequence[str]) -> Pretrain:
    """What was asked for: flags over the recipe over the defaults."""
    command = _parse(Pretrain, words)
    if command.recipe is None:
        return command
    recipe = load_settings(command.recipe, PretrainSettings)
    return _parse(Pretrain, words, Pretrain(**_top(recipe, PretrainSettings) | {"data": _Corpus(**vars(recipe.data))}))


def pretrain(words: Sequence[str]) -> None:
    """``anlage pretrain``."""
    command = pretrain_command(words)
    settings = PretrainSettings(**_top(command, PretrainSettings) | {"data": CorpusSettings(**vars(command.data))})
    from anlage import api

    if (folder := command.resume) is not None:
        run = _resumable(folder, lambda: api.pretrain(out=folder, resume=True, say=_say), "pretrain")
    else:
        if not settings.data.corpus:
            raise AnlageError("which corpus? For example: anlage pretrain proteins.fasta --out encoders/protein")
        out = command.out or Path("encoders") / Path(settings.data.corpus).name.split(".")[0]
        start = {"out": out, "settings": settings, "overwrite": command.overwrite, "say": _say}
        run = _resumable(out, lambda: api.pretrain(**start), "pretrain")  # type: ignore[arg-type]
    print(f"bundle: {run.path}\nreport: {run.report_path}")
    print(f"use it: anlage fit TABLE --target COLUMN --encoder {run.path}")


def predict(words: Sequence[str]) -> None:
    """``anlage predict``."""
    command = _parse(Predict, words)
    from anlage import output

    if command.out is not None:
        output.check_suffix(command.out)
    from anlage import api

    run = api.load(command.run)
    if command.out is not None:
        rows = output.write_frames(run.predict_stream(command.table, say=_say), command.out)
        _say(f"{rows:,} rows: {command.out}")
        return
    predictions = next(run.predict_stream(command.table, rows=SHOWN, say=_say))
    print(predictions.to_string())
    if len(predictions) == SHOWN:
        _say(f"the first {SHOWN} rows; -o FILE writes all")


def evaluate(words: Sequence[str]) -> None:
    """``anlage evaluate``."""
    command = _parse(Evaluate, words)
    from anlage import api

    api.evaluate(command.run, command.table, out=command.out, say=_say)
    if command.out is not None:
        print(f"report: {command.out / 'report.html'}")


def embed(words: Sequence[str]) -> None:
    """``anlage embed``."""
    command = _parse(Embed, words)
    settings = EmbedSettings(**_top(command, EmbedSettings))
    from anlage import api

    try:
        api.embed(
            command.source, command.table, out=command.out, settings=settings, overwrite=command.overwrite, say=_say
        )
    except KeyboardInterrupt:
        _fail("interrupted. The same command goes on where it stopped", 130)
    print(f"vectors: {command.out}")


def search(words: Sequence[str]) -> None:
    """``anlage search``."""
    command = _parse(Search, words)
    from anlage import output

    if command.out is not None:
        output.check_suffix(command.out)
    from anlage.embedding.search import search_files

    hits = search_files(command.vectors, command.queries, command.k, _say)
    if command.out is not None:
        rows = output.write_frames(hits, command.out)
        _say(f"{rows:,} hits: {command.out}")
        return
    print(next(hits).head(SHOWN).to_string())
    _say("-o FILE writes all hits")


def inspect(words: Sequence[str]) -> None:
    """``anlage inspect``."""
    command = _parse(Inspect, words)
    from anlage import api

    found = api.inspect(command.table, target=command.target, column=command.column, id=command.id)
    if command.json:
        print(json.dumps(found.to_json(), default=lambda number: number.item()))  # numpy's numbers
    else:
        from rich.console import Console

        Console().print(found.render())


def demo(words: Sequence[str]) -> None:
    """``anlage demo``."""
    command = _parse(Demo, words)
    from anlage.demo import run_demo

    run_demo(command.out, overwrite=command.overwrite)


COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {
    "fit": fit,
    "predict": predict,
    "evaluate": evaluate,
    "pretrain": pretrain,
    "embed": embed,
    "search": search,
    "inspect": inspect,
    "demo": demo,
}


def main(words: Sequence[str] | None = None) -> None:
    """The entry point: exits with 0, 1 (a fault of anlage), 2 (something that the user can mend) or 130 (Ctrl-C)."""
    words = sys.argv[1:] if words is None else list(words)
    if not words or words[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        sys.exit(0 if words else 2)
    if words[0] in ("-V", "--version"):
        print(f"anlage {__version__}")
        sys.exit(0)
    try:
        if words[0] not in COMMANDS:
            raise AnlageError(f"unknown command {words[0]!r}: possible are {', '.join(COMMANDS)}")
        COMMANDS[words[0]](words[1:])
    except AnlageError as error:
        _fail(str(error), 2)
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except BrokenPipeError:  # `anlage inspect ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        if os.environ.get("ANLAGE_DEBUG") == "1":
            raise
        what = " ".join(str(error).split())[:300]
        _fail(f"internal error: {type(error).__name__}: {what}. Please report it; ANLAGE_DEBUG=1 shows where", 1)


def _fail(message: str, code: int) -> None:
    print("anlage: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(code)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _resumable(out: Path, call: Callable[[], Any], verb: str = "fit") -> Any:
    from anlage.api import RECIPE, TRAINING

    try:
        return call()
    except KeyboardInterrupt as error:
        what = str(error) or "interrupted"
        if (out / TRAINING / RECIPE).exists():
            what += f". Resume with: anlage {verb} --resume {out}"
        _fail(what, 130)


def _parse(command: Any, words: Sequence[str], default: Any = None) -> Any:
    # A recipe may have set either, so --flag and --no-flag are understood; help shows the one that changes something.
    brief = (FlagCreatePairsOff,) if {"-h", "--help"} & set(words) else ()
    examples = textwrap.indent(textwrap.dedent(EXAMPLES[command]).strip(), "  ")
    return tyro.cli(
        command,
        prog=f"anlage {command.__name__.lower()}",
        description=f"{command.__doc__}\n\nexamples:\n{examples}",
        args=list(words),
        **({} if default is None else {"default": default}),
        config=(OmitArgPrefixes, DisallowNone, *brief),
    )


def _as_defaults(recipe: FitSettings) -> Fit:
    return Fit(**_top(recipe) | {"data": _Data(**vars(recipe.data))})


def _top(settings: FitSettings | PretrainSettings, kind: type = FitSettings) -> dict[str, Any]:
    return {f.name: getattr(settings, f.name) for f in fields(kind)}


def _default_out(settings: FitSettings) -> Path:
    stem = Path(settings.data.table).name.split(".")[0]
    target = "-".join(name.split("=")[0] for name in settings.data.target)
    return Path("runs") / "-".join(part for part in (stem, target) if part)
