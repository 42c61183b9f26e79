"""What is done about leaks before training: tell, stop, or leave out the training rows that resemble test rows."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np

from anlage.auditing.audit import audit
from anlage.auditing.findings import Audit, share
from anlage.auditing.kin import Kin, partners
from anlage.errors import AnlageError
from anlage.planning import Plan
from anlage.splits.assign import Folds
from anlage.training.devices import leads

OnLeak = Literal["warn", "fix", "fail"]
LEAST_LEFT = 0.5
"""Fewer of the training rows than this share do not stand for the table any more."""


def settle(plan: Plan, found: Audit, on_leak: OnLeak, say: Callable[[str], None]) -> Plan:
    """The plan to train.

    "warn": as it is. "fail": AnlageError that names the worst leak, if there is one. "fix": where there is one, the
    training and validation rows that equal a test row, come near one or share its group get the part "none"; the test
    rows stay as they are, so that metrics can be compared. The new plan is another object: audit it again.

    Raises:
        AnlageError: see above; or the fix would leave fewer than half of the training rows, or no validation row.
    """
    worst = found.worst
    if worst is None or on_leak == "warn":
        return plan
    if on_leak == "fail":
        raise AnlageError(f"--on-leak fail: {worst.text} ({worst.kind})")
    kin = Kin(plan, say)
    return replace(plan, folds=[_apart(kin, folds, say) if len(folds.rows("test")) else folds for folds in plan.folds])


def _apart(kin: Kin, folds: Folds, say: Callable[[str], None]) -> Folds:
    """The same split without the training and validation rows that resemble its test rows."""
    test, others = folds.rows("test"), np.concatenate([folds.rows("train"), folds.rows("valid")])
    like = kin.near(others, test).rows >= 0
    for codes in kin.groups.values():
        like |= partners(codes, others, test) >= 0
    if not like.any():
        return folds
    part = folds.part.copy()
    part[others[like]] = "none"
    fixed = replace(folds, part=part)
    counts = []
    for name, words in (("train", "training"), ("valid", "validation")):
        before, after = len(folds.rows(name)), len(fixed.rows(name))
        counts.append(f"{share(before - after, before)} {words} rows")
        if after < (LEAST_LEFT * before if name == "train" else 1):
            raise AnlageError(
                f"--on-leak fix would leave {after:,} of {before:,} {words} rows, since the others resemble test rows: "
                "divide the rows anew (--split random), or take it as it is (--on-leak warn)"
            )
    told = f"left out since they resemble test rows: {' and '.join(counts)}"
    say(told)
    return replace(fixed, how=f"{folds.how}; {told}", notes=[n for n in folds.notes if not n.startswith("LEAK")])


def settled(plan: Plan, say: Callable[[str], None]) -> tuple[Plan, Audit | None]:
    """The plan to train, settled as its settings want it, and its audit, told in a few lines. Of several processes
    one looks, where it only warns (the others get None)."""
    on_leak = plan.settings.split.on_leak
    if on_leak == "warn" and not leads():
        return plan, None
    found = audit(plan, say)
    other = settle(plan, found, on_leak, say)
    if other is not plan:
        plan, found = other, audit(other, say)
    for line in found.lines():
        say(line)
    return plan, found
