"""Rows unlike anything that a model was trained on: flagged, with the reason in words.

Three checks. The model's own vector, and the plain features of each input, by their distance from the training rows
(:class:`Distance`): a network sees only what its task needed, plain features see what it ignores. And simple numbers of
each input (:meth:`Modality.profile`) against what the training rows span (:class:`Ranges`). How far is too far is read
from the VALIDATION rows, from which nothing was learned: together the checks flag at most about 1 % of such rows.
A flag says that the model's figures were not measured on rows like this one; rows that are not flagged can be strange
in ways that none of these numbers shows.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from anlage.errors import AnlageError
from anlage.evaluation.distance import Distance
from anlage.evaluation.estimates import estimate_json
from anlage.evaluation.intervals import interval, weights
from anlage.evaluation.ranges import Ranges
from anlage.metrics.metric import Metric
from anlage.training.preparation import Preparation

NOVELTY = "novelty.safetensors"
"""The file in a bundle."""
FLAGGED = 0.01
"""Share of rows like the validation rows that all checks together flag."""
MOST_ROWS = 5000
"""Training rows, and validation rows, from which distances and limits are learned at most."""
METHOD = (
    "distance of the model's vector and of plain features from the training rows (Mahalanobis, probabilistic PCA), and "
    "numbers outside the range of the training rows; limits from validation rows"
)
_SCHEMA = 1
_FEWEST = 10

Frames = Mapping[str, pd.DataFrame]
VectorsOf = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Novelty:
    """What is usual for one model. ``limits``: for each check ("vector", "features INPUT", "range INPUT") the distance
    from which on a row is flagged."""

    rows: int
    """Training rows."""
    vector: Distance | None = None
    features: dict[str, Distance] = field(default_factory=dict)
    ranges: dict[str, Ranges] = field(default_factory=dict)
    complete: list[str] = field(default_factory=list)
    """Inputs that no training row lacked."""
    limits: dict[str, float] = field(default_factory=dict)

    @classmethod
    def fit(
        cls, preparation: Preparation, frames: Frames, train: np.ndarray, valid: np.ndarray, vectors_of: VectorsOf
    ) -> Self | None:
        """``frames``: checked rows by input; ``train``, ``valid``: numbers of rows in them, the only ones that are
        read; ``vectors_of(rows)`` [rows, width]: the model's vectors. None with fewer than two validation rows: then no
        limit is known."""
        if len(valid) < 2:
            return None
        train, some, valid = np.asarray(train), _thinned(np.asarray(train)), _thinned(np.asarray(valid))
        features: dict[str, Distance] = {}
        ranges: dict[str, Ranges] = {}
        complete = []
        for item in preparation.inputs:
            frame = frames[item.name]
            present = frame.notna().any(axis=1).to_numpy()
            if present[train].all():
                complete.append(item.name)
            learned = some[present[some]]
            if len(learned) and (of := Distance.fit(item.modality.descriptors(frame.iloc[learned]).values)) is not None:
                features[item.name] = of
            if (spans := Ranges.fit(item.modality.profile(frame.iloc[train[present[train]]]))) is not None:
                ranges[item.name] = spans
        usual = cls(len(train), Distance.fit(vectors_of(some)), features, ranges, complete)
        far = usual.distances(preparation, _take(frames, valid), vectors_of(valid))
        share = FLAGGED / max(1, len(far))
        limits = {name: limit(of, share) for name, of in far.items()}
        return cls(len(train), usual.vector, features, ranges, complete, limits)

    def distances(self, preparation: Preparation, frames: Frames, vectors: np.ndarray) -> dict[str, np.ndarray]:
        """For each check the distance of each row; NaN where it does not apply (a missing input)."""
        found = {} if self.vector is None else {"vector": self.vector(vectors)}
        for item in preparation.inputs:
            frame = frames[item.name]
            present = frame.notna().any(axis=1).to_numpy()
            if (distance := self.features.get(item.name)) is not None:
                far = distance(item.modality.descriptors(frame).values)
                found[f"features {item.name}"] = np.where(present, far, np.nan)
            if (ranges := self.ranges.get(item.name)) is not None:
                out = ranges.outside(item.modality.profile(frame))
                found[f"range {item.name}"] = np.where(present, np.nan_to_num(out, nan=0.0).max(axis=1), np.nan)
        return found

    def to_bytes(self) -> bytes:
        """The file :data:`NOVELTY`: distances as tensors, the rest as JSON in its head. Means, deviations and
        directions alone; no row."""
        from safetensors.numpy import save

        of = {"vector": self.vector} | {f"features {name}": distance for name, distance in self.features.items()}
        named = {name: distance for name, distance in of.items() if distance is not None}
        tensors = {
            f"{number} {key}": value
            for number, distance in enumerate(named.values())
            for key, value in distance.tensors().items()
        }
        head = {
            "schema": _SCHEMA, "rows": self.rows, "distances": list(named), "complete": self.complete,
            "ranges": {name: ranges.to_json() for name, ranges in self.ranges.items()}, "limits": self.limits,
        }  # fmt: skip
        return save(tensors, metadata={"novelty": json.dumps(head, allow_nan=False)})

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """From a file of :meth:`to_bytes`. AnlageError where it is none."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="np") as file:
                head = json.loads((file.metadata() or {})["novelty"])
                if head["schema"] != _SCHEMA:
                    raise ValueError(f"schema {head['schema']}: update anlage")
                distances = {}
                for number, name in enumerate(head["distances"]):
                    keys = [key for key in file.keys() if key.startswith(f"{number} ")]  # noqa: SIM118 (no mapping)
                    tensors = {key.split(" ", 1)[1]: file.get_tensor(key) for key in keys}
                    distances[str(name)] = Distance.restored(tensors)
            ranges = {str(name): Ranges.from_json(of) for name, of in head["ranges"].items()}
            limits = {str(name): float(value) for name, value in head["limits"].items()}
            vector = distances.pop("vector", None)
            features = {name.removeprefix("features "): distance for name, distance in distances.items()}
            return cls(int(head["rows"]), vector, features, ranges, [str(n) for n in head["complete"]], limits)
        except (SafetensorError, OSError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise AnlageError(f"{path}: what was usual cannot be read ({error}): copy the bundle again") from None


def unusual(novelty: Novelty, preparation: Preparation, frames: Frames, vectors: np.ndarray) -> pd.DataFrame:
    """For each row, with its id as index: ``unusual`` (bool) and ``unusual_why`` (words, "" where it is not).

    ``frames``: checked rows by input; ``vectors`` [rows, width]: the model's, of the same rows."""
    far = novelty.distances(preparation, frames, vectors)
    index = next(iter(frames.values())).index
    why: list[list[str]] = [[] for _ in range(len(index))]
    for item in preparation.inputs:
        frame, many = frames[item.name], len(preparation.inputs) > 1
        if item.name in novelty.complete:
            for row in np.flatnonzero(~frame.notna().any(axis=1).to_numpy()):
                why[row].append(f"{item.name} missing, no training row lacked it")
        outside = _over(far, novelty.limits, f"range {item.name}")
        if len(outside):
            profile, limit = item.modality.profile(frame), novelty.limits[f"range {item.name}"]
            for row in outside:
                words = novelty.ranges[item.name].why(profile, int(row), limit)
                why[row] += [f"{item.name}: {said}" if many else said for said in words]
    for name in far:
        if not name.startswith("range "):
            what = "the model's vector" if name == "vector" else name.replace("features ", "plain features of ", 1)
            for row in _over(far, novelty.limits, name):
                times = far[name][row] / novelty.limits[name]
                why[row].append(f"{what} far from the training rows ({_times(times)} the limit)")
    words = ["; ".join(reasons) for reasons in why]
    return pd.DataFrame({"unusual": [bool(w) for w in words], "unusual_why": words}, index=index)


def measure(
    flagged: Bool[np.ndarray, " rows"], parts: Mapping[str, Int[np.ndarray, " n"]], rows: int,
    scored: Mapping[str, tuple[Metric, np.ndarray, np.ndarray]], groups: np.ndarray | None, resamples: int, seed: int,
) -> dict[str, Any]:  # fmt: skip
    """The entry ``novelty`` of metrics.json: how many rows of each part were flagged, and on the test rows (without
    them, the validation rows) the metric of the flagged and of the usual ones, null with fewer than 10 of them.

    ``flagged``: for all judged rows; ``parts``: "valid", "test" → numbers of rows; ``rows``: training rows; ``scored``:
    target → its metric, truth [rows, outputs], values [rows, k]; ``groups`` [rows] or None: what intervals resample.
    """

    part = next((p for p in ("test", "valid") if p in parts), None)
    scores: dict[str, Any] = {}
    for target, (metric, truth, values) in scored.items():
        scores[target] = {"metric": metric.name, "flagged": None, "usual": None}
        for name, wanted in (("flagged", True), ("usual", False)):
            here = np.asarray(parts[part]) if part is not None else np.zeros(0, dtype=np.int64)
            here = here[(flagged[here] == wanted) & ~np.isnan(truth[here]).all(axis=1)]
            if len(here) >= _FEWEST:
                mine = None if groups is None else np.asarray(groups)[here]
                drawn = weights(mine, len(here), resamples, seed)
                scores[target][name] = estimate_json(interval(metric, truth[here], values[here], drawn, mine))
    counted = {name: {"flagged": int(flagged[of].sum()), "of": len(of)} for name, of in parts.items()}
    return {"method": METHOD, "rows": rows, "parts": counted, "scores": scores}


def limit(distances: Float[np.ndarray, " rows"], share: float) -> float:
    """The distance that a share of rows like these exceeds, at most: their conformal quantile (Vovk et al. 2005) where
    there are enough of them (1/share), else the upper prediction bound of a log-normal distribution (Student's t, so
    that few rows give a wide one), at least the farthest of them. Infinite where fewer than two rows count."""
    known = np.sort(distances[~np.isnan(distances)])
    if len(known) < 2:
        return float(np.finfo(np.float64).max)
    place = int(np.ceil((len(known) + 1) * (1 - share)))
    if place <= len(known):
        return float(known[place - 1])
    from scipy.stats import t

    logs = np.log(np.maximum(known, max(float(np.median(known)) / 100, 1e-9)))
    spread = float(logs.std(ddof=1)) * np.sqrt(1 + 1 / len(logs)) * float(t.ppf(1 - share, len(logs) - 1))
    return max(float(known[-1]), float(np.exp(min(logs.mean() + spread, 700.0))))


def _over(far: Mapping[str, np.ndarray], limits: Mapping[str, float], name: str) -> Int[np.ndarray, " flagged"]:
    """Numbers of the rows beyond the limit of a check; within the range of the training rows nothing is."""
    if name not in far or name not in limits:
        return np.zeros(0, dtype=np.int64)
    least = 1.0 if name.startswith("range ") else 0.0
    return np.flatnonzero(np.nan_to_num(far[name], nan=0.0) > max(limits[name], least))


def _times(ratio: float) -> str:
    return f"{ratio:.2f} times" if ratio < 10 else f"{ratio:,.0f} times" if ratio < 1e6 else "over a million times"


def _thinned(rows: np.ndarray) -> np.ndarray:
    """At most MOST_ROWS of them, evenly spread."""
    return rows[np.linspace(0, len(rows) - 1, MOST_ROWS).astype(int)] if len(rows) > MOST_ROWS else rows


def _take(frames: Frames, rows: np.ndarray) -> dict[str, pd.DataFrame]:
    return {name: frame.iloc[rows] for name, frame in frames.items()}
