"""Operating thresholds: the probability from which a row is flagged, chosen on validation rows for a stated goal.

Choices are careful with few rows. Sensitivity and specificity: the threshold is a conformal quantile of the positives'
(negatives') scores, so that the goal is met on average over new rows, not only on these (Vovk, Gammerman and Shafer
2005; rows of a group count together, see :func:`anlage.evaluation.conformal.limit`). Precision: one more false alarm is
counted than was seen. F1, Youden's index (1950) and costs: the best value on these rows.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anlage.errors import AnlageError
from anlage.evaluation.conformal import limit
from anlage.evaluation.intervals import Estimate, group_numbers, interval
from anlage.evaluation.proportions import proportion
from anlage.metrics.metric import SHARE, Metric
from anlage.metrics.weighted import over_chunks

FEW = 20
"""A choice that rests on fewer positives (or negatives, for specificity) is said to."""
GOALS = "sensitivity>=0.95, specificity>=0.9, precision>=0.8, f1, youden or cost=10:1"
_NUMBER = r"\d*\.?\d+"
_GOAL = re.compile(
    rf"(?:(?P<label>.+):)?(?:(?P<rate>sensitivity|specificity|precision)>=(?P<least>{_NUMBER})"
    rf"|(?P<best>f1|youden)|cost=(?P<miss>{_NUMBER}):(?P<alarm>{_NUMBER}))"
)


@dataclass(frozen=True)
class Goal:
    """``kind``: sensitivity, specificity, precision, f1, youden or cost; ``value``: the least rate, or what a miss
    costs in false alarms; ``label``: of which label, None = the positive one of two."""

    text: str
    kind: str
    value: float
    label: str | None


def parse_goal(text: str) -> Goal:
    """A goal from the user's words, as "sensitivity>=0.95" or "malignant:cost=10:1"; AnlageError if it is none."""
    found = _GOAL.fullmatch(re.sub(r"\s*(>=|=)\s*", r"\1", text.strip()))
    if found is None:
        raise AnlageError(f"--threshold {text}: no goal that is known; give {GOALS}, with LABEL: before it if need be")
    label, rate, best = found["label"], found["rate"], found["best"]
    if rate:
        least = float(found["least"])
        if not 0 < least < 1:
            raise AnlageError(f"--threshold {text}: give a rate between 0 and 1, as {rate}>=0.9")
        return Goal(found.group(), rate, least, label)
    if best:
        return Goal(found.group(), best, 0.0, label)
    miss, alarm = float(found["miss"]), float(found["alarm"])
    if not (miss > 0 and alarm > 0):
        raise AnlageError(f"--threshold {text}: both costs must be above 0, as cost=10:1")
    return Goal(found.group(), "cost", miss / alarm, label)


def column_of(goal: Goal, task: str, labels: Sequence[str]) -> int | None:
    """The number of the label that the goal is about, or None where it does not fit this target: another task, an
    unknown label, or several labels and none named."""
    if task not in ("classification", "multilabel"):
        return None
    if goal.label is not None:
        return labels.index(goal.label) if goal.label in labels else None
    if task == "classification" and len(labels) == 2:
        return 1
    return 0 if len(labels) == 1 else None


def require_used(texts: Sequence[str], targets: Mapping[str, tuple[str, Sequence[str]]]) -> None:
    """AnlageError for a goal that fits none of the targets (name → task and labels): before anything is trained."""
    for text in texts:
        goal = parse_goal(text)
        if any(column_of(goal, task, labels) is not None for task, labels in targets.values()):
            continue
        named = [
            label for task, labels in targets.values() if task in ("classification", "multilabel") for label in labels
        ]
        among = ", ".join(named[:8]) + (", …" if len(named) > 8 else "")
        if not named:
            raise AnlageError(f"--threshold {text}: no target has labels; leave it out")
        if goal.label is None:
            raise AnlageError(f"--threshold {text}: of which label? Write LABEL:{goal.text}; labels: {among}")
        raise AnlageError(f"--threshold {text}: no label {goal.label!r}; labels: {among}")


@dataclass(frozen=True)
class Threshold:
    """Rows with at least the probability ``threshold`` of ``label`` are flagged. ``rows``: how many it was chosen on;
    ``why``: what is wrong with the choice, or None."""

    goal: str
    label: str
    column: int
    threshold: float
    rows: int
    why: str | None

    def flag(self, values: np.ndarray) -> np.ndarray:
        """[rows] bool, from calibrated ``values`` [rows, k]."""
        return values[:, self.column] >= self.threshold

    def measure(
        self, task: str, truth: np.ndarray, values: np.ndarray, weights: np.ndarray, groups: np.ndarray | None
    ) -> dict[str, Estimate]:
        """Operating characteristics with 95 % intervals over ``weights``, on rows that did not choose it."""
        known, positive = positives(task, truth, self.column)
        flagged = self.flag(values)
        shares = {
            "sensitivity": (flagged, positive),
            "specificity": (~flagged, known & ~positive),
            "precision": (positive, known & flagged),
            "npv": (~positive, known & ~flagged),
            "flagged": (flagged, known),
        }
        found = {name: proportion(hits, of, weights, groups) for name, (hits, of) in shares.items()}
        kept = np.where(known, positive, np.nan)[:, None]
        return found | {"f1": interval(_F1, kept, flagged[:, None].astype(float), weights, groups)}

    def to_json(self) -> dict[str, Any]:
        fields = ("goal", "label", "column", "threshold", "rows", "why")
        return {name: getattr(self, name) for name in fields}

    @staticmethod
    def from_json(state: Any, labels: Sequence[str]) -> "Threshold":
        """From :meth:`to_json`; AnlageError where that is not what it is."""
        try:
            column, threshold = int(state["column"]), float(state["threshold"])
            if not (0 <= column < len(labels) and labels[column] == state["label"] and 0 <= threshold <= 1):
                raise ValueError
            why = None if state["why"] is None else str(state["why"])[:500]
            return Threshold(parse_goal(state["goal"]).text, labels[column], column, threshold, int(state["rows"]), why)
        except (AnlageError, AttributeError, KeyError, OverflowError, TypeError, ValueError):
            raise AnlageError("bundle: a stored threshold is damaged; train the model again") from None


def positives(task: str, truth: np.ndarray, column: int) -> tuple[np.ndarray, np.ndarray]:
    """[rows] bool each: whose truth about the label is known, and who has it."""
    own = truth[:, column] if task == "multilabel" else truth[:, 0]
    return ~np.isnan(own), own == (1 if task == "multilabel" else column)


def _f1(truth: np.ndarray, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    positive, flagged = truth[:, 0] == 1, (values[:, 0] == 1) & ~np.isnan(truth[:, 0])
    counts = np.stack([positive & flagged, positive, flagged], axis=1).astype(float)

    def chunk(w: np.ndarray) -> np.ndarray:
        hits, true, said = (w @ counts).T
        return 2 * hits / (true + said)

    return over_chunks(weights, chunk)


_F1 = Metric("f1", _f1, True, "sklearn.metrics.f1_score; undefined where nothing is positive or flagged", SHARE)


def choose(
    goal: Goal, task: str, labels: Sequence[str], truth: np.ndarray, values: np.ndarray, groups: np.ndarray | None
) -> Threshold | str | None:
    """The threshold for a goal on validation rows: ``truth`` [rows, outputs], calibrated ``values`` [rows, k],
    ``groups`` [rows] or None. In words why there is none where they hold only one kind of row; None where the goal is
    not about this target."""
    column = column_of(goal, task, labels)
    if column is None:
        return None
    known, positive = positives(task, truth, column)
    scores, positive = values[known, column].astype(float), positive[known]
    units = group_numbers(groups, len(truth))[known]
    if positive.all() or not positive.any():
        kind = "positive" if not positive.any() else "negative"
        return f"no threshold for {goal.text}: none of the {len(scores):,} validation rows is {kind}"
    cut, why = _RULES[goal.kind](goal, scores, positive, units)
    resting = ~positive if goal.kind == "specificity" else positive
    few = len(np.unique(units[resting]))
    if few < FEW:
        name = "negatives" if goal.kind == "specificity" else "positives"
        in_groups = "" if few == resting.sum() else " (groups)"
        why = "; ".join(filter(None, [why, f"rests on {few} {name}{in_groups} only: expect it to shift"]))
    return Threshold(goal.text, labels[column], column, _between(scores, cut), len(scores), why)


def _between(scores: np.ndarray, cut: float) -> float:
    """Halfway from the lowest flagged score down to the next one, so that rounding decides nothing."""
    below = scores[scores < cut]
    if cut > scores.max():
        return float((scores.max() + 1) / 2)
    return float((cut + below.max()) / 2) if len(below) else float(cut / 2)


Rule = Callable[[Goal, np.ndarray, np.ndarray, np.ndarray], tuple[float, str | None]]


def _sensitivity(goal: Goal, scores: np.ndarray, positive: np.ndarray, units: np.ndarray) -> tuple[float, str | None]:
    cut = -limit(-scores[positive], units[positive], goal.value)
    if math.isfinite(cut):
        return cut, None
    return float(scores[positive].min()), f"too few positives to promise {goal.text}; flags all of them"


def _specificity(goal: Goal, scores: np.ndarray, positive: np.ndarray, units: np.ndarray) -> tuple[float, str | None]:
    highest, why = limit(scores[~positive], units[~positive], goal.value), None
    if not math.isfinite(highest):
        highest = float(scores[~positive].max())
        why = f"too few negatives to promise {goal.text}; flags none of them"
    above = scores[scores > highest]
    return (float(above.min()) if len(above) else math.inf), why


def _counts(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each distinct score from below: it, and the positives and negatives with at least that much."""
    cuts, place = np.unique(scores, return_inverse=True)
    right, wrong = (np.bincount(place, w, len(cuts))[::-1].cumsum()[::-1] for w in (positive, ~positive))
    return cuts, right, wrong


def _precision(goal: Goal, scores: np.ndarray, positive: np.ndarray, units: np.ndarray) -> tuple[float, str | None]:
    cuts, right, wrong = _counts(scores, positive)
    reached = np.flatnonzero(right / (right + wrong + 1) >= goal.value)
    if len(reached):
        return float(cuts[reached[0]]), None
    best = int(np.argmax(right / (right + wrong + 1)))
    return float(cuts[best]), f"{goal.text} cannot be reached on these rows; this is the most precise choice"


def _best(worth: Callable[[Goal, np.ndarray, np.ndarray, int, int], np.ndarray]) -> Rule:
    def rule(goal: Goal, scores: np.ndarray, positive: np.ndarray, units: np.ndarray) -> tuple[float, str | None]:
        cuts, right, wrong = _counts(scores, positive)
        cuts, right, wrong = np.append(cuts, np.inf), np.append(right, 0), np.append(wrong, 0)  # flag nobody
        return float(cuts[np.argmax(worth(goal, right, wrong, int(positive.sum()), int((~positive).sum())))]), None

    return rule


_RULES: dict[str, Rule] = {
    "sensitivity": _sensitivity,
    "specificity": _specificity,
    "precision": _precision,
    "f1": _best(lambda goal, right, wrong, p, n: 2 * right / (right + wrong + p)),
    "youden": _best(lambda goal, right, wrong, p, n: right / p - wrong / n),
    "cost": _best(lambda goal, right, wrong, p, n: -(goal.value * (p - right) + wrong)),
}
