"""What is shown of one target's predictions: figures, the most confused labels, the worst errors."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from anlage.bundle.numbers import count, number
from anlage.metrics.multilabel import MACRO_AUROC, MACRO_F1
from anlage.report import figures
from anlage.report.view import TargetView

WORST = 12
"""Errors that are listed."""
BARS = 30
"""Labels that have a bar of their own."""


@dataclass
class Figure:
    """One drawing and the words below it."""

    svg: str
    caption: str


@dataclass
class Table:
    """A small table with a heading of its own."""

    title: str
    header: list[str]
    rows: list[list[str]]

    def lines(self) -> list[str]:
        """The header and the rows for the terminal, in columns."""
        cells = [self.header, *self.rows]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        return ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in cells]


@dataclass
class Judged:
    """The section of one target."""

    name: str
    part: str
    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    summary: str = ""
    """The errors in numbers: shows no row."""


def judged(target: TargetView, show_rows: bool) -> Judged:
    """Figures and errors of one target; a task that has none here shows its metrics alone."""
    result = Judged(target.name, target.part)
    kinds: dict[str, Callable[[TargetView, Judged, bool], None]] = {
        "classification": _classification,
        "multilabel": _multilabel,
        "regression": _regression,
    }
    if target.task in kinds and len(target.truth):
        kinds[target.task](target, result, show_rows)
    return result


def _classification(target: TargetView, result: Judged, show_rows: bool) -> None:
    seen = np.isfinite(target.truth[:, 0])
    if not seen.any():
        return
    ids, truth = target.ids[seen], target.truth[seen, 0].astype(int)
    values = target.values[seen]
    if values.shape[1] == 1:
        values = np.hstack([1 - values, values])
    predicted, labels = values.argmax(axis=1), target.labels
    if len(labels) == 2 and len(np.unique(truth)) == 2:
        positive = f"“{labels[1]}” is the positive label."
        result.figures.append(Figure(figures.roc(truth, values[:, 1]), f"ROC curve. {positive} Dashed: guessing."))
        drawn = figures.precision_recall(truth, values[:, 1])
        result.figures.append(Figure(drawn, "Precision and recall at every threshold. Dashed: guessing."))
    matrix = np.zeros((len(labels), len(labels)), dtype=int)
    np.add.at(matrix, (truth, predicted), 1)
    if len(labels) <= figures.LARGEST_MATRIX:
        caption = "Confusion matrix, in rows; the colour is the share of the true label."
        result.figures.append(Figure(figures.confusion(matrix, labels), caption))
    if len(labels) > 2:
        result.tables.append(_most_confused(matrix, labels))
    wrong = predicted != truth
    confidence = values[np.arange(len(values)), predicted]
    result.summary = (
        f"{count(int(wrong.sum()))} of {count(len(truth))} rows got a wrong label, "
        f"{count(int((wrong & (confidence > 0.9)).sum()))} of them with more than 90 % confidence."
    )
    if show_rows:
        order = np.argsort(-confidence * wrong, kind="stable")[: min(WORST, int(wrong.sum()))]
        rows = [[str(ids[i]), labels[truth[i]], labels[predicted[i]], number(float(confidence[i]))] for i in order]
        result.tables.append(Table("Worst errors", ["id", "true", "predicted", "confidence"], rows))


def _most_confused(matrix: np.ndarray, labels: list[str]) -> Table:
    errors = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-errors, axis=None, kind="stable")[:WORST]
    rows = []
    for true, predicted in zip(*np.unravel_index(order, errors.shape), strict=True):
        if errors[true, predicted]:
            share = errors[true, predicted] / matrix[true].sum()
            rows.append([labels[true], labels[predicted], count(int(errors[true, predicted])), f"{share:.0%}"])
    return Table("Most confused labels", ["true", "taken for", "rows", "share"], rows)


def _multilabel(target: TargetView, result: Judged, show_rows: bool) -> None:
    labels = target.labels
    seen = np.isfinite(target.truth)
    truth, chosen = np.nan_to_num(target.truth) > 0.5, target.values >= 0.5
    positive = (truth & seen).sum(axis=0)
    most = np.argsort(-positive, kind="stable")[:BARS]
    kept = f"the {BARS} most common of {count(len(labels))} labels" if len(labels) > BARS else "each label"
    names = [labels[i] for i in most]
    for metric, title, caption in (
        (MACRO_AUROC, "AUROC", f"Area under the ROC curve of {kept}; n: rows that have it."),
        (MACRO_F1, "F1", f"F1 of {kept} at a probability of one half."),
    ):
        alone = [metric(target.truth[:, [i]], target.values[:, [i]]) if seen[:, i].any() else np.nan for i in most]
        drawn = figures.label_bars(names, np.array(alone), positive[most], title)
        result.figures.append(Figure(drawn, caption))
    wrong = ((truth != chosen) & seen).sum(axis=1)
    judged_rows = seen.any(axis=1)
    result.summary = (
        f"{count(int((wrong > 0).sum()))} of {count(int(judged_rows.sum()))} rows have at least one wrong label."
    )
    if show_rows:
        order = [i for i in np.argsort(-wrong, kind="stable")[:WORST] if wrong[i]]
        named = [(_names(truth[i] & seen[i], labels), _names(chosen[i], labels)) for i in order]
        rows = [[str(target.ids[i]), *names, str(int(wrong[i]))] for i, names in zip(order, named, strict=True)]
        result.tables.append(Table("Worst errors", ["id", "true", "predicted", "wrong labels"], rows))


def _names(chosen: np.ndarray, labels: list[str]) -> str:
    return ", ".join(label for label, yes in zip(labels, chosen, strict=True) if yes) or "none"


def _regression(target: TargetView, result: Judged, show_rows: bool) -> None:
    several = target.truth.shape[1] > 1
    for output, name in enumerate(target.labels or [target.name]):
        seen = np.isfinite(target.truth[:, output]) & np.isfinite(target.values[:, output])
        if not seen.any():
            continue
        truth, value = target.truth[seen, output].astype(float), target.values[seen, output].astype(float)
        of = f"{name}: predicted" if several else "Predicted"
        drawn = figures.scatter(truth, value)
        result.figures.append(Figure(drawn, f"{of} over true value, rows counted in cells. Dashed: perfect."))
        drawn = figures.residuals(truth, value)
        result.figures.append(Figure(drawn, "Error over prediction: a slope or a funnel shows what was not learned."))
        error = np.abs(value - truth)
        low, high = np.quantile(error, [0.5, 0.95])
        result.summary += (
            f"{f'{name}: h' if several else 'H'}alf of the {count(len(truth))} rows are off by less than "
            f"{number(float(low))}, 95 % by less than {number(float(high))}. "
        )
        if show_rows:
            ids = target.ids[seen]
            order = np.argsort(-error, kind="stable")[:WORST]
            rows = [[str(ids[i]), *(number(float(v[i])) for v in (truth, value, error))] for i in order]
            title = f"Worst errors of {name}" if several else "Worst errors"
            result.tables.append(Table(title, ["id", "true", "predicted", "off by"], rows))
