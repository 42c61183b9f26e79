"""A metric: a plain function of truth and prediction, with weights so that a bootstrap is one vectorised call.

A bootstrap resample of n samples is a vector of n counts. Every metric takes a matrix of such vectors and returns a
number for each: the point estimate is the case of one row of ones. There is no second implementation.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Function = Callable[
    [Float[np.ndarray, "samples outputs"], Float[np.ndarray, "samples k"], Float[np.ndarray, "resamples samples"]],
    Float[np.ndarray, " resamples"],
]

SHARE = (0.0, 1.0)
CORRELATION = (-1.0, 1.0)
ERROR = (0.0, math.inf)


@dataclass(frozen=True)
class Metric:
    """A named metric. ``function(truth, values, weights)`` gives one number for each row of weights; NaN where it is
    undefined (one class only in a resample)."""

    name: str
    function: Function
    greater_is_better: bool
    source: str
    """Where the definition stands (a paper, or the scikit-learn function that it equals)."""
    bounds: tuple[float, float] = (-math.inf, math.inf)
    """The values that it can have: they shape its interval. One of SHARE, CORRELATION, ERROR where it fits."""

    def __call__(self, truth: np.ndarray, values: np.ndarray) -> float:
        """The point estimate on all samples."""
        return float(self.function(truth, values, np.ones((1, len(truth))))[0])
