"""How a model is judged. Torch-free; the docstrings are the help of the command line."""

from dataclasses import dataclass

from anlage.errors import require


@dataclass(frozen=True)
class EvaluationSettings:
    """Metrics, intervals and baselines."""

    metric: str | None = None
    """The metric that stops training and decides the verdict. Default: the first that the field reports."""
    no_test: bool = False
    """Leave the test rows untouched until `anlage evaluate` is asked for them."""
    exclude_seen: bool = False
    """Leave out test rows that a pretrained encoder's corpus held or a teacher learned from (always counted aloud)."""
    resamples: int = 2000
    """Bootstrap resamples for the 95 % intervals."""
    baseline_budget: str = "5m"
    """Bound on the time for fitting and tuning the baselines."""
    calibration_fraction: float = 0.5
    """Part of the validation rows that does not stop the training but calibrates the predictions (0 = none)."""
    coverage: float = 0.9
    """Share of rows whose truth the prediction sets and intervals shall hold (conformal prediction)."""
    threshold: tuple[str, ...] = ()
    """Goals of an operating threshold, chosen on validation rows: sensitivity>=0.95, specificity>=0.9, precision>=0.8,
    f1, youden or cost=10:1 (a miss costs ten false alarms). LABEL: before it where there are more than two labels."""
    subgroup: tuple[str, ...] = ()
    """Columns to judge by as well: COLUMN, COLUMN:WIDTH (numbers in bins, as age:10), COLUMN*COLUMN (intersections)."""
    gap: float = 0.1
    """A difference between subgroups of at least this (in the deciding metric) that is no
    chance, simultaneously over all pairs of levels, is said in the verdict."""

    def __post_init__(self) -> None:
        fraction = self.calibration_fraction
        require(0 <= fraction < 1, "calibration_fraction", fraction, "0 or more, under 1")
        require(0 < self.coverage < 1, "coverage", self.coverage, "a number between 0 and 1")
        require(self.gap > 0, "gap", self.gap, "a number above 0")
        require(self.resamples >= 2, "resamples", self.resamples, "2 or more (2,000 is usual)")
