"""A picture of a file of vectors: their first two principal components, coloured by a column of the table."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from anlage.embedding.settings import EmbedSettings
from anlage.embedding.vectors_file import VectorsFile
from anlage.errors import AnlageError
from anlage.samples.read import stream

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUFFIXES = (".png", ".svg", ".pdf")
MOST_POINTS = 20_000
"""Vectors that are drawn, and by which the components are found: evenly spaced rows of the file."""
_PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#f0e442")
"""Told apart by colour-blind readers (Okabe & Ito 2008)."""
_OTHERS, _MISSING = "#9a9a9a", "#d9d9d9"


def check_map(settings: EmbedSettings) -> None:
    """AnlageError where no picture can be drawn, before any work is done."""
    if settings.map is None:
        if settings.color is not None:
            raise AnlageError(f"--color {settings.color} colours a map: say where to draw it with --map FILE.png")
    elif settings.map.suffix.lower() not in SUFFIXES:
        raise AnlageError(f"--map {settings.map}: pictures are written as {', '.join(SUFFIXES)}")
    elif settings.level != "sample":
        raise AnlageError("--map draws one point for each row: leave --level element out")


def draw_map(
    vectors: Path, table: str | Path | pd.DataFrame, color: str | None, id_column: str | None, path: Path
) -> None:
    """Write the picture. ``color``: a column of ``table``, found by the rows' ids; numbers get a scale, texts a colour
    for each of the most frequent."""
    from matplotlib.figure import Figure
    from sklearn.decomposition import PCA

    ids, points = _some(VectorsFile(vectors))
    if len(points) < 3 or points.shape[1] < 2:
        raise AnlageError(f"{vectors}: a map needs three vectors of two numbers at least")
    values = None if color is None else _column(table, color, id_column, ids)
    components = PCA(n_components=2, random_state=0)
    places = components.fit_transform(points)
    order = np.random.default_rng(0).permutation(len(places))  # so that no group covers another for coming later
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    size = float(np.clip(6000 / len(places), 3, 25))
    _draw(axes, places[order], None if values is None else values.iloc[order], size)
    for axis, number, share in zip("xy", (1, 2), components.explained_variance_ratio_, strict=True):
        axes.set(**{f"{axis}label": f"component {number} ({share:.1%} of the variance)"})
    axes.set_title(f"{len(places):,} vectors of {points.shape[1]:,} numbers" + (f", by {color}" if color else ""))
    axes.spines[["top", "right"]].set_visible(False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise AnlageError(f"{path}: cannot be written ({error.strerror or error})") from error


def _some(file: VectorsFile) -> tuple[np.ndarray, np.ndarray]:
    """Ids and float32 vectors of at most MOST_POINTS evenly spaced rows."""
    wanted = np.unique(np.linspace(0, file.rows - 1, min(file.rows, MOST_POINTS)).astype(np.int64))
    ids, vectors, at = [], [], 0
    for block in file.blocks(4096):
        here = wanted[(wanted >= at) & (wanted < at + len(block.ids))] - at
        ids.append(block.ids[here])
        vectors.append(block.vectors[here].astype(np.float32))
        at += len(block.ids)
    return np.concatenate(ids), np.concatenate(vectors)


def _column(table: str | Path | pd.DataFrame, color: str, id_column: str | None, ids: np.ndarray) -> pd.Series:
    """The values of the rows with these ids."""
    found = []
    for samples in stream(table, id_column=id_column):
        if color not in samples.frame:
            has = ", ".join(map(str, samples.frame.columns[:12]))
            raise AnlageError(f"--color {color}: no such column; there are {has}")
        found.append(samples.frame[color][samples.frame.index.isin(ids)])
    return pd.concat(found).reindex(ids)


def _draw(axes: "Axes", places: np.ndarray, values: pd.Series | None, size: float) -> None:
    style: dict[str, Any] = {"s": size, "linewidths": 0, "alpha": 0.8}
    if values is None:
        axes.scatter(*places.T, color=_PALETTE[0], **style)
    elif pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values) and values.nunique() > 2:
        known = values.notna().to_numpy()
        axes.scatter(*places[~known].T, color=_MISSING, **style)
        shown = axes.scatter(places[known, 0], places[known, 1], c=values[known], cmap="viridis", **style)
        axes.figure.colorbar(shown, ax=axes, label=str(values.name))
    else:
        texts = values.astype(object).where(values.notna(), None).map(lambda v: v if v is None else str(v))
        counts = texts.value_counts()
        some = list(counts.index[: len(_PALETTE)])
        color = dict(zip(some, _PALETTE, strict=False))
        others = f"{len(counts) - len(some):,} others"
        named = [None if v is None else v if v in color else others for v in texts]
        colors = [color.get(v, _OTHERS if v else _MISSING) for v in named]
        axes.scatter(places[:, 0], places[:, 1], c=colors, **style)
        entries = [*some, *([others] if len(counts) > len(some) else []), *([None] if None in named else [])]
        for entry in entries:
            label = "(missing)" if entry is None else entry if len(entry) < 30 else entry[:29] + "…"
            axes.scatter([], [], color=color.get(entry, _OTHERS if entry else _MISSING), label=label, s=25)
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, title=str(values.name))
