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

    def __post_init__(self) -> None:
        require(self.resamples >= 2, "resamples", self.resamples, "2 or more (2,000 is usual)")
