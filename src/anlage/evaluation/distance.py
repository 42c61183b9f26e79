"""How far rows lie from the training rows, in a space of many numbers (a model's vectors, plain features)."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

from anlage.errors import AnlageError

DIRECTIONS = 128
"""Principal directions that are kept at most, and the share of the variance at which fewer are enough."""
SHARE = 0.99
_NUMBERS = 20_000_000
"""Numbers of the training rows that are read: rows are thinned evenly where there are more."""
_LEAST = 1e-4
"""Variance of a direction at least, where each number has 1: below, rounding would be taken for novelty."""
_FLAT = 1e-9
_FARTHEST = 1e9


@dataclass(frozen=True)
class Distance:
    """The Mahalanobis distance to the training rows, their covariance as in probabilistic PCA (Tipping and Bishop 1999,
    J. R. Stat. Soc. B 61:611): principal directions, and one variance for all that is left. Numbers are standardised
    first; those that do not vary among the training rows, and those that are missing (NaN), count nothing.

    Lee et al. (2018, arXiv:1807.03888) measure it from the mean of each class, Ren et al. (2021, arXiv:2106.09022)
    subtract the distance from the common mean: neither was better here (benchmarks/novelty.md). Nothing of single rows
    is kept.
    """

    mean: Float[np.ndarray, " width"]
    scale: Float[np.ndarray, " width"]
    """Standard deviation of each number; 0 = does not vary."""
    directions: Float[np.ndarray, "width kept"]
    """Orthonormal."""
    deviation: Float[np.ndarray, " kept"]
    """Standard deviation along each direction."""
    rest: float
    """Standard deviation along every other direction; 0 = there is none."""

    @classmethod
    def fit(cls, rows: np.ndarray | sp.csr_matrix) -> Self | None:
        """From training rows [rows, width]. None where there are fewer than three rows, or no number varies."""
        most = max(3, _NUMBERS // max(1, rows.shape[1]))
        values = _dense(rows[np.linspace(0, rows.shape[0] - 1, most).astype(int)] if rows.shape[0] > most else rows)
        if len(values) < 3 or not values.shape[1]:
            return None
        known = ~np.isnan(values)
        count = np.maximum(known.sum(0), 1)
        mean = np.where(known, values, 0).sum(0) / count
        scale = np.sqrt(np.where(known, (values - mean) ** 2, 0).sum(0) / count)
        scale[scale <= _FLAT * np.maximum(np.abs(mean), 1)] = 0
        varies = int((scale > 0).sum())
        if not varies:
            return None
        from sklearn.decomposition import PCA

        standard = _standardise(values, mean, scale)
        pca = PCA(n_components=min(DIRECTIONS, len(values) - 1, varies), random_state=0).fit(standard)
        total = float(standard.var(0, ddof=1).sum())
        kept = int(np.searchsorted(np.cumsum(pca.explained_variance_) / total, SHARE)) + 1
        variance = np.maximum(pca.explained_variance_[:kept], _LEAST)
        left = max(total - float(variance.sum()), 0) / (varies - len(variance)) if varies > len(variance) else 0.0
        rest = float(np.sqrt(max(left, _LEAST))) if varies > len(variance) else 0.0
        made = cls(mean, scale, pca.components_[:kept].T, np.sqrt(variance), rest)
        return cls.restored(made.tensors())  # rounded as it will be read, so that a bundle flags what its fit flagged

    def __call__(self, rows: np.ndarray | sp.csr_matrix) -> Float[np.ndarray, " rows"]:
        """The distance of each of ``rows`` [rows, width], in standard deviations."""
        if rows.shape[1] != len(self.mean):
            raise AnlageError(f"novelty: rows have {rows.shape[1]:,} numbers where the training had {len(self.mean):,}")
        standard = _standardise(_dense(rows), self.mean, self.scale)
        along = standard @ self.directions
        squared = ((along / self.deviation) ** 2).sum(1)
        if self.rest > 0:
            squared += np.maximum((standard**2).sum(1) - (along**2).sum(1), 0) / self.rest**2
        return np.sqrt(squared)

    def tensors(self) -> dict[str, np.ndarray]:
        """What :meth:`restored` takes, float32."""
        named = {
            "mean": self.mean, "scale": self.scale, "directions": self.directions, "deviation": self.deviation,
            "rest": np.array([self.rest]),
        }  # fmt: skip
        return {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in named.items()}

    @classmethod
    def restored(cls, tensors: dict[str, np.ndarray]) -> Self:
        """From :meth:`tensors`, which may come from anywhere. ValueError or KeyError where they fit no distance."""
        mean, scale, directions, deviation, rest = (
            np.asarray(tensors[name], dtype=np.float64) for name in ("mean", "scale", "directions", "deviation", "rest")
        )
        shapes = [a.shape for a in (mean, scale, directions, deviation, rest)]
        width, kept = len(mean), len(deviation)
        if shapes != [(width,), (width,), (width, kept), (kept,), (1,)] or not 1 <= kept <= DIRECTIONS:
            raise ValueError(f"shapes {shapes} fit no distance")
        if not all(np.isfinite(a).all() for a in (mean, scale, directions, deviation, rest)):
            raise ValueError("numbers that are not finite")
        if (scale < 0).any() or (deviation <= 0).any() or rest[0] < 0:
            raise ValueError("a standard deviation below zero")
        return cls(mean, scale, directions, deviation, float(rest[0]))


def _dense(rows: np.ndarray | sp.csr_matrix) -> np.ndarray:
    return np.asarray(rows.toarray() if sp.issparse(rows) else rows, dtype=np.float64)  # type: ignore[union-attr]


def _standardise(values: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """[rows, width] in standard deviations; 0 where a number is missing or does not vary."""
    with np.errstate(over="ignore", invalid="ignore"):
        standard = np.where(scale > 0, (values - mean) / np.where(scale > 0, scale, 1), 0)
    return np.clip(np.nan_to_num(standard, nan=0.0), -_FARTHEST, _FARTHEST)
