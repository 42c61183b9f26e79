"""The trust keys of metrics.json for simulated models, in the shapes that docs/metrics-json.md states."""

import json
from typing import Any

import numpy as np
from report.views import binary, several, ten_classes

from anlage.report.view import ReportView


def est(rng: np.random.Generator, value: float, width: float = 0.03, n: int | None = None) -> dict[str, Any]:
    """An estimate with its interval; ``n`` rows behind it."""
    found: dict[str, Any] = {"value": value, "low": value - width * rng.uniform(0.7, 1.3), "high": value + width}
    return found if n is None else found | {"n": n}


def calibration(rng: np.random.Generator, n: int, bins: int = 10) -> dict[str, Any]:
    parts = {}
    for part, rows in (("test", n), ("valid", n // 4)):
        curve = []
        for x in np.sort(rng.beta(0.6, 0.6, bins)):
            y = float(np.clip(x + rng.normal(0, 0.04), 0, 1))
            low, high = max(0.0, y - 0.07), min(1.0, y + 0.07)
            curve.append({"predicted": float(x), "observed": y, "low": low, "high": high, "n": rows // bins})
        brier = est(rng, 0.1234) | {"reliability": 0.0061, "resolution": 0.1157, "uncertainty": 0.2330}
        before = est(rng, 0.091) if part == "test" else None
        parts[part] = {"ece": est(rng, 0.032, 0.01), "brier": brier, "ece_before": before, "curve": curve}
    why = "the log loss in cross-validation within the calibration rows fell by 0.021"
    parameters = {"temperature": 1.37}
    return {"method": "temperature", "why": why, "rows": n // 4, "parameters": parameters, "parts": parts}


def conformal(rng: np.random.Generator, labels: list[str], n: int, held: float = 0.905) -> dict[str, Any]:
    share = {"held": est(rng, held, 0.012, n), "size": 1.84}
    by_label = {
        label: est(rng, held - 0.02 * i / len(labels), 0.05, n // len(labels)) for i, label in enumerate(labels)
    }
    parts = {"test": share | {"by_label": by_label}}
    return {"coverage": 0.9, "method": "split conformal, LAC", "rows": n // 4, "parts": parts}


def thresholds(rng: np.random.Generator, label: str | None, n: int) -> list[dict[str, Any]]:
    def parts() -> dict[str, Any]:
        names = ("sensitivity", "specificity", "precision", "npv", "f1", "flagged")
        return {part: {name: est(rng, rng.uniform(0.5, 0.95)) for name in names} for part in ("valid", "test")}

    goal = {"label": label, "rows": n // 4}
    return [
        goal | {"goal": "sensitivity>=0.95", "threshold": 0.118, "why": "", "parts": parts()},
        goal | {"goal": "cost=10:1", "threshold": 0.0913, "why": "", "parts": parts()},
        goal
        | {
            "goal": "precision>=0.99",
            "threshold": None,
            "why": "no threshold reaches it on validation rows",
            "parts": {},
        },
    ]


def net_benefit(share: float = 0.37) -> dict[str, Any]:
    curve = []
    for t in np.arange(1, 100) / 100:
        everyone = share - (1 - share) * t / (1 - t)
        model = max(share * 0.93 * (1 - t**4) - (1 - share) * 0.05 * t / (1 - t), -0.02)
        bounds = {"model": model, "low": model - 0.03, "high": model + 0.02}
        curve.append({"threshold": float(t), **bounds, "all": everyone})
    return {"part": "test", "label": "malignant", "curve": curve}


def subgroups(rng: np.random.Generator, metric: str, n: int) -> dict[str, Any]:
    def level(name: str, rows: int, score: float | None) -> dict[str, Any]:
        small = rows < 20
        found = None if score is None else est(rng, score, 0.02 + 0.3 / rows**0.5, rows)
        held = None if small else est(rng, 0.9, 0.02, rows)
        return {
            "name": name, "n": rows, "small": small,
            "score": found or {"value": None, "low": None, "high": None, "n": rows},
            "ece": None if small else est(rng, 0.04), "held": held,
        }  # fmt: skip

    sex = [level("female", n // 2, 0.93), level("male", n // 2 - 9, 0.88), level("missing", 9, 0.7)]
    ages = [level(f"{a} to {a + 9}", max(n // 8 - a, 14), 0.95 - a / 900) for a in range(20, 90, 10)]
    ages.append(level("90 to 99", 3, None))
    gap = est(rng, 0.051, 0.03) | {"best": "female", "worst": "male"}
    return {
        "metric": metric, "part": "test",
        "columns": {"sex": {"levels": sex, "gap": gap}, "age": {"levels": ages, "gap": None}},
    }  # fmt: skip


def audit(rng: np.random.Generator, targets: dict[str, str], n: int) -> dict[str, Any]:
    """``targets``: name → metric."""

    def found(kind: str, severity: str, text: str, count: int, effect: str, again: bool) -> dict[str, Any]:
        cell = {
            t: {"metric": m, "all": est(rng, 0.91), "without": est(rng, 0.89), "n": n - count}
            for t, m in targets.items()
        }
        return {
            "kind": kind, "severity": severity, "text": text, "count": count, "of": n, "part": "test",
            "effect": effect, "without": cell if again else None,
        }  # fmt: skip

    return {
        "findings": [
            found("label_shift", "note", "labels are rarer in the test rows", 12, "accuracy moves with them", False),
            found(
                "near_duplicates", "leak", "test rows have a near copy (identity 30 %) among the training rows", 331,
                "the metric is too high: these answers could be remembered", True,
            ),
            found("conflicts", "warning", "one sample has different labels", 23, "no model can be right twice", True),
        ],
        "checked": ["exact duplicates within and across parts", "near duplicates across parts", "single columns"],
        "skipped": [{"what": "test rows seen in pretraining", "why": "the encoder was not pretrained"}],
    }  # fmt: skip


def novelty(rng: np.random.Generator, targets: dict[str, str], n: int) -> dict[str, Any]:
    scores = {t: {"metric": m, "flagged": est(rng, 0.7, 0.1), "usual": est(rng, 0.91)} for t, m in targets.items()}
    return {
        "method": "relative Mahalanobis distance of pooled vectors; length and alphabet",
        "rows": 7 * n,
        "parts": {"valid": {"flagged": 4, "of": n // 2}, "test": {"flagged": 31, "of": n}},
        "scores": scores,
    }


def seeds(rng: np.random.Generator, targets: dict[str, str]) -> dict[str, Any]:
    found = {}
    for target, metric in targets.items():
        values = [float(v) for v in 0.9 + rng.normal(0, 0.01, 5)]
        spread = {"mean": float(np.mean(values)), "sd": float(np.std(values, ddof=1))}
        found[target] = {"metric": metric, "values": values, **spread, "baseline": [v - 0.03 for v in values]}
    return {"seeds": [0, 1, 2, 3, 4], "targets": found}


def add_trust(view: ReportView, n: int, seed: int = 0) -> ReportView:
    """The view with every trust key of its tasks."""
    rng = np.random.default_rng(seed)
    metrics = json.loads(json.dumps(view.metrics))
    primary = {name: entry["primary"] for name, entry in metrics["targets"].items()}
    labels = {target.name: target.labels for target in view.targets}
    for name, entry in metrics["targets"].items():
        regression, two = entry["task"] == "regression", len(labels[name]) == 2
        entry["calibration"] = None if regression else calibration(rng, n)
        entry["conformal"] = conformal(rng, [] if regression else labels[name], n)
        entry["thresholds"] = [] if regression else thresholds(rng, None if two else labels[name][0], n)
        entry["net_benefit"] = net_benefit() if two and not regression else None
        entry["subgroups"] = subgroups(rng, entry["primary"], n)
    metrics |= {"audit": audit(rng, primary, n), "novelty": novelty(rng, primary, n), "seeds": seeds(rng, primary)}
    view.metrics = metrics
    return view


TRUSTED = {
    "binary": lambda: add_trust(binary(), 569),
    "ten_classes": lambda: add_trust(ten_classes(), 2768),
    "several": lambda: add_trust(several(), 1400),
}
