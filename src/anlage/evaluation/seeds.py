"""The spread over seeds, apart from the spread over samples: how far the same fit with other random numbers moves the
deciding metric on the same test rows. An interval over rows does not show it (Bouthillier et al. 2021)."""

from collections.abc import Mapping
from statistics import fmean, stdev
from typing import Any

from anlage.errors import AnlageError


def over_seeds(entries: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """The entry ``seeds`` of metrics.json from the metrics.json of one run for each seed, fitted to the same split.

    For each target: the deciding metric on the judged part (test, else validation), its mean and standard deviation
    (n − 1; null for fewer than two seeds), and the value of the baseline to beat, in the order of the seeds. Where a
    seed's value is undefined (null), mean and standard deviation are those of the others. AnlageError where the runs
    have other targets or metrics, or where a run was judged on no row.
    """
    if not entries:
        raise AnlageError("no run to summarise over seeds")
    first_seed, first = next(iter(entries.items()))
    targets: dict[str, Any] = {}
    for target, one in first["targets"].items():
        metric, values, baseline = one["primary"], [], []
        for seed, run in entries.items():
            entry = run["targets"].get(target)
            if entry is None or entry["primary"] != metric or set(run["targets"]) != set(first["targets"]):
                raise AnlageError(f"seeds {first_seed} and {seed} were judged by other targets or metrics")
            part, beaten = entry["verdict"]["part"], entry["verdict"]["baseline"]
            if part is None:
                raise AnlageError(f"seed {seed}, target {target}: judged on no row with a label")
            values.append(entry["model"][part][metric]["value"])
            if beaten is not None:
                baseline.append(entry["baselines"][beaten][part][metric]["value"])
        known = [value for value in values if value is not None]
        targets[target] = {
            "metric": metric,
            "values": values,
            "mean": fmean(known) if known else None,
            "sd": stdev(known) if len(known) > 1 else None,
            "baseline": baseline if len(baseline) == len(values) else [],
        }
    return {"seeds": list(entries), "targets": targets}
