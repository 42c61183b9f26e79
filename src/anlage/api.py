"""The verbs: fit, resume, pretrain, update, load, inspect, evaluate. Each is a page of straight calls."""

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from anlage import fitting, measuring, planning, pretraining, summary
from anlage.auditing.settle import settled
from anlage.bundle.card import model_card
from anlage.bundle.contents import CARD, REPORT, Contents
from anlage.bundle.read import is_bundle
from anlage.config import load_settings, merge, to_dict
from anlage.embedding.settings import EmbedSettings
from anlage.encoders import lookup as encoders
from anlage.errors import AnlageError
from anlage.evaluation.novelty import NOVELTY
from anlage.pretrain_settings import PretrainSettings
from anlage.report.render import render
from anlage.run import Run, tell_problems
from anlage.run_folder import RECIPE, TRAINING, begin, finish, lines
from anlage.settings import FitSettings
from anlage.shapes import shape_to_json
from anlage.splits.inspect import Inspection
from anlage.training.devices import leads, processes, wait_for_others
from anlage.update_settings import UpdateSettings

if TYPE_CHECKING:
    from anlage.advising.advice import Advice

__all__ = ["Run", "advise", "embed", "evaluate", "fit", "inspect", "load", "pretrain", "resume", "search", "update"]

Say = Callable[[str], None]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _silent(line: str) -> None:
    """What a process says that does not lead."""


def fit(
    table: str | Path | pd.DataFrame | None = None,
    *,
    out: str | Path | None = None,
    settings: FitSettings | None = None,
    overwrite: bool = False,
    resume: bool = False,
    encoder: str | Sequence[str] | type | None = None,
    say: Say = _say,
    **options: Any,
) -> Run:
    """Fit a model to ``table``, judge it against plain baselines on the same split, and write a bundle to ``out``.

    ``table``: a file, a folder of images, or a DataFrame. ``options``: any setting by its name (``target="y"``,
    ``epochs=5``, ``seed=1``; `anlage fit --help` lists them); they override ``settings``. ``encoder``: names as on the
    command line, or your own nn.Module class (see :class:`anlage.Encoder`). ``resume``: go on with an interrupted fit
    in ``out``. Raises AnlageError, with one clear line, for whatever cannot be read, learned or written.
    """
    settings = settings or FitSettings()
    own = encoder if isinstance(encoder, type) else None
    if encoder is not None and own is None:
        options["encoder"] = encoder
    if isinstance(table, str | Path):
        options["table"] = str(table)
    settings = merge(settings, options)
    source = table if isinstance(table, pd.DataFrame) else settings.data.table
    if isinstance(source, str) and not source:
        raise AnlageError("name the table to learn from: anlage fit TABLE --target COLUMN")
    folder = Path(out) if out else Path(tempfile.mkdtemp(prefix="anlage-"))
    if resume and is_bundle(folder):
        say(f"{folder} is finished already")
        return Run(folder, own)
    if processes() > 1 and not out:
        raise AnlageError("several processes need one place to write to: name it with --out")
    say = say if leads() else _silent
    plan = planning.plan(source, settings, say)
    tell_problems(plan.problems, say)
    fitting.check(plan)
    plan, audited = settled(plan, say)
    begin(folder, settings, overwrite, resume)

    trained = fitting.train(plan, folder / TRAINING, say, sys.stderr.isatty(), own)
    others = {}
    for seed in range(settings.seed + 1, settings.seed + settings.seeds):
        say(f"seed {seed}: the same rows, other random numbers")
        same = replace(plan, settings=replace(settings, seed=seed))
        others[seed] = fitting.train(same, folder / TRAINING / f"seed-{seed}", say, sys.stderr.isatty(), own)
    if not leads():  # the others helped to train; one judges and writes
        wait_for_others()
        return Run(folder, own)
    judged = trained[:-1] if len(trained) > 1 else trained
    metrics, rows = measuring.judge(plan, trained, judged, audited, say)
    if others:
        metrics["seeds"] = measuring.over_seeds(plan, metrics, others)
    named = ", ".join(task.target for task in plan.preparation.tasks)
    title = f"{', '.join(Path(source).name for source in plan.samples.sources)} → {named}"
    view = summary.report_view(plan, judged, metrics, rows, title)
    last = trained[-1]
    preparation = last.preparation.to_json()
    for item, fitted in zip(preparation["inputs"], last.preparation.inputs, strict=True):
        item["shape"] = shape_to_json(fitted.modality.shape)
        chosen = last.encoders[item["name"]]
        item["encoder"] = encoders.to_json(chosen.settings)
        if chosen.foundation is not None:
            item["pretrained"] = {"source": chosen.foundation.source, "sha256": chosen.foundation.digest}
    contents = Contents(
        settings=to_dict(settings),
        inputs=preparation["inputs"],
        targets=preparation["targets"],
        provenance=summary.provenance(plan),
        metrics=metrics,
        history=last.progress.history,
        weights=last.model.state_dict(),
        trust=last.safeguards.to_json(),
    )
    pages: dict[str, str | bytes] = {REPORT: render(view), CARD: model_card(title, contents)}
    if last.safeguards.novelty is not None:
        pages[NOVELTY] = last.safeguards.novelty.to_bytes()
    tables = summary.row_tables(plan, judged)
    if audited is not None:
        tables["audit.csv"] = audited.examples.set_index("id")
    finish(folder, contents, tables, pages, overwrite, say)
    return Run(folder, own)


def resume(out: str | Path, *, table: pd.DataFrame | None = None, encoder: type | None = None, say: Say = _say) -> Run:
    """Go on with a fit that was stopped, to the same weights as if it had not been. ``table`` and ``encoder``: the
    DataFrame and one's own encoder class that it was started with, where it was."""
    recipe = Path(out) / TRAINING / RECIPE
    if not recipe.exists():
        raise AnlageError(f"{out}: nothing to resume there (no {TRAINING}/{RECIPE})")
    return fit(table, out=out, settings=load_settings(recipe), resume=True, encoder=encoder, say=say)


def advise(
    table: str | Path | pd.DataFrame,
    *,
    settings: FitSettings | None = None,
    encoder: str | Sequence[str] | None = None,
    say: Say = _say,
    **options: Any,
) -> "Advice":
    """What to fit on ``table``: encoder, size, adaptation, batches, metric, each with its reason, and the time that
    this takes on this machine, measured with some real optimiser steps. Writes nothing, and keeps no trained model.

    ``settings``, ``encoder``, ``options``: as for :func:`fit`; what they set stays, what they leave open is advised.
    Of test rows only the number is used. ``print(advice)`` shows it; ``fit(table, settings=advice.settings)`` runs it.
    Raises AnlageError, with one clear line, for whatever cannot be read or learned."""
    from anlage.advising.advise import advise as advised

    if encoder is not None:
        options["encoder"] = encoder
    if isinstance(table, str | Path):
        options["table"] = str(table)
    return advised(table, merge(settings or FitSettings(), options), say)


def pretrain(
    corpus: str | Path | pd.DataFrame | None = None,
    *,
    out: str | Path | None = None,
    settings: PretrainSettings | None = None,
    overwrite: bool = False,
    resume: bool = False,
    encoder: str | type | None = None,
    say: Say = _say,
    **options: Any,
) -> Run:
    """Train an encoder on a corpus without labels, judge it against plain baselines on held-out rows, and write a
    bundle to ``out``, for ``fit(..., encoder=out)``.

    ``corpus``: a file, a folder of images, or a DataFrame. ``options``: any setting by its name (``budget="1h"``,
    ``objective="masked"``; `anlage pretrain --help` lists them); they override ``settings``. ``encoder``: a name as on
    the command line, or your own nn.Module class. ``resume``: go on with an interrupted pretraining in ``out``, with
    the settings that it began with (a DataFrame or an encoder class is given again). Raises AnlageError, with one clear
    line, for whatever cannot be read, learned or written.
    """
    folder = Path(out) if out else Path(tempfile.mkdtemp(prefix="anlage-"))
    own = encoder if isinstance(encoder, type) else None
    if resume and is_bundle(folder):
        say(f"{folder} is finished already")
        return Run(folder, own)
    stored = folder / TRAINING / RECIPE
    if resume and not stored.exists():
        raise AnlageError(f"{folder}: nothing to resume there (no {TRAINING}/{RECIPE})")
    settings = load_settings(stored, PretrainSettings) if resume else settings or PretrainSettings()
    if encoder is not None and own is None:
        options["encoder"] = encoder
    if isinstance(corpus, str | Path):
        options["corpus"] = str(corpus)
    settings = merge(settings, options)
    source = corpus if isinstance(corpus, pd.DataFrame) else settings.data.corpus
    if isinstance(source, str) and not source:
        raise AnlageError("name the corpus to learn from: anlage pretrain CORPUS --out FOLDER")
    if processes() > 1 and not out:
        raise AnlageError("several processes need one place to write to: name it with --out")
    say = say if leads() else _silent
    plan = pretraining.plan(source, settings, own, say)
    tell_problems(plan.corpus.problems, say)
    begin(folder, settings, overwrite, resume)
    model, progress = pretraining.fit_model(plan, folder / TRAINING, say, sys.stderr.isatty())
    if not leads():
        wait_for_others()
        return Run(folder, own)
    metrics = pretraining.judge(plan, model, progress)
    contents, title = pretraining.contents(plan, model, progress, metrics), pretraining.title(plan)
    view = pretraining.report_view(plan, model, progress, metrics, title)
    pages: dict[str, str | bytes] = {REPORT: render(view), CARD: model_card(title, contents)}
    finish(folder, contents, {}, pages | pretraining.seen(plan), overwrite, say)
    return Run(folder, own)


def update(
    run: str | Path | Run | None = None,
    new: str | Path | pd.DataFrame | None = None,
    *,
    out: str | Path | None = None,
    settings: UpdateSettings | None = None,
    table: str | Path | pd.DataFrame | Sequence[str | Path | pd.DataFrame] = (),
    overwrite: bool = False,
    resume: bool = False,
    say: Say = _say,
    **options: Any,
) -> Run:
    """Go on training the model of ``run`` (a bundle of fit or update) on ``new`` labelled rows, beside replayed old
    ones; judge it before and after on the old test rows (what was forgotten) and on test rows among the new (what was
    gained); write a bundle to ``out``.

    ``options``: ``replay`` (old training rows for each new one), ``drop_overlap``, and any of the training
    (``epochs=5``), which is else trained as in the fit; they override ``settings``. ``table``: where the tables that
    the run learned from lie now, in their order, or DataFrames in their place. ``resume``: go on with an interrupted
    update in ``out``, with the settings that it began with (DataFrames are given again). Raises AnlageError, with one
    clear line, for whatever cannot be read, learned or written.
    """
    from anlage import updating

    folder = Path(out) if out else Path(tempfile.mkdtemp(prefix="anlage-"))
    stored = folder / TRAINING / RECIPE
    if resume:
        if not stored.exists():
            raise AnlageError(f"{folder}: nothing to resume there (no {TRAINING}/{RECIPE})")
        settings = load_settings(stored, UpdateSettings)
    source: Any = run if isinstance(run, Run) else run or (settings.data.run if settings else "")
    if not source:
        raise AnlageError("which run? For example: anlage update runs/loc new.csv --out runs/loc-2")
    run = source if isinstance(source, Run) else Run(source)
    settings = settings or UpdateSettings(training=run.fit_settings.training)
    moved = [table] if isinstance(table, str | Path | pd.DataFrame) else list(table)
    named: dict[str, Any] = {"run": str(run.path)} | ({"new": str(new)} if isinstance(new, str | Path) else {})
    if moved and not any(isinstance(one, pd.DataFrame) for one in moved):
        named["table"] = tuple(map(str, moved))
    settings = merge(settings, named | options)
    rows = new if isinstance(new, pd.DataFrame) else settings.data.new
    if isinstance(rows, str) and not rows:
        raise AnlageError("which new rows? For example: anlage update runs/loc new.csv --out runs/loc-2")
    if resume and is_bundle(folder) and updating.made_by(Run(folder), settings):
        say(f"{folder} is finished already")
        return Run(folder)
    if processes() > 1 and not out:
        raise AnlageError("several processes need one place to write to: name it with --out")
    say = say if leads() else _silent
    plan = updating.plan(run, rows, moved or settings.data.table, settings, say)
    tell_problems(plan.added.problems, say)
    begin(folder, settings, overwrite, resume)
    updated = updating.learn(plan, folder / TRAINING, say, sys.stderr.isatty())
    if not leads():
        wait_for_others()
        return Run(folder)
    metrics = updating.judge(plan, updated, say)
    made = updating.contents(plan, updated, metrics)
    pages: dict[str, str | bytes] = {
        REPORT: render(updating.report_view(plan, updated, made)),
        CARD: model_card(updating.title(plan), made),
    }
    if updated.safeguards.novelty is not None:
        pages[NOVELTY] = updated.safeguards.novelty.to_bytes()
    finish(folder, made, updating.row_tables(plan, updated), pages, overwrite, say)
    return Run(folder)


def load(path: str | Path, encoder: type | None = None) -> Run:
    """Load and verify a bundle. ``encoder``: your own class, where it was fitted with one."""
    return Run(path, encoder)


def inspect(
    table: str | Path | pd.DataFrame, *, target: Sequence[str] = (), column: Sequence[str] = (), id: str | None = None
) -> Inspection:
    """What is in a table: rows, columns and their modalities, lengths, missing values, labels, duplicates, conflicts
    and bad rows."""
    from anlage.modalities.recognise import recognise
    from anlage.samples.read import read
    from anlage.splits.inspect import inspect as look

    samples = read(table, id_column=id)
    targets = [target] if isinstance(target, str) else list(target)
    return look(samples, recognise(samples.frame, column), targets or None)


def evaluate(
    run: str | Path | Run,
    table: str | Path | pd.DataFrame | None = None,
    *,
    out: str | Path | None = None,
    say: Say = _say,
) -> dict[str, Any]:
    """Judge a bundle on new labelled rows, or (without ``table``) on the test rows that ``fit --no-test`` left alone.

    The baselines are fitted again on the run's own training rows, where its table is still to be read (its hash is
    checked); without it the model is judged alone, and that is said. Writes metrics.json and report.html to ``out``.
    Returns what metrics.json holds."""
    from anlage.judging import judge_cohort, judge_test

    run = run if isinstance(run, Run) else Run(run)
    metrics, page = judge_test(run, say) if table is None else judge_cohort(run, table, say)
    for line in lines(metrics):
        say(line)
    if out:
        from anlage.bundle.json_files import dump

        Path(out).mkdir(parents=True, exist_ok=True)
        (Path(out) / "metrics.json").write_bytes(dump(metrics))
        (Path(out) / REPORT).write_text(page, encoding="utf-8")
    return metrics


def embed(
    source: str | Path | Run,
    table: str | Path | pd.DataFrame,
    *,
    out: str | Path,
    settings: EmbedSettings | None = None,
    overwrite: bool = False,
    say: Say = _say,
    **options: Any,
) -> Path:
    """Write a vector for each row of ``table`` to ``out`` (.parquet, .h5), and return that path.

    ``source``: a bundle of ``fit`` (its inputs, fused) or of ``pretrain``, a folder of a checkpoint in Hugging Face's
    format, or "hf:ORG/NAME". ``options``: any of :class:`EmbedSettings` by its name (``level="element"``); they
    override ``settings``. Interrupted, the same call goes on where it stopped. Rows that cannot be used are named by
    ``say`` and left out; ids stand beside all vectors. Raises AnlageError, with one clear line, for whatever does not
    fit."""
    from anlage.embedding.job import Job

    settings = settings or EmbedSettings()
    known = [field.name for field in fields(EmbedSettings)]
    for name in options.keys() - set(known):
        raise AnlageError(f"unknown option {name!r}; possible are {', '.join(known)}")
    settings = replace(settings, **options)
    source = source if isinstance(source, Run) else str(source)
    Job(source, table, Path(out), settings, overwrite, say).run(sys.stderr.isatty())
    return Path(out)


def search(vectors: str | Path, queries: str | Path, *, k: int = 10, say: Say = _say) -> pd.DataFrame:
    """The ``k`` nearest vectors of each query by cosine, exactly: a row for each hit, with the query's id as index and
    the columns ``hit``, ``rank`` and ``cosine``. Both are files of :func:`embed`, of any size, from one model."""
    from anlage.embedding.search import search_files

    return pd.concat(list(search_files(vectors, queries, k, say)))
