"""Figures: from arrays and numbers to inline SVG. No figure places single rows: points are counted in small cells."""

from collections.abc import Sequence

import numpy as np

from anlage.report.svg import WIDTH, Plot, document, shorten, words

LARGEST_MATRIX = 24
"""Classes that still fit into a confusion matrix of the width of a phone."""


def forest(rows: Sequence[tuple[str, float, float | None, float | None]], metric: str) -> str:
    """Value and interval of the model (first row) and each baseline. ``rows``: (name, value, low, high)."""
    numbers = [number for row in rows for number in row[1:] if number is not None]
    low, high = min(numbers), max(numbers)
    margin = 0.06 * ((high - low) or abs(high) or 1)
    height = 34.0 * len(rows) + 50
    plot = Plot((low - margin, high + margin), (0, 1), height=height, left=12)
    plot.axes(metric, "", y_ticks=False)
    plot.segment(rows[0][1], 0, rows[0][1], 1, "guide")
    for index, (name, value, lower, upper) in enumerate(rows):
        y = 1 - (34.0 * index + 23) / (plot.bottom - plot.top)
        css = "model" if index == 0 else "other"
        plot.body.append(words(plot.left, plot.y(y) - 9, shorten(name, 44), f"label {css}"))
        if lower is not None and upper is not None:
            plot.segment(lower, y, upper, y, f"bar {css}")
        plot.dot(value, y, 4.5, f"fill-{css}")
    return plot.svg(f"{metric}: value and interval of the model and of each baseline")


Line = tuple[str, Sequence[float], Sequence[float]]
"""Name, x, y."""


def curves(series: Sequence[Line], x_label: str, y_label: str, mark: float | None = None) -> str:
    """One to three lines over the same axes, the first in the model's colour; ``mark``: x of a vertical line."""
    xs = np.concatenate([np.asarray(x, dtype=float) for _, x, _ in series])
    ys = np.concatenate([np.asarray(y, dtype=float) for _, _, y in series])
    ys = ys[np.isfinite(ys)]
    margin = 0.06 * (np.ptp(ys) or 1)
    plot = Plot((xs.min(), xs.max()), (ys.min() - margin, ys.max() + margin))
    plot.top = 26.0 if len(series) > 1 else plot.top
    plot.axes(x_label, y_label)
    if mark is not None:
        plot.segment(mark, plot.y_range[0], mark, plot.y_range[1], "guide")
    for index, (_, x, y) in enumerate(series):
        points = list(zip(map(float, x), map(float, y), strict=True))
        plot.line(points, f"series-{index}")
        if len(points) == 1:
            plot.dot(*points[0], 3.5, f"fill-series-{index}")
    legend(plot, [name for name, _, _ in series])
    return plot.svg(f"{y_label} over {x_label}")


def roc(truth: np.ndarray, score: np.ndarray) -> str:
    """Receiver operating characteristic. ``truth`` [samples] 0/1, ``score`` [samples]."""
    from sklearn.metrics import roc_curve

    false, true, _ = roc_curve(truth, score)
    return _unit_square(false, true, "false positive rate", "true positive rate", "ROC curve", (0, 0, 1, 1))


def precision_recall(truth: np.ndarray, score: np.ndarray) -> str:
    """Precision over recall; the dashed line is what guessing gives."""
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(truth, score)
    share = float(np.mean(truth))
    return _unit_square(recall, precision, "recall", "precision", "precision–recall curve", (0, share, 1, share))


def confusion(counts: np.ndarray, labels: Sequence[str]) -> str:
    """Rows: truth, columns: prediction; the colour is the share of the row. ``counts`` [classes, classes]."""
    size = len(labels)
    left, top = 104.0, max(26.0, 12 + 6.4 * min(14, max(map(len, labels))))
    cell = min((WIDTH - left - 4) / size, 56)
    body = []
    for row in range(size):
        total = max(int(counts[row].sum()), 1)
        y = top + row * cell
        body.append(words(left - 6, y + cell / 2 + 4, shorten(labels[row], 16), "label", "end"))
        x = left + row * cell + cell / 2
        body.append(words(x + 3, top - 6, shorten(labels[row], 14), "label", "start", turn=-90))
        for column in range(size):
            number, share = int(counts[row, column]), counts[row, column] / total
            css = "hit" if row == column else "miss"
            x = left + column * cell
            box = f'x="{x:.1f}" y="{y:.1f}" width="{cell - 1.5:.1f}" height="{cell - 1.5:.1f}" rx="2"'
            body.append(f'<rect {box} class="empty"/>')
            if number:
                body.append(f'<rect {box} class="{css}" opacity="{0.1 + 0.9 * share:.2f}"/>')
            if number and size <= 14:
                strong = " strong" if share > 0.5 else ""
                middle = (x + cell / 2 - 0.75, y + cell / 2 + 3)
                text = str(number) if number < 10_000 else f"{number / 1000:.0f}k"
                body.append(words(*middle, text, f"count{strong}", "middle"))
    body.append(words(left + size * cell / 2, top + size * cell + 18, "predicted", "name", "middle"))
    body.append(words(4, top - 7, "true", "name"))
    return document(body, top + size * cell + 26, "Confusion matrix: true label by predicted label")


def scatter(truth: np.ndarray, value: np.ndarray) -> str:
    """Prediction over truth; the dashed line is perfection."""
    low, high = min(truth.min(), value.min()), max(truth.max(), value.max())
    plot = Plot((low, high), (low, high), height=330)
    plot.axes("true", "predicted")
    plot.segment(low, low, high, high, "guide")
    _cells(plot, truth, value)
    return plot.svg("Predicted over true values")


def residuals(truth: np.ndarray, value: np.ndarray) -> str:
    """Prediction minus truth, over the prediction."""
    error = value - truth
    reach = float(np.abs(error).max()) or 1.0
    plot = Plot((value.min(), value.max()), (-reach, reach), height=330)
    plot.axes("predicted", "predicted − true")
    plot.segment(plot.x_range[0], 0, plot.x_range[1], 0, "guide")
    _cells(plot, value, error)
    return plot.svg("Residuals over predicted values")


def label_bars(labels: Sequence[str], scores: np.ndarray, counts: np.ndarray, name: str) -> str:
    """A bar from 0 to 1 for each label, with the number of rows that have it."""
    left, row = 118.0, 22.0
    length = WIDTH - left - 78
    body = []
    for index, (label, score, count) in enumerate(zip(labels, scores, counts, strict=True)):
        y = 4 + index * row
        body.append(words(left - 6, y + 13, shorten(label, 18), "label", "end"))
        body.append(f'<rect x="{left}" y="{y:.1f}" width="{length:.1f}" height="{row - 6}" rx="2" class="empty"/>')
        if np.isfinite(score):
            body.append(
                f'<rect x="{left}" y="{y:.1f}" width="{length * score:.1f}" height="{row - 6}" rx="2" class="hit"/>'
            )
        text = f"{score:.2f}" if np.isfinite(score) else "–"
        body.append(words(left + length + 6, y + 13, text, "label"))
        body.append(words(WIDTH - 4, y + 13, f"n {count:,}", "tick", "end"))
    height = 4 + row * len(labels) + 20
    body.append(words(left + length / 2, height - 5, name, "name", "middle"))
    return document(body, height, f"{name} of each label")


def _unit_square(
    x: np.ndarray, y: np.ndarray, x_label: str, y_label: str, title: str, guide: tuple[float, float, float, float]
) -> str:
    """A curve in the unit square, thinned to what can be seen."""
    plot = Plot((0, 1), (0, 1), height=330)
    plot.axes(x_label, y_label)
    plot.segment(*guide, "guide")
    seen = {(round(float(a), 3), round(float(b), 3)): None for a, b in zip(x, y, strict=True)}
    plot.line(list(seen), "series-0")
    return plot.svg(title)


def _cells(plot: Plot, x: np.ndarray, y: np.ndarray, cells: int = 48) -> None:
    """Points counted in a grid of small cells: of many rows one sees where they lie, of none its values."""
    counted, x_edges, y_edges = np.histogram2d(x, y, bins=cells, range=[plot.x_range, plot.y_range])
    largest = counted.max()
    for column, row in np.argwhere(counted > 0):
        share = np.log1p(counted[column, row]) / np.log1p(largest) if largest > 1 else 0.4
        middle = (x_edges[column : column + 2].mean(), y_edges[row : row + 2].mean())
        plot.dot(*middle, 1.6 + 1.6 * share, "fill-model", 0.35 + 0.6 * share)


def legend(plot: Plot, names: Sequence[str]) -> None:
    """The colours of the lines, where there is more than one."""
    if len(names) < 2:
        return
    x = plot.left + 10
    for index, name in enumerate(names):
        plot.body.append(f'<rect x="{x:.0f}" y="9" width="14" height="3" class="fill-series-{index}"/>')
        plot.body.append(words(x + 19, 14, name, "label"))
        x += 34 + 6.2 * len(name)
