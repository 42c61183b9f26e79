"""What labels tell: the same sample with different ones, and parts whose labels are not alike."""

import numpy as np
import pandas as pd

from anlage.auditing.across import NAMES
from anlage.auditing.findings import Audit, Finding, Severity, share
from anlage.auditing.kin import Kin, comparisons, part_rows, partners
from anlage.tasks.labels import as_labels, as_numbers, as_truths
from anlage.tasks.protocol import Task

_SHIFTED = 0.1
"""Cramér's V, or the Kolmogorov-Smirnov distance, from which on a difference between parts is worth a line."""
_STRONGLY = 0.3
_P = 1e-3


def conflicts(kin: Kin, found: Audit) -> None:
    """Rows that are equal in every input and whose labels differ: within a part, and between test and training."""
    for task in kin.plan.preparation.tasks:
        frame = kin.plan.targets[task.columns]
        spread = _spread(task, frame.iloc[part_rows(kin.plan, "train")])
        for part in ("train", "test"):
            _within(kin, found, task, part, spread)
        if len(part_rows(kin.plan, "test")):
            _against(kin, found, task, spread)


def _spread(task: Task, frame: pd.DataFrame) -> np.ndarray | None:
    """[columns] how much two values of one sample may differ before it is a conflict: one standard deviation of the
    training rows; None where labels must be equal."""
    if task.name != "regression":
        return None
    return np.array([np.nanstd(as_numbers(frame[c])) if frame[c].notna().any() else 0.0 for c in frame])


def _said(task: Task, frame: pd.DataFrame) -> np.ndarray:
    """[rows, columns] what each row says of the target as numbers, NaN = nothing: codes of labels, or values."""
    if task.name == "regression":
        return np.stack([as_numbers(frame[c]) for c in frame], axis=1)
    if task.name == "multilabel" and frame.shape[1] > 1:
        return np.stack([as_truths(frame[c]) for c in frame], axis=1)
    cells = as_labels(frame.iloc[:, 0])
    if task.name == "multilabel":  # a;b and b;a are the same
        cells = [
            "" if c is None else ";".join(sorted(p.strip() for p in c.replace("|", ";").split(";"))) for c in cells
        ]
    codes = pd.factorize(pd.Series(cells, dtype=object))[0].astype(float)
    return np.where(codes < 0, np.nan, codes)[:, None]


def _set(cell: str | None) -> set[str]:
    """The labels that one cell joins by ; or |."""
    return set() if cell is None else {part.strip() for part in cell.replace("|", ";").split(";")} - {""}


def _differing(said: np.ndarray, codes: np.ndarray, spread: np.ndarray | None) -> np.ndarray:
    """[rows] bool: rows of a sample (``codes``) whose rows disagree in some column."""
    groups = pd.DataFrame(said).groupby(codes)
    apart = (groups.max() - groups.min()).fillna(0.0)
    bad = (apart > (spread if spread is not None else 0.0)).any(axis=1)
    return bad.reindex(codes).to_numpy(dtype=bool)


def _threshold(task: Task, spread: np.ndarray | None) -> str:
    if spread is None:
        return "have different labels"
    return f"differ by more than one standard deviation ({', '.join(f'{s:.3g}' for s in spread[:4])})"


def _within(kin: Kin, found: Audit, task: Task, part: str, spread: np.ndarray | None) -> None:
    rows = part_rows(kin.plan, part)
    rows = rows[kin.samples[rows] >= 0]
    said = _said(task, kin.plan.targets[task.columns].iloc[rows])
    known = ~np.isnan(said).all(axis=1)
    rows, said = rows[known], said[known]
    codes = kin.samples[rows]
    bad = _differing(said, codes, spread) if len(rows) else np.zeros(0, dtype=bool)
    name = NAMES[part]
    found.checked.append(
        f"equal samples within the {name} rows that {_threshold(task, spread)} in {task.target}: {bad.sum() or 'none'}"
    )
    if not bad.any():
        return
    samples = len(np.unique(codes[bad]))
    text = (f"{share(int(bad.sum()), len(rows))} {name} rows belong to {samples:,} samples whose rows "
            f"{_threshold(task, spread)} in {task.target}")  # fmt: skip
    if spread is None and said.shape[1] == 1:
        right = int(pd.DataFrame({"s": codes, "l": said[:, 0]}).groupby(["s", "l"]).size().groupby("s").max().sum())
        effect = f"at most {share(right, len(rows))} of them can be right, whatever the model"
    else:
        effect = "no model can be right on all of these rows"
    contradicted = _contradicted(said, codes, rows)
    found.add(Finding("conflicting labels", "warning", text, int(bad.sum()), len(rows), part, effect, rows[bad],
                      contradicted[bad]))  # fmt: skip


def _contradicted(said: np.ndarray, codes: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """[rows] for each row the row of the same sample that says most else: the highest of the low ones, and the lowest
    of the high ones."""
    value = pd.Series(np.nan_to_num(said, nan=0.0).sum(axis=1))
    groups = value.groupby(codes)
    low, high = (rows[groups.transform(name).to_numpy(dtype=int)] for name in ("idxmin", "idxmax"))
    nearer_low = (value - groups.transform("min") <= groups.transform("max") - value).to_numpy()
    return np.where(nearer_low, high, low)


def _against(kin: Kin, found: Audit, task: Task, spread: np.ndarray | None) -> None:
    """Test rows whose equal in training says otherwise."""
    said = _said(task, kin.plan.targets[task.columns])
    silent = np.isnan(said).all(axis=1)
    flagged: list[np.ndarray] = []
    others: list[np.ndarray] = []
    for part, rows, train in comparisons(kin.plan):
        if part != "test":
            continue
        rows, train = rows[~silent[rows]], train[~silent[train]]
        known = rows[partners(kin.samples, rows, train) >= 0]
        both = np.concatenate([known, train[np.isin(kin.samples[train], kin.samples[known])]])
        if not len(both):
            continue
        bad = _differing(said[both], kin.samples[both], spread)[: len(known)]
        flagged.append(known[bad])
        others.append(partners(kin.samples, known[bad], train))
    rows = np.concatenate(flagged) if flagged else np.arange(0)
    of = len(part_rows(kin.plan, "test"))
    words = f"equal a training row with another {task.target}"
    if spread is not None:
        words = f"equal a training row and {_threshold(task, spread)} from it in {task.target}"
    found.checked.append(f"test rows that {words}: {len(rows) or 'none'}")
    if len(rows):
        text = f"{share(len(rows), of)} test rows {words}"
        effect = "a model that learned its training row is counted wrong on them"
        found.add(Finding("conflicting labels across parts", "warning", text, len(rows), of, "test", effect, rows,
                          np.concatenate(others)))  # fmt: skip


def shift(kin: Kin, found: Audit) -> None:
    """Do the labels of the test rows come from the distribution of the training rows? Chi-square with Cramér's V
    (bias-corrected: Bergsma 2013), or the two-sample Kolmogorov-Smirnov test with its distance; both must matter."""
    test, train = (part_rows(kin.plan, part) for part in ("test", "train"))
    if kin.plan.preparation.tasks and (len(kin.plan.folds) > 1 or not len(test)):
        found.skip("label shift between parts", "every row is tested once" if len(test) else "there is no test part")
        return
    for task in kin.plan.preparation.tasks:
        one, two = (_outputs(task, kin.plan.targets[task.columns].iloc[rows]) for rows in (train, test))
        lacks = np.full(len(test), "False")  # no test row has this one of several labels
        measured = [(name, *_shifted(task, labels, two.get(name, lacks))) for name, labels in one.items()]
        name, size, p, shown = max(measured, key=lambda m: m[1], default=("", 0.0, 1.0, ""))
        found.checked.append(f"shift of {task.target} between training and test: {shown or 'nothing to compare'}")
        if size >= _SHIFTED and p < _P:
            where = f"{task.target}, {name}," if len(measured) > 1 else task.target
            text = f"{where} is distributed differently in the test rows than in training ({shown})"
            effect = "metrics that depend on how frequent labels are (accuracy, precision, calibration) shift with it"
            severity: Severity = "warning" if size >= _STRONGLY else "note"
            found.add(Finding("label shift", severity, text, len(test), len(test), "test", effect))
        if unknown := _unknown(task, one, two):
            text = f"{share(unknown, len(test))} test rows have a {task.target} that no training row has"
            found.add(Finding("unknown labels", "note", text, unknown, len(test), "test", "these rows are not judged"))


def _outputs(task: Task, frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """Name → known labels (text) or numbers of each output."""
    if task.name == "regression":
        return {str(c): (v := as_numbers(frame[c]))[~np.isnan(v)] for c in frame}
    if task.name == "multilabel" and frame.shape[1] > 1:
        return {str(c): (v := as_truths(frame[c]))[~np.isnan(v)].astype(str) for c in frame}
    cells = as_labels(frame.iloc[:, 0])
    if task.name == "classification":
        return {task.target: np.array([c for c in cells if c is not None], dtype=object)}
    sets = [_set(cell) for cell in cells]
    names = sorted(set().union(*sets)) if sets else []
    return {name: np.array([str(name in some) for some in sets]) for name in names[:200]}


def _shifted(task: Task, train: np.ndarray, test: np.ndarray) -> tuple[float, float, str]:
    """Effect size, p and both in words."""
    from scipy import stats

    if not len(train) or not len(test):
        return 0.0, 1.0, ""
    if task.name == "regression":
        result = stats.ks_2samp(train, test, method="asymp")
        distance, p = float(result.statistic), float(result.pvalue)
        medians = f"median {np.median(train):.3g} and {np.median(test):.3g}"
        return distance, p, f"Kolmogorov-Smirnov distance {distance:.2f}, {_p(p)}; {medians}"
    codes, names = pd.factorize(np.concatenate([train, test]))
    counts = np.stack([np.bincount(c, minlength=len(names)) for c in (codes[: len(train)], codes[len(train) :])])
    counts = counts[:, counts.sum(0) >= 5]
    if counts.shape[1] < 2 or not counts.sum(1).all():
        return 0.0, 1.0, "labels are too few to compare"
    chi2, p, degrees, _ = stats.chi2_contingency(counts, correction=False)
    # Two parts, so V² = chi² / n, less what chance alone gives (Bergsma 2013).
    size = float(np.sqrt(max(0.0, (chi2 - degrees) / counts.sum())))
    shares = counts / counts.sum(1, keepdims=True)
    most = int(np.argmax(np.abs(shares[0] - shares[1])))
    moved = f"one label has {shares[0, most]:.1%} of the training and {shares[1, most]:.1%} of the test rows"
    return size, float(p), f"Cramér's V {size:.2f}, {_p(float(p))}; {moved}"


def _p(p: float) -> str:
    return "p < 0.001" if p < 1e-3 else f"p = {p:.2g}"


def _unknown(task: Task, train: dict[str, np.ndarray], test: dict[str, np.ndarray]) -> int:
    """Test rows whose class no training row has."""
    if task.name != "classification":
        return 0
    known = set(train[task.target])
    return sum(label not in known for label in test[task.target])
