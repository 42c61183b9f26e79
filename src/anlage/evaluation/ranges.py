"""What the training rows span in each of some plain numbers (length, brightness, age), and who lies outside."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from jaxtyping import Float

from anlage.errors import AnlageError

_LISTED = 3
_SLACK = 0.05


@dataclass(frozen=True)
class Ranges:
    """The smallest and largest value of each number among the training rows."""

    names: list[str]
    low: Float[np.ndarray, " numbers"]
    high: Float[np.ndarray, " numbers"]

    @classmethod
    def fit(cls, profile: Mapping[str, np.ndarray]) -> Self | None:
        """``profile``: for each number its value for each training row, NaN = unknown. None where nothing is known."""
        found: dict[str, tuple[float, float]] = {}
        for name, values in profile.items():
            known = values[np.isfinite(values)]
            if len(known):
                found[name] = float(known.min()), float(known.max())
        low, high = np.array(list(found.values()), dtype=np.float64).reshape(-1, 2).T
        return cls(list(found), low, high) if found else None

    def outside(self, profile: Mapping[str, np.ndarray]) -> Float[np.ndarray, "rows numbers"]:
        """How far each value lies from the middle of its range, in halves of the range: above 1 = outside; NaN where it
        is unknown. Where all training rows agree, half the range is 5 % of their value (0.05 for values under 1)."""
        if unknown := [name for name in self.names if name not in profile]:
            raise AnlageError(f"novelty: no {unknown[0]!r:.60} is known of these rows: copy the bundle again")
        values = np.stack([np.asarray(profile[name], dtype=np.float64) for name in self.names], axis=1)
        middle, half = (self.low + self.high) / 2, (self.high - self.low) / 2
        half = np.where(half > 0, half, _SLACK * np.maximum(np.abs(middle), 1))
        return np.abs(values - middle) / half

    def why(self, profile: Mapping[str, np.ndarray], row: int, limit: float) -> list[str]:
        """In words, which numbers of a row lie farther out than ``limit``, the farthest first."""
        far = np.nan_to_num(self.outside({name: profile[name][[row]] for name in self.names})[0], nan=0.0)
        order = [j for j in np.argsort(-far, kind="stable") if far[j] > limit]
        words = [self._said(j, float(profile[self.names[j]][row])) for j in order[:_LISTED]]
        return words + ([f"{more} more out of range"] if (more := len(order) - _LISTED) > 0 else [])

    def _said(self, j: int, value: float) -> str:
        low, high = float(self.low[j]), float(self.high[j])
        had = f"always had {shown(low)}" if low == high else f"had {shown(low)} to {shown(high)}"
        return f"{self.names[j]} {shown(value)}, training {had}"

    def to_json(self) -> dict[str, Any]:
        """What :meth:`from_json` takes."""
        return {"names": self.names, "low": self.low.tolist(), "high": self.high.tolist()}

    @classmethod
    def from_json(cls, stored: Any) -> Self:
        """From :meth:`to_json`, which may come from anywhere. ValueError, KeyError or TypeError where it fits not."""
        names = [str(name) for name in stored["names"]]
        low, high = (np.array(stored[key], dtype=np.float64) for key in ("low", "high"))
        if low.shape != (len(names),) or high.shape != low.shape or not names:
            raise ValueError("ranges of another length than their names")
        if not (np.isfinite(low).all() and np.isfinite(high).all() and (low <= high).all()):
            raise ValueError("a range that ends before it begins")
        return cls(names, low, high)


def shown(value: float) -> str:
    """A number for a sentence: four digits that count, thousands parted, none lost before the point."""
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.4g}"
