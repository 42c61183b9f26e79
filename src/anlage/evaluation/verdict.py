"""The first line of every result: is the model better than the plain baseline?"""

import math
from dataclasses import dataclass
from typing import Literal

from anlage.evaluation.intervals import Estimate

Outcome = Literal["better", "no better", "worse"] | None


@dataclass(frozen=True)
class Verdict:
    """What the paired difference to the best baseline says."""

    outcome: Outcome
    text: str
    baseline: str
    difference: Estimate


def verdict(baseline: str, metric: str, difference: Estimate, part: str = "test") -> Verdict:
    """Better or worse only where the whole 95 % interval of ``difference`` (positive = the model is better) is on one
    side of zero. ``part`` is said where it is not the test part."""
    d = difference
    span = f"[{d.low:.3f}, {d.high:.3f}]"
    where = "" if part == "test" else f" (on the {_PARTS.get(part, part)} rows)"
    name = metric.replace("_", " ")
    outcome: Outcome
    if not all(map(math.isfinite, (d.value, d.low, d.high))):
        return Verdict(None, f"not compared with {baseline}: {name} is undefined on these rows{where}", baseline, d)
    if d.low > 0:
        outcome, text = "better", f"better than the baseline ({baseline}) by {d.value:.3f} {span} {name}"
    elif d.high < 0:
        outcome = "worse"
        text = f"worse than the baseline ({baseline}) by {-d.value:.3f} [{-d.high:.3f}, {-d.low:.3f}] {name}"
    else:
        outcome = "no better"
        text = f"no better than the baseline ({baseline}): difference {d.value:.3f} {span} {name}"
    return Verdict(outcome, text + where, baseline, d)


_PARTS = {"valid": "validation"}
