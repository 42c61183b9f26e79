"""The audit of a plan: what could make its metric untrue, looked for before anything is trained."""

import time
from collections.abc import Callable

import numpy as np

from anlage.auditing import across, columns, labels
from anlage.auditing.findings import Audit, Finding, share
from anlage.auditing.kin import Kin, part_rows, tested
from anlage.planning import Plan


def audit(plan: Plan, say: Callable[[str], None]) -> Audit:
    """Look for rows that stand on both sides of the split, equal or near; labels that contradict one another; groups
    that straddle; columns that say the target by themselves; labels that shift.

    Of a cross-validation every fold is looked at, and a test row counts once. Test labels are counted, and nothing is
    fitted to them. ``say`` is told what takes long."""
    started = time.monotonic()
    found = Audit(plan.samples.frame.index.to_numpy())
    kin = Kin(plan, say)
    if not tested(plan):
        found.skip("test rows", "the split has none: only validation rows are compared with training")
    if not plan.preparation.tasks:
        found.skip("labels that contradict one another, columns that say them, labels that shift", "no target is named")
    across.within(kin, found)
    across.same(kin, found)
    across.groups(kin, found)
    across.shared(kin, found)
    across.near(kin, found)
    labels.conflicts(kin, found)
    columns.telling(kin, found)
    labels.shift(kin, found)
    if (seconds := time.monotonic() - started) > 5:
        say(f"the audit took {seconds:.0f} s")
    return found


def seen_in_pretraining(plan: Plan, rows: np.ndarray) -> Finding:
    """The finding that these test rows of the table were in the corpus of a pretrained encoder, which only a fit knows
    (see ``fitting.seen_before``)."""
    of = len(part_rows(plan, "test"))
    text = f"{share(len(rows), of)} test rows were in the corpus that an encoder was pretrained on"
    effect = "their inputs are not new to the encoder; leave them out with --exclude-seen"
    return Finding("seen in pretraining", "leak", text, len(rows), of, "test", effect, np.asarray(rows))
