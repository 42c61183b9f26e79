"""Mending probabilities on rows that nothing else learned from: temperature scaling or isotonic regression, kept only
where cross-validation within those rows shows that it helps.

Temperature (Guo et al. 2017): log-probabilities are divided by one number; the most probable class stays. Isotonic
(Zadrozny and Elkan 2002), two classes with many rows: the observed share as a rising function of the probability.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from anlage.errors import AnlageError
from anlage.evaluation.intervals import group_numbers

ENOUGH = 50
"""Fewer rows (or groups) calibrate nothing: one number from them is mostly noise."""
ISOTONIC = 200
"""Rows (or groups) that isotonic regression needs, with a tenth of that number of rows of the rarer class."""
FOLDS = 5
OWN = 0.01
"""Share of the model's own probability in an isotonic one: keeps the order of rows that share a step, so that ranking
metrics stay as they are."""
TINY = 1e-12
COOLEST, HOTTEST = 0.02, 50.0
MOST_KNOTS = 100_000


@dataclass(frozen=True)
class Calibrator:
    """What was learned: ``method`` (none, temperature, isotonic), its JSON-able ``parameters``, ``why`` in words, and
    the number of ``rows`` that it was learned from."""

    method: str
    parameters: dict[str, Any]
    why: str
    rows: int

    def apply(self, task: str, values: np.ndarray) -> np.ndarray:
        """Calibrated ``values`` [rows, k]; never exactly 0 or 1, except as they are where the method is none."""
        if self.method == "temperature":
            return _at_temperature(task, values, self.parameters["temperature"])
        if self.method == "isotonic":
            return _stepped(values, np.array(self.parameters["knots"]), np.array(self.parameters["shares"]))
        return values

    def to_json(self) -> dict[str, Any]:
        return {"method": self.method, "parameters": self.parameters, "why": self.why, "rows": self.rows}

    @staticmethod
    def from_json(state: Any) -> "Calibrator":
        """From :meth:`to_json`; AnlageError where that is not what it is."""
        try:
            method, parameters = str(state["method"]), dict(state["parameters"])
            if method == "temperature":
                parameters = {"temperature": float(parameters["temperature"])}
                right = COOLEST <= parameters["temperature"] <= HOTTEST
            elif method == "isotonic":
                knots, shares = ([float(x) for x in parameters[key]] for key in ("knots", "shares"))
                parameters = {"knots": knots, "shares": shares}
                right = 0 < len(knots) == len(shares) <= MOST_KNOTS and _rises(knots) and _rises(shares)
            else:
                parameters, right = {}, method == "none"
            if not right:
                raise ValueError
            return Calibrator(method, parameters, str(state["why"])[:500], int(state["rows"]))
        except (KeyError, OverflowError, TypeError, ValueError):
            raise AnlageError("bundle: the stored calibration is damaged; train the model again") from None


def _rises(numbers: list[float]) -> bool:
    """Numbers between 0 and 1 that never fall."""
    known = np.array(numbers)
    return bool(np.isfinite(known).all() and (np.diff(known) >= 0).all() and known[0] >= 0 and known[-1] <= 1)


def _at_temperature(task: str, values: np.ndarray, temperature: float) -> np.ndarray:
    p = np.clip(values.astype(float), TINY, 1 - TINY)
    if task == "multilabel":
        return np.clip(expit((np.log(p) - np.log1p(-p)) / temperature), TINY, 1 - TINY)
    scores = np.log(p) / temperature
    powers = np.exp(scores - scores.max(1, keepdims=True))
    p = np.maximum(powers / powers.sum(1, keepdims=True), TINY)
    return p / p.sum(1, keepdims=True)


def _stepped(values: np.ndarray, knots: np.ndarray, shares: np.ndarray) -> np.ndarray:
    p = np.clip((1 - OWN) * np.interp(values[:, 1], knots, shares) + OWN * values[:, 1], TINY, 1 - TINY)
    return np.stack([1 - p, p], axis=1)


def _losses(task: str, truth: np.ndarray, values: np.ndarray) -> np.ndarray:
    """[rows] −ln p(truth); multilabel: the mean over a row's known labels."""
    p = np.clip(values, TINY, 1 - TINY)
    if task != "multilabel":
        return -np.log(p[np.arange(len(p)), truth[:, 0].astype(np.int64)])
    return np.nanmean(-np.log(np.where(truth == 1, p, 1 - p)) + 0.0 * truth, axis=1)


def _learn(method: str, task: str, truth: np.ndarray, values: np.ndarray) -> dict[str, Any]:
    """The parameters of a method, from rows with a known truth."""
    if method == "temperature":
        from scipy.optimize import minimize_scalar

        def loss(log_t: float) -> float:
            return float(_losses(task, truth, _at_temperature(task, values, float(np.exp(log_t)))).mean())

        found = minimize_scalar(loss, bounds=np.log([COOLEST, HOTTEST]), method="bounded", options={"xatol": 1e-4})
        return {"temperature": float(np.clip(np.exp(found.x), COOLEST, HOTTEST))}
    from sklearn.isotonic import IsotonicRegression

    least = 1 / (len(truth) + 2)  # never surer than the number of rows allows (Laplace's rule)
    model = IsotonicRegression(y_min=least, y_max=1 - least, out_of_bounds="clip")
    model.fit(values[:, 1].astype(float), truth[:, 0])
    knots, shares = model.X_thresholds_, model.y_thresholds_
    return {"knots": [float(x) for x in knots], "shares": [float(x) for x in shares]}


def _folds(groups: np.ndarray | None, n: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(rows to learn from, rows to judge); a group is never on both sides."""
    numbers = group_numbers(groups, n)
    fold = np.random.default_rng(seed).permutation(int(numbers.max()) + 1)[numbers] % FOLDS
    for f in range(FOLDS):
        yield np.flatnonzero(fold != f), np.flatnonzero(fold == f)


def _gain(
    method: str, task: str, truth: np.ndarray, values: np.ndarray, groups: np.ndarray | None, seed: int
) -> tuple[float, float]:
    """How much lower the log loss is in cross-validation than without calibration, and the standard error of that,
    with groups as units."""
    less = np.zeros(len(truth))
    for learn, judge in _folds(groups, len(truth), seed):
        mended = Calibrator(method, _learn(method, task, truth[learn], values[learn]), "", 0).apply(task, values[judge])
        less[judge] = _losses(task, truth[judge], values[judge]) - _losses(task, truth[judge], mended)
    mean = float(less.mean())
    sums = np.bincount(group_numbers(groups, len(truth)), less - mean)
    return mean, float(np.sqrt((sums**2).sum() * len(sums) / max(1, len(sums) - 1)) / len(truth))


def fit_calibrator(
    task: str, truth: np.ndarray, values: np.ndarray, groups: np.ndarray | None = None, seed: int = 0
) -> Calibrator:
    """The calibrator of a classification or multilabel target from its calibration rows.

    ``truth`` [rows, outputs] (rows without any are left out), ``values`` [rows, k] probabilities, ``groups`` [rows] or
    None. Kept is the method whose log loss in cross-validation is lowest, if that is lower than without by more than
    its standard error; ``why`` says how it was decided.
    """
    known = ~np.isnan(truth).all(axis=1)
    truth, values = truth[known].astype(float), values[known].astype(float)
    groups = None if groups is None else np.asarray(groups)[known]
    n = len(truth)
    units = len(np.unique(group_numbers(groups, n)))
    if units < ENOUGH:
        have = f"{n:,} calibration rows" if units == n else f"{units:,} groups of calibration rows"
        return Calibrator("none", {}, f"{have}, too few (at least {ENOUGH} are needed)", n)
    if task != "multilabel" and len(np.unique(truth[:, 0])) < 2:
        return Calibrator("none", {}, f"all {n:,} calibration rows have the same label", n)
    methods = ["temperature"]
    two = task == "classification" and values.shape[1] == 2
    if two and units >= ISOTONIC and min((truth[:, 0] == c).sum() for c in (0, 1)) >= ISOTONIC // 10:
        methods.append("isotonic")
    gains = {method: _gain(method, task, truth, values, groups, seed) for method in methods}
    best = max(gains, key=lambda method: gains[method][0])
    gain, error = gains[best]
    told = f"log loss {_change(gain)} in cross-validation over {n:,} calibration rows"
    if not gain > error:
        tried = " or ".join(methods)
        return Calibrator("none", {}, f"{tried}: {told}, no more than its noise ({error:.2g})", n)
    return Calibrator(best, _learn(best, task, truth, values), f"{told} (standard error {error:.2g})", n)


def _change(gain: float) -> str:
    return f"{gain:.2g} lower" if gain > 0 else f"{-gain:.2g} higher"
