"""What the rows of a finding do to a metric: the metric again, without them."""

from typing import Any

import numpy as np

from anlage.auditing.findings import Audit
from anlage.evaluation.estimates import estimate_json
from anlage.evaluation.intervals import interval
from anlage.metrics.metric import Metric


def without(
    metric: Metric,
    truth: np.ndarray,
    values: np.ndarray,
    weights: np.ndarray,
    flagged: np.ndarray,
    groups: np.ndarray | None = None,
) -> dict[str, Any]:
    """The metric on all rows and on those that are not ``flagged`` [rows] bool, each with its interval: {"metric",
    "all", "without", "n"}; n = rows left whose truth is known. ``truth`` [rows, outputs], ``values`` [rows, k],
    ``weights`` [resamples, rows], as :func:`anlage.evaluation.intervals.interval` takes them."""
    kept = ~np.asarray(flagged, dtype=bool)
    known = ~np.isnan(truth).all(axis=1)
    left = interval(metric, truth[kept], values[kept], weights[:, kept], None if groups is None else groups[kept])
    return {
        "metric": metric.name,
        "all": estimate_json(interval(metric, truth, values, weights, groups)),
        "without": estimate_json(left),
        "n": int((kept & known).sum()),
    }


def remeasure(
    audit: Audit, target: str, metric: Metric, part: str, rows: np.ndarray, truth: np.ndarray, values: np.ndarray,
    weights: np.ndarray, groups: np.ndarray | None = None,
) -> None:  # fmt: skip
    """Fill in ``without`` of every finding that flags rows of the judged ``part``. ``rows``: the table's row number of
    each row of ``truth`` and ``values``."""
    for finding in audit.findings:
        flagged = np.isin(rows, finding.rows)
        if finding.part == part and flagged.any():
            measured = without(metric, truth, values, weights, flagged, groups)
            finding.without = (finding.without or {}) | {target: measured}
