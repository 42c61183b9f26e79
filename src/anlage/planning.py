"""What will be fitted: read and choose, check every value, divide the rows. Nothing is trained here."""

from collections.abc import Callable
from dataclasses import dataclass, replace
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
from anlage.splits import assign, given
from anlage.splits.assign import Folds
from anlage.splits.settings import SplitSettings
from anlage.training.preparation import CheckedTable, Preparation


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
    leaked: np.ndarray | None = None
    """[rows] the test rows that the teacher was trained on, which are left out; None = not checked."""

    @property
    def targets(self) -> pd.DataFrame:
        return self.samples.frame


def plan(table: str | Path | pd.DataFrame, settings: FitSettings, say: Callable[[str], None]) -> Plan:
    """Read, recognise, choose inputs and tasks, check every value, and divide the rows."""
    data = settings.data
    if not data.target:
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
    reserved = [c for c in (split.group, split.split, given.find(samples.frame)) if c and c in samples.frame]
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
    divided = _divide(undivided, say)
    if teacher is not None:
        tests = np.unique(np.concatenate([folds.rows("test") for folds in divided.folds]))
        divided.leaked = teacher.refuse_leak(tests, divided.data_hash, settings, say)
    return divided


def _learnable(samples: Samples, settings: SplitSettings) -> Samples:
    """The rows by which columns may be judged too telling to be inputs: where the table brings its split, the training
    rows alone. (A random split follows from the inputs, so it comes later; the rules only take columns away.)"""
    column = settings.split or given.find(samples.frame)
    if column is None or column == "random" or settings.folds:
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


def _divide(plan: Plan, say: Callable[[str], None]) -> Plan:
    """The folds of a plan: unusable rows have the part "none"."""
    settings, frame = plan.settings, plan.samples.frame
    known = np.zeros(len(frame), dtype=bool)
    for task in plan.preparation.tasks:
        known |= task.known(frame)
    keep = plan.checked.usable & known
    if not keep.all():
        say(f"{(~keep).sum()} of {len(frame)} rows cannot be used: {(~plan.checked.usable).sum()} without an input, "
            f"{(~known).sum()} without a target")  # fmt: skip
    if not keep.any():
        needed = " (a student needs some as well: they judge it)" if plan.teacher is not None else ""
        raise AnlageError(f"{', '.join(plan.samples.sources)}: no row has both an input and a target{needed}")
    labels, division = plan.preparation.groups(plan.checked), settings.split
    spare = np.zeros(len(frame), dtype=bool)  # rows without a label that a teacher can teach
    if plan.teacher is not None:
        spare = plan.checked.usable & plan.teacher.checked.usable & ~known
        own = division.split or given.find(frame)
        if own and own != "random" and not division.folds:
            division = replace(division, split=own)
            given_part, _ = given.parts(frame, own, division.map)
            spare &= given_part == "train"
            if (given_part[keep] == "valid").any():  # nothing is drawn
                keep = keep | _free(plan, np.where(keep, given_part, "none"), labels, spare)
    kept = np.flatnonzero(keep)
    groups = _joined(plan, labels, kept)
    task = plan.preparation.tasks[0]
    first = frame[task.columns].iloc[kept]
    discrete = task.name != "regression"
    codes = np.stack([pd.factorize(first[c])[0] if discrete else pd.to_numeric(first[c], errors="coerce")
                      for c in task.columns], axis=1).astype(float)  # fmt: skip
    strata = assign.strata(codes, discrete)
    used = frame.iloc[kept]
    if settings.split.folds:
        folds = assign.cross_validation(used.index.to_numpy(), division, groups, strata, settings.seed)
        everything = Folds(np.full(len(used), "train", dtype=object), used.index.to_numpy(), "all rows, for the bundle")
        folds.append(assign.with_validation(everything, division, groups, strata, settings.seed))
    else:
        folds = [assign.assign(used, division, groups, strata, settings.seed)]
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
    all_groups = np.full(len(frame), -1)
    all_groups[kept] = groups
    return replace(plan, folds=whole, groups=all_groups)


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
