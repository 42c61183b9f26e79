"""metrics.json, the stable record of a result.

    schema      1
    verdict     one line for all targets
    targets     target → {
        task, primary         names of the task and of the metric that decides
        verdict               {text, outcome: better | no better | worse | null, baseline, difference, part}
        model                 part (valid, test) → metric → {value, low, high, n, n_groups}
        baselines             name → {valid, test: as for the model; settings, seconds, note}
        differences           baseline → part → metric → {value, low, high}; POSITIVE = the model is better, also
                              where a smaller metric is better; paired: both on the same resamples
        resampled             rows | groups: what the intervals draw
    }
    resampled   rows | groups | mixed, over all targets
    level       0.95; low and high come from ``resamples`` bootstrap resamples drawn with ``seed`` (intervals.py)
    split_hash, data_hash     what was learned from and judged on
    training    how the model came to be: what the caller gives
    adaptation  how a pretrained encoder was adapted, null where there is none: what the caller gives
    distillation  teacher and student on the same rows, null where there was no teacher: what the caller gives
    audit       what could make the metrics untrue; null where nothing was looked for
    novelty     how many judged rows are unlike the training rows; null where nothing tells
    seeds       the same fit with other seeds; null where there was one

Each target also has ``calibration``, ``conformal``, ``thresholds``, ``net_benefit`` and ``subgroups`` (see
docs/metrics-json.md), null or empty where they were not measured.

A part that was not judged (``--no-test``) is absent. A number that is undefined (one class only) is null. ``n`` counts
rows with a known truth. Later versions of schema 1 only add keys.
"""

from collections.abc import Mapping
from typing import Any

from anlage.evaluation.intervals import LEVEL

SCHEMA = 1


def verdict_line(targets: Mapping[str, Mapping[str, Any]]) -> str:
    """The verdict of the only target, or "target: verdict" for each of several."""
    if len(targets) == 1:
        return str(next(iter(targets.values()))["verdict"]["text"])
    return "; ".join(f"{name}: {of['verdict']['text']}" for name, of in targets.items())


def assemble(
    targets: Mapping[str, dict[str, Any]],
    *,
    resamples: int,
    seed: int,
    split_hash: str,
    data_hash: str,
    training: Mapping[str, Any] | None = None,
    adaptation: Mapping[str, Any] | None = None,
    distillation: Mapping[str, Any] | None = None,
    audit: Mapping[str, Any] | None = None,
    novelty: Mapping[str, Any] | None = None,
    seeds: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """metrics.json from the entries that ``evaluate_target`` made."""
    resampled = {of["resampled"] for of in targets.values()}
    return {
        "schema": SCHEMA,
        "verdict": verdict_line(targets),
        "targets": dict(targets),
        "resampled": resampled.pop() if len(resampled) == 1 else "mixed",
        "level": LEVEL,
        "resamples": resamples,
        "seed": seed,
        "split_hash": split_hash,
        "data_hash": data_hash,
        "training": dict(training or {}),
        "adaptation": None if adaptation is None else dict(adaptation),
        "distillation": None if distillation is None else dict(distillation),
        "audit": None if audit is None else dict(audit),
        "novelty": None if novelty is None else dict(novelty),
        "seeds": None if seeds is None else dict(seeds),
    }
