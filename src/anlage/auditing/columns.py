"""The single-column leak test: ids, file names, acquisition settings, dates, the order of the rows, and each single
column of a record: does it say the target by itself?"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from anlage.auditing.findings import Audit, Finding, Severity
from anlage.auditing.kin import Kin
from anlage.auditing.telling import Answer, Target, quantiles, readings
from anlage.errors import AnlageError
from anlage.planning import Plan

STRONG, CERTAIN = 0.8, 0.98
"""From this strength (0 = chance, 1 = perfect; an AUROC of .9 and of .99) on a column is told of, and warned of."""
CLEARLY, AT_LEAST = 0.3, 0.1
"""An id is told of from this strength on, where its interval stays above the second number."""
MOST_ROWS = 50_000
_ORDER = "the order of the rows"
_NAMED = 3


@dataclass
class _Told:
    """A column that says a target: what of it, and how well."""

    column: str
    what: str
    answer: Answer


def telling(kin: Kin, found: Audit) -> None:
    """Look at every column but targets, splits and what was left out since it gives the answer away."""
    plan = kin.plan
    rows = plan.folds[0].rows("train")
    if len(rows) > MOST_ROWS:
        rows = np.sort(np.random.default_rng(0).choice(rows, MOST_ROWS, replace=False))
    kinds = _columns(plan, rows, found)
    for task in plan.preparation.tasks:
        what = f"single columns that say {task.target}"
        try:
            target = Target(task, plan.targets[task.columns].iloc[rows], kin.plan.groups[rows])
        except AnlageError as error:
            found.skip(what, str(error))
            continue
        counts = []
        for kind, columns in kinds.items():
            told = sorted(_telling(target, kind, columns), key=lambda t: -t.answer.value)
            counts.append(f"{len(told)} of {len(columns):,} ({kind})")
            if told:
                found.add(_finding(kind, task.target, target.groups, told, len(columns)))
        found.checked.append(f"{what} by themselves, on {len(target.rows):,} training rows: {', '.join(counts)}")


IDS, OTHERS, INPUTS, ORDER = "ids and file names", "columns beside the inputs", "columns of the inputs", "row order"


def _columns(plan: Plan, rows: np.ndarray, found: Audit) -> dict[str, dict[str, dict[str, np.ndarray]]]:
    """Kind → column → what is read of it → codes [rows]."""
    frame = plan.samples.frame.iloc[rows]
    kinds: dict[str, dict[str, dict[str, np.ndarray]]] = {IDS: {}, OTHERS: {}, INPUTS: {}, ORDER: {}}
    known = []
    for column, reason in plan.roles.left_out:
        if "gives the answer away" in reason:
            known.append(column)
        elif reason not in ("is a target", "names the split") and (read := readings(frame[column])):
            kinds[IDS if _is_id(frame[column]) else OTHERS][column] = read
    if known:
        found.checked.append(f"columns left out since they give the answer away: {', '.join(known)}")
    for item in plan.preparation.inputs:
        if item.modality.joins_columns:
            values = plan.checked.frames[item.name].iloc[rows]
            kinds[INPUTS] |= {str(c): read for c in values if (read := readings(values[c]))}
        else:
            kind, read = _outside(frame[item.columns[0]], item.modality.layout)
            kinds[kind] |= {item.columns[0]: read} if read else {}
    if plan.samples.id_column is not None:
        kinds[IDS][plan.samples.id_column] = readings(pd.Series(frame.index.astype(str), dtype=object))
    kinds[ORDER][_ORDER] = {"": quantiles(rows.astype(float))}
    varied = {kind: {c: read for c, read in columns.items() if any(len(np.unique(v)) > 1 for v in read.values())}
              for kind, columns in kinds.items()}  # fmt: skip
    return {kind: columns for kind, columns in varied.items() if columns}


def _is_id(values: pd.Series) -> bool:
    """Whole numbers or text that hardly repeat."""
    known = values.dropna()
    whole = values.dtype == object or (pd.api.types.is_numeric_dtype(known) and bool((known % 1 == 0).all()))
    return whole and known.nunique() > 0.5 * len(known)


def _outside(values: pd.Series, layout: str) -> tuple[str, dict[str, np.ndarray]]:
    """What surrounds an input's content: the name of a file, the length of a sequence, the size of an image."""
    known = values.dropna()
    if not len(known):
        return OTHERS, {}
    if layout == "Grid" and isinstance(known.iloc[0], str):
        return IDS, readings(values)
    if layout == "Grid" and isinstance(known.iloc[0], np.ndarray):
        sizes = [v.shape[:2] if isinstance(v, np.ndarray) else (-1, -1) for v in values]
        return OTHERS, {"the size of its images": np.unique(sizes, axis=0, return_inverse=True)[1].reshape(-1)}
    if layout == "Tokens":
        lengths = values.map(lambda v: len(v) if isinstance(v, str) else np.nan)
        return OTHERS, {"its length": quantiles(lengths.to_numpy(dtype=float))}
    return OTHERS, {}


def _telling(target: Target, kind: str, columns: dict[str, dict[str, np.ndarray]]) -> Iterator[_Told]:
    """The columns of a kind that say the target well enough to be told of."""
    for column, read in columns.items():
        answers = [(a, what) for what, codes in read.items() if (a := target.told_by(codes)) is not None]
        answer, what = max(answers, key=lambda pair: pair[0].value, default=(None, ""))
        if answer is None or answer.strength < (CLEARLY if kind in (IDS, ORDER) else STRONG):
            continue
        if kind not in (IDS, ORDER) or answer.surely(target.groups) >= AT_LEAST:
            yield _Told(column, what, answer)


_EFFECTS = {
    IDS: "rows were named or collected apart by {0}; whatever else differs between them may be learned in its place",
    ORDER: "no model reads the order, but rows that were collected apart by {0} may differ in other ways as well",
    OTHERS: "a trace of it in the inputs (scanner, site, batch) may be learned in place of {0}, and fail elsewhere",
    INPUTS: "where it is only known once {0} is, the metric is too good to be true: leave it out with --drop",
}


def _finding(kind: str, name: str, groups: np.ndarray, told: list[_Told], of: int) -> Finding:
    """Columns of one kind that say the target, the best of them named with their intervals."""
    shown = []
    for one in told[:_NAMED]:
        e = one.answer.interval(groups)
        what = f" ({one.what})" if one.what else ""
        shown.append(f"{one.column}{what} {one.answer.measure} {e.value:.2f} [{e.low:.2f}, {e.high:.2f}]")
    more = f" and {len(told) - _NAMED} more" if len(told) > _NAMED else ""
    strongest = told[0].answer.strength
    limit = {IDS: STRONG, ORDER: np.inf, OTHERS: STRONG, INPUTS: CERTAIN}[kind]
    severity: Severity = "warning" if strongest >= limit else "note"
    text = f"{len(told):,} of {of:,} {kind} say {name} alone: {', '.join(shown)}{more}"
    if kind == ORDER:
        text = f"the place of a row in the table says {name}: {shown[0].removeprefix(_ORDER).strip()}"
    return Finding("single column", severity, text, len(told), of, "train", _EFFECTS[kind].format(name))
