"""What will be fitted: read and choose, check every value, divide the rows. Nothing is trained here."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from anlage.choosing import choose_tasks, columns_of
from anlage.distilling import Teacher
from anlage.errors import AnlageError, Problem
from anlage.modalities.inputs import Roles, choose_inputs
from anlage.modalities.recognise import recognise
from anlage.samples.hashing import data_hash
from anlage.samples.samples import Samples
from anlage.samples.table import read_table
from anlage.settings import FitSettings
from anlage.splits import assign, given, owners, similarity, variants
from anlage.splits.assign import Folds
from anlage.splits.settings import MUTATIONS, POSITIONS, SplitSettings
from anlage.training.preparation import CheckedTable, Preparation
from anlage.training.vectors import cache_folder


@dataclass
class Plan:
    """What will be fitted: decided, and told to the user, before anything is trained."""

    settings: FitSettings
    samples: Samples
    roles: Roles
    evidence: dict[str, str]
    """For each input, what showed its modality."""
    preparation: Preparation
    """Not yet fitted: each fold fits its own."""
    checked: CheckedTable
    folds: list[Folds]
    """One split; or one for each fold of a cross-validation and a last one, without test rows, for the bundle."""
    groups: np.ndarray
    data_hash: str
    problems: list[Problem]
    notes: list[str]
    teacher: Teacher | None = None
    least: dict[str, float] = field(default_factory=dict)
    """By input name the similarity from which on samples share a group; absent = only equal ones do."""
    leaked: np.ndarray | None = None
    """[rows] the test rows that the teacher was trained on, which are left out; None = not checked."""

    @property
    def targets(self) -> pd.DataFrame:
        return self.samples.frame


@dataclass
class Divided:
    """How a finished run was divided, so that it can be divided again as it was, whatever the search tool."""

    least: dict[str, float]
    """As in :class:`Plan`."""
    rows: pd.DataFrame | None = None
    """By id, ``part`` (of one split), and maybe ``group`` (int64), as in :class:`Plan`; rows that are not there are
    unused. None = to be found again."""


def plan(
    table: str | Path | pd.DataFrame, settings: FitSettings, say: Callable[[str], None], again: Divided | None = None,
    labelled: bool = True,
) -> Plan:  # fmt: skip
    """Read, recognise, choose inputs and tasks, check every value, and divide the rows; those of a finished run
    ``again`` as they were. ``labelled``: a target must be named (an audit does without)."""
    data = settings.data
    if labelled and not data.target:
        raise AnlageError("say what to predict: --target COLUMN (`anlage inspect TABLE` lists the columns)")
    samples = read_table(table, data)
    for note in samples.notes:
        say(note)
    named = dict(columns_of(text) for text in data.target)
    columns = [column for group in named.values() for column in group]
    for column in columns:
        if column not in samples.frame:
            has = ", ".join(samples.frame.columns[:20])
            raise AnlageError(f"no column '{column}' in {', '.join(samples.sources)}; columns: {has}")
    split = settings.split
    named_by = (split.group, split.split, split.time, given.find(samples.frame))
    reserved = [c for c in named_by if c and c in samples.frame]
    recognised = recognise(samples.frame, data.column)
    roles = choose_inputs(_learnable(samples, split), recognised, columns, data.input, data.drop, reserved)
    evidence = {item.name: recognised[item.columns[0]].evidence for item in roles.inputs}
    for item in roles.inputs:
        shown = f" ({len(item.columns)} columns)" if len(item.columns) > 1 else ""
        say(f"input {item.name}{shown}: {item.modality.name}, {evidence[item.name]}")
    for column, reason in roles.left_out:
        say(f"left out {column}: {reason}")

    source = settings.distillation.teacher
    teacher = Teacher(source, samples) if source else None
    choose = teacher.tasks if teacher is not None else choose_tasks
    targets = choose(samples.frame, named, data.task, say)
    preparation = Preparation(roles.inputs, targets)
    checked = preparation.check(samples.frame)
    problems = [*samples.problems, *checked.problems]
    for task in targets:
        asked = slice(None) if teacher is None else task.known(samples.frame)  # rows without a label are welcome then
        problems += task.check(samples.frame.loc[asked, task.columns])
    for note in checked.notes:
        say(note)
    undivided = Plan(
        settings=settings,
        samples=samples,
        roles=roles,
        evidence=evidence,
        preparation=preparation,
        checked=checked,
        folds=[],
        groups=np.array([]),
        data_hash=data_hash(samples.frame),
        problems=problems,
        notes=[*samples.notes, *checked.notes],
        teacher=teacher,
    )
    divided = _divide(undivided, say, again)
    if teacher is not None:
        tests = np.unique(np.concatenate([folds.rows("test") for folds in divided.folds]))
        divided.leaked = teacher.refuse_leak(tests, divided.data_hash, settings, say)
    return divided


def _learnable(samples: Samples, settings: SplitSettings) -> Samples:
    """The rows by which columns may be judged too telling to be inputs: where the table brings its split, the training
    rows alone. (A random split follows from the inputs, so it comes later; the rules only take columns away.)"""
    column = given.column(samples.frame, settings)
    if column is None:
        return samples
    part, _ = given.parts(samples.frame, column, settings.map)
    return replace(samples, frame=samples.frame[part == "train"])


def group_codes(samples: Samples, column: str) -> np.ndarray:
    """[rows] a number for each value of the group column (-1 = missing). Where that is the id column, its repeats were
    told apart by a "#2" on reading, which is taken away again."""
    if column == samples.id_column:
        return pd.factorize(samples.frame.index.str.replace(r"#\d+$", "", regex=True))[0]
    if column not in samples.frame:
        raise AnlageError(f"--group {column}: no such column; columns: {', '.join(samples.frame.columns[:20])}")
    return pd.factorize(samples.frame[column])[0]


def _divide(plan: Plan, say: Callable[[str], None], again: Divided | None) -> Plan:
    """The folds of a plan: unusable rows have the part "none"."""
    settings, frame = plan.settings, plan.samples.frame
    known = np.full(len(frame), not plan.preparation.tasks)
    for task in plan.preparation.tasks:
        known |= task.known(frame)
    keep = plan.checked.usable & known
    if not keep.all():
        say(f"{(~keep).sum()} of {len(frame)} rows cannot be used: {(~plan.checked.usable).sum()} without an input, "
            f"{(~known).sum()} without a target")  # fmt: skip
    if not keep.any():
        needed = " (a student needs some as well: they judge it)" if plan.teacher is not None else ""
        raise AnlageError(f"{', '.join(plan.samples.sources)}: no row has both an input and a target{needed}")
    division = settings.split
    own = given.column(frame if plan.teacher is not None else frame[keep], division)
    if own is not None:
        division = replace(division, split=own)
    ordered = division.time is not None or division.split in (MUTATIONS, POSITIONS)
    drawn = own is None and not ordered
    unnamed = _unnamed(plan, np.flatnonzero(keep)) if again is None else {}
    if unnamed and drawn:
        _refuse(unnamed, int(keep.sum()))
    labels, plan.least = _labels(plan, drawn, again, say)
    spare = np.zeros(len(frame), dtype=bool)  # rows without a label that a teacher can teach
    if plan.teacher is not None and not ordered:
        spare = plan.checked.usable & plan.teacher.checked.usable & ~known
        if own is not None:
            given_part, _ = given.parts(frame, own, division.map)
            spare &= given_part == "train"
            if (given_part[keep] == "valid").any():  # nothing is drawn
                keep = keep | _free(plan, np.where(keep, given_part, "none"), labels, spare)
    kept = np.flatnonzero(keep)
    known_groups = _kept_groups(plan, again)
    groups = _joined(plan, labels, kept) if known_groups is None else known_groups[kept]
    folds = _folds(plan, division, kept, groups)
    for column in unnamed:
        folds = [replace(one, notes=[*one.notes, *_shared(plan, column, kept, one)]) for one in folds]
    counts = ", ".join(f"{count} {part}" for part, count in folds[0].counts.items())
    say(f"split: {counts} ({folds[0].how})")
    for note in folds[0].notes:
        say(note)
    whole = []
    for one in folds:
        part = np.full(len(frame), "none", dtype=object)
        part[kept] = one.part
        whole.append(replace(one, part=part, ids=frame.index.to_numpy()))
    if plan.teacher is not None:
        for one in whole:  # the labelled rows are divided as they would be without a teacher
            one.part[_free(plan, one.part, labels, spare)] = "train"
        say(f"{(~known & (whole[0].part == 'train')).sum()} rows without a label are learned from through the teacher")
    known_part = _kept(plan, again, "part") if not division.folds else None
    if known_part is not None:  # as it was, be it that rows were left out since (--on-leak fix)
        whole = [replace(one, part=known_part.astype(object)) for one in whole]
    all_groups = np.full(len(frame), -1)
    all_groups[kept] = groups
    return replace(plan, folds=whole, groups=all_groups)


def _folds(plan: Plan, division: SplitSettings, rows: np.ndarray, groups: np.ndarray) -> list[Folds]:
    """The folds of these rows, as :class:`Plan` has them. ``groups`` [rows]."""
    used, seed = plan.samples.frame.iloc[rows], plan.settings.seed
    strata, by, ids = plan.preparation.strata(used), similarity.words(plan.least), used.index.to_numpy()
    if division.folds:
        folds = assign.cross_validation(ids, division, groups, strata, seed, by)
        everything = Folds(np.full(len(used), "train", dtype=object), ids, "all rows, for the bundle")
        return [*folds, assign.with_validation(everything, division, groups, strata, seed)]
    if division.split in (MUTATIONS, POSITIONS):
        part, how, notes = variants.parts(_sequences(plan, rows), division, seed)
        return [assign.with_validation(Folds(part, ids, how, notes), division, groups, strata, seed)]
    return [assign.assign(used, division, groups, strata, seed, by)]


def _labels(
    plan: Plan, drawn: bool, again: Divided | None, say: Callable[[str], None]
) -> tuple[list[np.ndarray], dict[str, float]]:
    """For each input the group of each row of the table, and how similar its rows are. Where the split is not drawn,
    and no threshold is asked for, only equal rows are one group."""
    asked, preparation, frames = plan.settings.split.similarity, plan.preparation, plan.checked.frames
    if again is not None:
        searched = again.least if _kept_groups(plan, again) is None else {}
        return preparation.groups(frames, searched, say), again.least
    if not drawn and not asked:
        return preparation.groups(frames, {}, say), {}
    labels, least, notes = similarity.drawn_groups(preparation.inputs, frames, asked, cache_folder(), say)
    for note in notes:
        say(note)
    plan.notes.extend(notes)
    return labels, least


def _kept(plan: Plan, again: Divided | None, column: str) -> np.ndarray | None:
    """[rows of the table] "part" or "group" as a finished run has kept it, where all its rows are still there."""
    if again is None or again.rows is None or column not in again.rows:
        return None
    ids = plan.samples.frame.index.astype(str)
    if not again.rows.index.is_unique or not again.rows.index.isin(ids).all():
        return None
    return again.rows[column].reindex(ids, fill_value="none" if column == "part" else -1).to_numpy()


def _kept_groups(plan: Plan, again: Divided | None) -> np.ndarray | None:
    """[rows of the table]; with a teacher they are found again, since its unlabelled rows need some as well."""
    return _kept(plan, again, "group") if plan.teacher is None else None


def _sequences(plan: Plan, rows: np.ndarray) -> list[str | None]:
    """The sequences of these rows, None where missing. AnlageError where the inputs are not one sequence."""
    names = [item.name for item in plan.preparation.inputs if item.modality.layout == "Tokens"]
    if len(names) != 1:
        found = "no sequence" if not names else f"{len(names)} sequences ({', '.join(names)})"
        raise AnlageError(f"--split {plan.settings.split}: there is {found} among the inputs, and it takes one")
    values = plan.checked.frames[names[0]].iloc[rows, 0]
    return [value if isinstance(value, str) else None for value in values]


def _unnamed(plan: Plan, rows: np.ndarray) -> dict[str, int]:
    """Columns that say whose a row is, by which nobody groups, and how many different values these ``rows`` have."""
    samples, data, split = plan.samples, plan.settings.data, plan.settings.split
    if split.group is not None or split.ungrouped:
        return {}
    taken = {column for task in plan.preparation.tasks for column in task.columns}
    taken |= {*data.input, split.split or "", split.time or ""}
    taken |= {c for item in plan.preparation.inputs if not item.modality.joins_columns for c in item.columns}
    columns = {c: samples.frame[c].iloc[rows] for c in samples.frame if c not in taken and owners.says_whose(str(c))}
    if samples.id_column is not None and owners.says_whose(samples.id_column):
        columns[samples.id_column] = pd.Series(group_codes(samples, samples.id_column)[rows])
    return owners.repeating(columns)


def _refuse(unnamed: dict[str, int], rows: int) -> None:
    """AnlageError unless the user insists."""
    column, distinct = next(iter(unnamed.items()))
    raise AnlageError(
        f"column '{column}' has {distinct:,} values in {rows:,} rows: rows that share one would be learned from and "
        f"tested on. Keep them together with --group {column}, or say --ungrouped if they have nothing in common"
    )


def _shared(plan: Plan, column: str, rows: np.ndarray, folds: Folds) -> list[str]:
    """A note where test rows share a value of ``column`` with training rows."""
    codes = group_codes(plan.samples, column)[rows]
    learned, tested = codes[folds.part == "train"], codes[folds.part == "test"]
    count = int(np.isin(tested[tested >= 0], learned).sum())
    why = f"{count} of {len(tested)} test rows share their '{column}' with training rows"
    return [f"LEAK: {why}: --group {column} lets intervals know"] if count else []


def _joined(plan: Plan, labels: list[np.ndarray], rows: np.ndarray) -> np.ndarray:
    """[len(rows)] the group of each of these rows. ``labels``: for each input the group of each row of the table."""
    found = [label[rows] for label in labels]
    column = plan.settings.split.group
    if column:
        found.append(group_codes(plan.samples, column)[rows])
    if len(labels) > 1:  # a repeated drug is no duplicate sample: only rows alike in every input are
        inputs = np.stack(found[: len(labels)])
        found = [np.unique(inputs, axis=1, return_inverse=True)[1].reshape(-1), *found[len(labels) :]]
    return assign.join_groups(found)


def _free(plan: Plan, part: np.ndarray, labels: list[np.ndarray], spare: np.ndarray) -> np.ndarray:
    """[table rows] bool: those of the ``spare`` rows that are no duplicates or group-mates of validation or test rows,
    as ``part`` names them."""
    rows = np.flatnonzero((part != "none") | spare)
    groups = _joined(plan, labels, rows)
    held = groups[np.isin(part[rows], ["valid", "test"])]
    free = np.zeros(len(part), dtype=bool)
    free[rows] = spare[rows] & ~np.isin(groups, held)
    return free
