"""Two or more runs on the same rows: which is better, by how much, and could it be chance?

A run judged on 500 rows says little by itself; the paired difference to another one on the same rows says much more,
because what makes a row hard is hard for both. All pairs are tested, and p-values are adjusted for their number (Holm
1979), so that the best of many is not taken for better than the others by luck.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from anlage.bundle.contents import Contents
from anlage.bundle.numbers import interval
from anlage.bundle.read import read, read_rows
from anlage.errors import AnlageError
from anlage.evaluation.evaluate import estimate_json, resampled_groups
from anlage.evaluation.intervals import LEVEL, Resampled, estimate, p_value, resample, subtract, weights
from anlage.metrics.metric import Metric
from anlage.report import compare as page
from anlage.tasks import lookup as tasks
from anlage.tasks.protocol import Task

if TYPE_CHECKING:
    from rich.console import Group

Say = Callable[[str], None]
GROUP = "group"
"""The column of predictions.parquet that numbers the groups of rows."""


@dataclass(frozen=True)
class Side:
    """One run: its bundle, its tasks by target, and the rows that it was judged on."""

    name: str
    contents: Contents
    tasks: dict[str, Task]
    part: str
    judged: pd.DataFrame


@dataclass(frozen=True)
class Comparison:
    """What :func:`compare` found. ``found`` is JSON: ``verdict``, ``runs``, ``part``, ``n``, ``n_groups``,
    ``resampled``, ``resamples``, ``level``, ``notes`` and ``targets``: target → ``metric``, ``greater_is_better``,
    ``scores`` (run → estimate), ``best``, ``verdict`` and ``pairs``, a list of ``{a, b, difference, p, p_adjusted,
    outcome}``. a has the better value; positive = better, whichever way the metric points."""

    found: dict[str, Any]

    @property
    def verdict(self) -> str:
        """One line."""
        return str(self.found["verdict"])

    def to_json(self) -> dict[str, Any]:
        """As it stands in the file of ``--json``."""
        return self.found

    def lines(self) -> list[str]:
        """Plain text: the verdict first."""
        lines = [self.verdict, self.basis]
        for target, of in self.found["targets"].items():
            lines += [f"{target}: {of['metric']}"]
            lines += [f"  {run}: {_said(score)}" for run, score in of["scores"].items()]
            for pair in shown_pairs(of, self.found["runs"]):
                p = page.chance(pair["p_adjusted"])
                lines.append(f"  {pair['a']} − {pair['b']}: {_said(pair['difference'])}, p {p}")
        return lines + [f"note: {note}" for note in self.found["notes"]]

    @property
    def basis(self) -> str:
        """What it was measured on."""
        return page.basis(self.found)

    def html(self) -> str:
        """A page that needs nothing else."""
        return page.render(self.found, {name: shown_pairs(of, self.found["runs"]) for name, of in self._targets()})

    def render(self) -> "Group":
        """For the terminal."""
        from rich.console import Group, RenderableType
        from rich.table import Table
        from rich.text import Text

        parts: list[RenderableType] = [Text(self.verdict, style="bold"), Text(self.basis)]
        for target, of in self._targets():
            name = f"{target}: {of['metric'].replace('_', ' ')}"
            scores = Table("run", name, "", box=None)
            for run, score in of["scores"].items():
                scores.add_row(Text(run), *interval(score))
            pairs = Table("difference", "", "", "p", "p, adjusted", "", box=None)
            for pair in shown_pairs(of, self.found["runs"]):
                cells = (*interval(pair["difference"]), page.chance(pair["p"]), page.chance(pair["p_adjusted"]))
                pairs.add_row(Text(f"{pair['a']} − {pair['b']}"), *cells, pair["outcome"] or "not compared")
            parts += [Text(), scores, Text(), pairs]
        return Group(*parts, *(Text(f"note: {note}") for note in self.found["notes"]))

    def _targets(self) -> list[tuple[str, dict[str, Any]]]:
        return list(self.found["targets"].items())


def shown_pairs(target: dict[str, Any], runs: Sequence[str]) -> list[dict[str, Any]]:
    """The pairs with the first run and with the best one."""
    return [pair for pair in target["pairs"] if {runs[0], target["best"]} & {pair["a"], pair["b"]}]


def compare(
    paths: Sequence[Path | str], metric: str | None = None, common: bool = False, say: Say = lambda _: None
) -> Comparison:
    """Compare runs on the test rows that they were judged on (on validation rows where a run has no test rows).

    ``metric``: default, the one that decided each run. ``common``: compare on the rows that all runs judged, where
    their splits differ. AnlageError, in one line, where runs have other data, rows or targets.
    """
    if len(paths) < 2:
        raise AnlageError("which runs? Give two or more folders of runs: anlage compare RUN1 RUN2")
    sides = [_side(path) for path in paths]
    if len({side.name for side in sides}) < len(sides):
        raise AnlageError("the same run is named twice: give runs that differ")
    sides = [replace(side, name=name) for side, name in zip(sides, _short([s.name for s in sides]), strict=True)]
    part = "test" if all(side.part == "test" for side in sides) else "valid"
    sides = [_on(side, part) for side in sides]
    notes = _same_rows(sides, common)
    rows = sides[0].judged.index
    for side in sides[1:]:
        rows = rows[rows.isin(side.judged.index)]
    frames = [side.judged.loc[rows] for side in sides]
    groups, note = _groups(sides, frames[0])
    notes += note
    if len(rows) == 0:
        raise AnlageError("the runs have no judged row in common")
    resamples = max(int(side.contents.metrics["resamples"]) for side in sides)
    seed = int(sides[0].contents.metrics["seed"])
    counts = weights(groups, len(rows), resamples, seed)
    say(f"{len(rows):,} rows in common, {resamples:,} resamples")
    targets: dict[str, Any] = {}
    for target in sides[0].tasks:
        measure = _metric(sides, target, metric)
        truth = _truth(sides, frames, target)
        drawn = {
            side.name: resample(measure, truth, values_of(side.tasks[target], frame, side.name), counts)
            for side, frame in zip(sides, frames, strict=True)
        }
        targets[target] = _target(measure, drawn, truth, groups)
    texts = {name: of["verdict"] for name, of in targets.items()}
    verdict = "; ".join(f"{name}: {text}" for name, text in texts.items()) if len(texts) > 1 else [*texts.values()][0]
    first = next(iter(next(iter(targets.values()))["scores"].values()))
    if len(sides) > 2:
        count = len(sides) * (len(sides) - 1) // 2
        notes.append(f"p-values are adjusted for {count} pairs of runs (Holm); each interval is for its pair alone")
    return Comparison({
        "verdict": verdict, "runs": [side.name for side in sides], "part": part, "n": len(rows),
        "n_groups": first["n_groups"], "resampled": "rows" if groups is None else "groups", "resamples": resamples,
        "level": LEVEL, "notes": notes, "targets": targets,
    })  # fmt: skip


def _side(path: Path | str) -> Side:
    contents = read(path)
    if contents.pretrained:
        raise AnlageError(f"{path} is a pretrained encoder and was judged on no target: compare runs of `anlage fit`")
    judged = read_rows(path, "predictions.parquet")
    if judged is None:
        raise AnlageError(f"{path}: its predictions (rows/predictions.parquet) were left behind when it was copied")
    part = "test" if (judged["part"] == "test").any() else "valid"
    fitted = [tasks.from_json(target) for target in contents.targets]
    return Side(str(path).rstrip("/"), contents, {task.target: task for task in fitted}, part, judged)


def _short(paths: Sequence[str]) -> list[str]:
    """Different paths without the folders that all have in common."""
    parts = [Path(path).parts for path in paths]
    shared = 0
    while all(len(p) > shared + 1 for p in parts) and len({p[shared] for p in parts}) == 1:
        shared += 1
    return [str(Path(*p[shared:])) for p in parts]


def _on(side: Side, part: str) -> Side:
    judged = side.judged[side.judged["part"] == part]
    if not len(judged):
        raise AnlageError(f"{side.name} was not judged on {'validation' if part == 'valid' else part} rows")
    return Side(side.name, side.contents, side.tasks, part, judged)


def _same_rows(sides: Sequence[Side], common: bool) -> list[str]:
    """AnlageError unless the runs saw the same data, split, targets and rows; notes where ``common`` lets pass."""
    first = sides[0]
    notes = []
    for side in sides[1:]:
        if set(side.tasks) != set(first.tasks):
            targets = " and ".join(f"{s.name}: {', '.join(s.tasks)}" for s in (first, side))
            raise AnlageError(f"the runs predict other targets ({targets})")
        one, other = first.contents.provenance, side.contents.provenance
        if one["data_hash"] != other["data_hash"]:
            raise AnlageError(
                f"{first.name} and {side.name} were fitted to different tables: judge both on one table "
                "(anlage evaluate RUN TABLE)"
            )
        same = len(first.judged) == len(side.judged) and first.judged.index.isin(side.judged.index).all()
        if same and one["split_hash"] == other["split_hash"]:
            continue
        shared = int(first.judged.index.isin(side.judged.index).sum())
        said = f"{shared:,} of {len(first.judged):,} and {len(side.judged):,} {first.part} rows are in both"
        if not common:
            hint = f"--common compares on those ({said})" if shared else said
            raise AnlageError(f"{first.name} and {side.name} were split differently: {hint}")
        notes.append(f"{side.name} was split differently from {first.name}: {said}; it learned from other rows")
    return notes


def _groups(sides: Sequence[Side], frame: pd.DataFrame) -> tuple[np.ndarray | None, list[str]]:
    """The groups to resample, as the runs did; without them rows, and a note that says so."""
    if all(side.contents.metrics["resampled"] == "rows" for side in sides):
        return None, []
    if GROUP in frame:
        return resampled_groups(frame[GROUP].to_numpy(), {"test": np.arange(len(frame))}), []
    return None, [
        "the runs resampled groups, which are not stored in them: rows are resampled here, and intervals may be too "
        "narrow"
    ]


def _metric(sides: Sequence[Side], target: str, wanted: str | None) -> Metric:
    decided = {side.contents.metrics["targets"][target]["primary"] for side in sides}
    if wanted is None and len(decided) > 1:
        raise AnlageError(f"target {target}: the runs were decided by {' and '.join(sorted(decided))}: give --metric")
    known = [side.tasks[target].metrics for side in sides]
    name = wanted or decided.pop()
    for side, metrics in zip(sides, known, strict=True):
        if name not in metrics:
            raise AnlageError(f"{side.name}, target {target}: no metric {name!r}; metrics: {', '.join(metrics)}")
    return known[0][name]


def _truth(sides: Sequence[Side], frames: Sequence[pd.DataFrame], target: str) -> np.ndarray:
    """[rows, outputs], the same for all runs."""
    found = []
    for side, frame in zip(sides, frames, strict=True):
        task = side.tasks[target]
        stored = {column: frame[f"true {column}"] for column in task.columns}
        # A missing value was stored as the words for it.
        table = pd.DataFrame(stored).mask(lambda cells: cells.isin(["nan", "None", "<NA>", "NaT"]))
        found.append(task.encode(table))
        names = [list(getattr(s.tasks[target], "labels", s.tasks[target].columns)) for s in (sides[0], side)]
        if names[0] != names[1]:
            raise AnlageError(f"{sides[0].name} and {side.name} know other labels of {target}")
        if not np.array_equal(found[0], found[-1], equal_nan=True):
            raise AnlageError(f"{sides[0].name} and {side.name} hold different values of {target} for the same rows")
    return found[0].astype(float)


def values_of(task: Task, frame: pd.DataFrame, name: str) -> np.ndarray:
    """[rows, k] what the metrics read, from the columns that ``task.to_columns`` wrote. ``name``: of the run."""
    labels = getattr(task, "labels", None)
    if labels is not None:
        columns = [f"{task.target}_probability_{label}" for label in labels]
    else:
        columns = [task.target] if len(task.columns) == 1 else [f"{task.target}_{column}" for column in task.columns]
    if absent := [column for column in columns if column not in frame]:
        raise AnlageError(f"{name}: its predictions have no column {absent[0]!r}, so {task.target} cannot be compared")
    return frame[columns].to_numpy(dtype=float)


def _target(
    metric: Metric, drawn: dict[str, Resampled], truth: np.ndarray, groups: np.ndarray | None
) -> dict[str, Any]:
    scores = {name: estimate(of, truth, groups) for name, of in drawn.items()}
    sign = 1.0 if metric.greater_is_better else -1.0
    ranked = {name: sign * of.value if np.isfinite(of.value) else -np.inf for name, of in drawn.items()}
    best = max(ranked, key=lambda name: ranked[name])
    pairs: list[dict[str, Any]] = []
    for a, b in combinations(drawn, 2):
        a, b = (b, a) if ranked[b] > ranked[a] else (a, b)
        gain = subtract(metric, drawn[a], drawn[b])
        p = p_value(gain, truth, groups)
        known = estimate_json(estimate(gain, truth, groups), counts=False)
        pairs.append({"a": a, "b": b, "difference": known, "p": p if np.isfinite(p) else None})
    for pair, adjusted in zip(pairs, holm([pair["p"] for pair in pairs]), strict=True):
        pair["p_adjusted"] = adjusted
        pair["outcome"] = None if adjusted is None else "better" if adjusted < 1 - LEVEL else "no difference shown"
    return {
        "metric": metric.name,
        "greater_is_better": metric.greater_is_better,
        "scores": {name: estimate_json(of) for name, of in scores.items()},
        "best": best,
        "pairs": pairs,
        "verdict": _verdict(metric.name, best, pairs),
    }


def holm(values: Sequence[float | None]) -> list[float | None]:
    """p-values adjusted for their number (Holm 1979); what is unknown stays so, and counts nothing."""
    order = sorted((p, i) for i, p in enumerate(values) if p is not None)
    adjusted: list[float | None] = [None] * len(values)
    largest = 0.0
    for rank, (p, i) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p))
        adjusted[i] = largest
    return adjusted


def _verdict(metric: str, best: str, pairs: Sequence[dict[str, Any]]) -> str:
    name = metric.replace("_", " ")
    of_best = [pair for pair in pairs if pair["a"] == best]
    won = [pair for pair in of_best if pair["outcome"] == "better"]
    if len(pairs) == 1:
        pair = pairs[0]
        if pair["outcome"] is None:
            return f"not compared: {name} is undefined on these rows"
        if won:
            return f"{best} is better than {pair['b']} by {_said(pair['difference'])} {name}"
        return f"no difference shown between {pair['a']} and {pair['b']}: {_said(pair['difference'])} {name}"
    if not won:
        return f"no run is shown to be better than another in {name}; the highest rank has {best}"
    others = [pair["b"] for pair in of_best if pair["outcome"] != "better"]
    text = f"{best} has the best {name}: better than {', '.join(pair['b'] for pair in won)}"
    return text + (f", not shown to be better than {', '.join(others)}" if others else "")


def _said(cell: dict[str, Any]) -> str:
    return " ".join(text for text in interval(cell) if text)
