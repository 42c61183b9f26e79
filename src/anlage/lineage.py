"""All rows that a run has learned from or is judged by: the table of its fit, then those of its updates.

Nothing of them lies in the bundle. The tables are read again, checked by their hashes, and divided again as they were:
the division follows from the settings and the rows alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from anlage import planning
from anlage.bundle.read import read_rows
from anlage.errors import AnlageError, Problem
from anlage.run import Run
from anlage.samples.hashing import data_hash
from anlage.samples.read import read
from anlage.samples.relabel import relabel
from anlage.samples.samples import Samples
from anlage.splits import assign, similarity
from anlage.splits.assign import Folds
from anlage.splits.settings import MUTATIONS, POSITIONS, SplitSettings
from anlage.tasks.labels import as_labels, shortened
from anlage.tasks.protocol import Task
from anlage.training.preparation import Preparation

Say = Callable[[str], None]
Table: TypeAlias = str | Path | pd.DataFrame
USED = ("train", "valid", "test")


@dataclass
class Lineage:
    """The used rows of all tables, one table after the other."""

    frame: pd.DataFrame
    """[rows] as read, with the targets; ids are unique within a table only."""
    inputs: dict[str, pd.DataFrame]
    """For each input [rows], in the normal form that the fitted preparation gives."""
    mates: np.ndarray
    """[rows] value of the group column as text, None where there is none."""
    part: np.ndarray
    """[rows] "train", "valid" or "test"."""
    table: np.ndarray
    """[rows] number of the table."""
    groups: np.ndarray
    """[rows] rows with equal numbers have equal or similar inputs (as the fit grouped them) or one value of the group
    column, over all tables."""
    least: dict[str, float]
    """By input name the similarity from which on samples share a group, as the fit had it."""
    tables: list[dict[str, Any]]
    """For each table what it takes to read and divide it again: ``table`` (its path, "" for a DataFrame),
    ``data_hash``, ``split_hash``, and from the second on ``drop_overlap``."""
    sources: list[str]
    """File names."""

    def rows(self, *parts: str) -> np.ndarray:
        """Row numbers of these parts."""
        return np.flatnonzero(np.isin(self.part, parts))


@dataclass
class Added:
    """What became of the rows of a new table."""

    how: str
    """How they were divided, in words."""
    dropped: int
    """Rows left out because the run is tested on them."""
    repeated: int
    """Rows that the run knows already from training or validation: they join the same part."""
    notes: list[str]
    problems: list[Problem]


def lineage(run: Run, moved: Sequence[Table] = ()) -> Lineage:
    """The rows of ``run``. ``moved``: where its tables lie now, in their order; the others lie where they lay.

    Raises:
        AnlageError: a table is gone or has changed, and one line says which and what to do.
    """
    records = _recorded(run)
    if len(moved) > len(records):
        raise AnlageError(f"--table: {len(moved)} tables are named, and {run.path} learned from {len(records)}")
    places: list[Table] = [*moved, *(record["table"] for record in records[len(moved) :])]
    found: Lineage | None = None
    for number, (place, record) in enumerate(zip(places, records, strict=True)):
        if isinstance(place, str) and not place:
            raise _lost(run, f"table {number + 1} was a DataFrame, which is not kept")
        try:
            found = _of_fit(run, place) if found is None else add(run, found, place, record["drop_overlap"], _silent)[0]
        except AnlageError as error:
            raise _lost(run, str(error)) from None
        if any(found.tables[number][key] != record[key] for key in ("data_hash", "split_hash")):
            tool = ", or another tool than then searches for similar rows here" if found.least else ""
            raise _lost(run, f"{found.sources[-1]} has changed since{tool}")
    if found is None:
        raise AnlageError(f"{run.path}: bundle.json names no table")
    return found


def add(run: Run, known: Lineage, source: Table, drop_overlap: bool, say: Say) -> tuple[Lineage, Added]:
    """``known`` and the rows of one table more, divided as the run's own were: by a split column where there is one,
    else at random by groups, stratified.

    A row that equals a known one (or shares its value of the group column) cannot be judged anew: it joins the part of
    that one. Where that is the test part, it is refused or (``drop_overlap``) left out.

    Raises:
        AnlageError: the table cannot be read, lacks a column, overlaps the test rows, has a label that the model does
            not know, or is too small to divide.
    """
    data = run.fit_settings.data
    samples = relabel(read(source, id_column=data.id), data.relabel, whole=False)
    name = ", ".join(samples.sources)
    used, inputs, problems = _usable(run, samples, name)
    frame = samples.frame.iloc[used]
    mates = _mates(run, samples, name)[used]
    both = {item: pd.concat([known.inputs[item], one]) for item, one in inputs.items()}
    groups = _groups(run.preparation, both, np.concatenate([known.mates, mates]), known.least, say)
    before, here = groups[: len(known.part)], groups[len(known.part) :]
    tested = np.isin(here, before[known.part == "test"])
    if tested.any():
        _tell_overlap(run, name, frame.index[tested], len(frame), bool(known.least), drop_overlap, say)
    part = np.full(len(frame), "", dtype=object)
    for joined in ("valid", "train"):
        part[np.isin(here, before[known.part == joined])] = joined
    part[tested] = "none"
    repeated = int(np.isin(part, ("train", "valid")).sum())
    if repeated:
        known_from = f"known from the training of {run.path}{' or similar' if known.least else ''}"
        say(f"{repeated} of {len(frame)} new rows are {known_from}: they are learned or validated again, never tested")
    free = np.flatnonzero(part == "")
    if not len(free):
        raise AnlageError(f"{name}: no row is new to {run.path}: there is nothing to update it with")
    folds = _divide(run, frame.iloc[free], here[free], similarity.words(known.least), name, say)
    part[free] = folds.part
    whole = np.full(len(samples), "none", dtype=object)
    whole[used] = part
    record = {
        "table": str(source) if isinstance(source, str | Path) else "",
        "data_hash": data_hash(samples.frame),
        "split_hash": replace(folds, part=whole, ids=samples.frame.index.to_numpy()).hash,
        "drop_overlap": drop_overlap,
    }
    kept = np.flatnonzero(np.isin(part, USED))
    grown = Lineage(
        frame=pd.concat([known.frame, frame.iloc[kept]]),
        inputs={item: pd.concat([known.inputs[item], one.iloc[kept]]) for item, one in inputs.items()},
        mates=np.concatenate([known.mates, mates[kept]]),
        part=np.concatenate([known.part, part[kept]]),
        table=np.concatenate([known.table, np.full(len(kept), len(known.tables))]),
        groups=np.concatenate([before, here[kept]]),
        least=known.least,
        tables=[*known.tables, record],
        sources=[*known.sources, *samples.sources],
    )
    notes = [*samples.notes, *folds.notes]
    return grown, Added(folds.how, int(tested.sum()), repeated, notes, problems)


def _recorded(run: Run) -> list[dict[str, Any]]:
    """What the bundle says of its tables."""
    provenance = run.contents.provenance
    first: dict[str, Any] = {"table": run.fit_settings.data.table}
    try:
        found = provenance.get("update", {}).get("tables") or [provenance]
        tables: list[dict[str, Any]] = [
            {key: str(record[key]) for key in ("data_hash", "split_hash")} for record in found
        ]
        later: list[dict[str, Any]] = [
            {"table": str(r["table"]), "drop_overlap": r["drop_overlap"] is True} for r in found[1:]
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise AnlageError(f"{run.path}: bundle.json does not say what it learned from ({error!r})") from None
    return [table | place for table, place in zip(tables, [first, *later], strict=True)]


def _of_fit(run: Run, place: Table) -> Lineage:
    """The rows of the fit alone. Of a cross-validation, the division that the model in the bundle was trained with."""
    plan = replan(run, place)
    part = plan.folds[-1].part
    used = np.flatnonzero(np.isin(part, USED))
    checked = run.preparation.check(plan.samples.frame)
    return Lineage(
        frame=plan.samples.frame.iloc[used],
        inputs=checked.take(used),
        mates=_mates(run, plan.samples, "")[used],
        part=part[used],
        table=np.zeros(len(used), dtype=np.int64),
        groups=plan.groups[used],
        least=plan.least,
        tables=[{"table": str(place) if isinstance(place, str | Path) else "", "data_hash": plan.data_hash,
                 "split_hash": plan.folds[0].hash}],
        sources=list(plan.samples.sources),
    )  # fmt: skip


def _usable(run: Run, samples: Samples, name: str) -> tuple[np.ndarray, dict[str, pd.DataFrame], list[Problem]]:
    """Numbers of the rows with an input and a target, their inputs in normal form, and what is wrong with any row."""
    frame, tasks = samples.frame, run.preparation.tasks
    checked = run.preparation.check(frame)
    problems = [*samples.problems, *checked.problems]
    known = np.zeros(len(frame), dtype=bool)
    for task in tasks:
        for column in task.columns:
            if column not in frame:
                has = ", ".join(map(str, frame.columns[:20]))
                raise AnlageError(f"{name}: no target column '{column}' to learn from; columns: {has}")
        found = task.check(frame[task.columns])
        _refuse_unknown_labels(task, found, name)
        problems += found
        known |= task.known(frame)
    used = np.flatnonzero(checked.usable & known)
    if not len(used):
        raise AnlageError(f"{name}: no row has both an input and a target that this bundle can read")
    return used, checked.take(used), problems


def _refuse_unknown_labels(task: Task, problems: list[Problem], name: str) -> None:
    unknown = [problem for problem in problems if "training label" in problem.reason]
    if unknown:
        raise AnlageError(
            f"{name}: {unknown[0]}; an update keeps the labels of its model: leave out the rows with others "
            f"({len(unknown)}), or fit anew on all rows"
        )


def _mates(run: Run, samples: Samples, name: str) -> np.ndarray:
    """[rows] value of the group column as text; None where there is none."""
    column = run.fit_settings.split.group
    if column is None:
        return np.full(len(samples), None, dtype=object)
    if column == samples.id_column:  # repeats were told apart by "#2" on reading
        return samples.frame.index.str.replace(r"#\d+$", "", regex=True).to_numpy(dtype=object)
    if column not in samples.frame:
        raise AnlageError(f"{name}: no column '{column}', whose rows stay together as in the fit (--group {column})")
    return np.array(as_labels(samples.frame[column]), dtype=object)


def replan(run: Run, place: Table) -> planning.Plan:
    """The plan of the run's own fit on its table, which lies at ``place`` now, divided as ``rows/`` of the bundle keeps
    it, else as it is found again, which may depend on the search tool. The caller compares the hashes.

    Raises:
        AnlageError: the table cannot be read or divided.
    """
    recorded = run.contents.provenance.get("similarity", {})  # bundles from before grouped by equality
    least = recorded if isinstance(recorded, dict) else {}
    if not all(isinstance(share, float | int) and 0 < share <= 1 for share in least.values()):
        raise AnlageError(f"{run.path}: bundle.json does not say how similar rows were grouped ({least!r:.80})")
    return planning.plan(place, run.fit_settings, _silent, planning.Divided(least, _kept_rows(run)))


def _kept_rows(run: Run) -> pd.DataFrame | None:
    """What the bundle keeps of the division of the table of its fit, by id; None where it was left behind."""
    kept = read_rows(run.path, "split.csv")
    if kept is None:
        return None
    if "table" in kept:  # of an update: the first table is that of the fit
        kept = kept[kept["table"] == "1"]
    rows = pd.DataFrame(index=kept.index.astype(str))
    if "part" in kept and kept["part"].isin([*USED, "none"]).all():
        rows["part"] = kept["part"].to_numpy()
    numbers = pd.to_numeric(kept.get("group", pd.Series(dtype=float)), errors="coerce")
    if len(numbers) and (numbers == numbers.round()).all() and numbers.abs().max() < 2**53:
        rows["group"] = numbers.to_numpy(dtype=np.int64)
    return rows


def _groups(
    preparation: Preparation, inputs: dict[str, pd.DataFrame], mates: np.ndarray, least: dict[str, float], say: Say
) -> np.ndarray:
    """[rows] groups as those of a fit: alike in every input, or of one value of the group column."""
    labels = np.stack(preparation.groups(inputs, least, say))
    alike = labels[0] if len(labels) == 1 else np.unique(labels, axis=1, return_inverse=True)[1].reshape(-1)
    return assign.join_groups([alike, pd.factorize(mates)[0]])


def _tell_overlap(run: Run, name: str, ids: pd.Index, rows: int, similar: bool, drop: bool, say: Say) -> None:
    alike = "the same inputs" if run.fit_settings.split.group is None else "the same inputs or group"
    alike += ", or similar ones," if similar else ""
    told = f"{name}: {len(ids)} of {rows} new rows have {alike} as test rows of {run.path}: {shortened(list(ids))}"
    if not drop:
        raise AnlageError(
            f"{told}. Learned, they would hide what is forgotten: leave them out yourself or with --drop-overlap"
        )
    say(f"{told}; they are left out")


def _divide(run: Run, frame: pd.DataFrame, groups: np.ndarray, by: str, name: str, say: Say) -> Folds:
    """The parts of new rows that no known row decides. ``by``: what rows of one group are, in words."""
    settings: SplitSettings = run.fit_settings.split
    if settings.split in (MUTATIONS, POSITIONS) or settings.time is not None and settings.time not in frame:
        say(f"{name}: its rows are divided at random, not by {settings.split or f'time: no column {settings.time!r}'}")
        settings = replace(settings, split="random", time=None)
    elif settings.split not in (None, "random") and settings.split not in frame:
        say(f"{name}: no column '{settings.split}' to split by: its rows are divided at random")
        settings = replace(settings, split="random")
    strata = run.preparation.strata(frame)
    try:
        return assign.assign(frame, settings, groups, strata, run.fit_settings.seed, by)
    except AnlageError as error:
        raise AnlageError(f"{name}: {error}") from None


def _lost(run: Run, why: str) -> AnlageError:
    return AnlageError(
        f"{run.path}: replay and forgetting cannot be measured without the tables that it learned from ({why}): say "
        "where they lie now with --table PATH, or fit anew"
    )


def _silent(line: str) -> None:
    """A table that is read again has been spoken of."""
