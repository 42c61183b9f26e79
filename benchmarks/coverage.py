"""Do 95 % intervals hold the true value in 95 % of data sets, and do prediction sets hold the truth as often as asked?

    python benchmarks/coverage.py [--datasets 2000] [--resamples 500] [--out benchmarks/coverage.md]

Data sets are drawn from known distributions: balanced (200 rows), rare (500 rows, 5 % positive) and grouped (60 groups
of 1 to 8 rows that share labels and errors). For each: accuracy, AUROC, Spearman and RMSE of a model, and its paired
difference to a worse one whose errors resemble it. The true value is that of 400,000 rows. Three intervals from the
same resamples stand side by side: plain percentiles, BCa (Efron 1987; jackknife over groups), and what anlage reports.
Then conformal prediction and the thresholds, learned by `Trust.fit` from a data set of the same size and judged on 400
new rows (groups), averaged over data sets: with calibration and conformal prediction from the same rows, as in a fit.
Bar: the asked rate ± 2 points (sets that always hold the predicted label may be above it). A rate over 2,000 data sets
has a standard error of 0.5 points.
"""

import argparse
import os
import platform
import time
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path

import numpy as np
from scipy.stats import norm

from anlage.evaluation.intervals import Resampled, difference, estimate, group_numbers, resample, weights
from anlage.evaluation.settings import EvaluationSettings
from anlage.evaluation.trust import Trust
from anlage.metrics.classification import ACCURACY, AUROC
from anlage.metrics.metric import Metric
from anlage.metrics.regression import RMSE, SPEARMAN

SCENARIOS = {"balanced": (200, 0.5), "rare": (500, 0.05), "grouped": (60, 0.5)}
"""Rows (grouped: groups), and the share of positives."""
METHODS = ("percentile", "BCa", "anlage")
BAR = 0.02
POPULATION = 400_000
ASKED = 0.9
SETTINGS = EvaluationSettings(coverage=ASKED, threshold=("sensitivity>=0.9",))


class Drawn:
    """One data set: labels and numbers, and what two models say of each."""

    def __init__(self, scenario: str, units: int, rng: np.random.Generator) -> None:
        prevalence = SCENARIOS[scenario][1]
        sizes = rng.integers(1, 9, units) if scenario == "grouped" else np.ones(units, dtype=int)
        own = np.repeat(np.arange(units), sizes)
        n, shared = len(own), 1.0 if scenario == "grouped" else 0.0
        self.groups = own if scenario == "grouped" else None

        def noise() -> np.ndarray:
            return (shared * rng.normal(size=units)[own] + rng.normal(size=n)) / np.sqrt(1 + shared)

        positive = noise() > norm.ppf(1 - prevalence)
        error = noise()
        offset = np.log(prevalence / (1 - prevalence))

        def said(error: np.ndarray) -> np.ndarray:  # twice as sure as it should be: there is something to calibrate
            p = 1 / (1 + np.exp(-2 * (1.8 * (1.8 * (positive - 0.5) + error) + offset)))
            return np.stack([1 - p, p], axis=1)

        self.label = positive.astype(float)[:, None]
        self.said = said(error), said(0.8 * error + 0.8 * noise())
        self.number = noise()[:, None]
        error = 0.8 * noise()[:, None]
        self.guessed = self.number + error, self.number + 0.8 * error + 0.6 * noise()[:, None]

    def cases(self, scenario: str) -> list[tuple[Metric, np.ndarray, tuple[np.ndarray, np.ndarray]]]:
        """(metric, truth, values of both models)."""
        numbers = [] if scenario == "rare" else [(m, self.number, self.guessed) for m in (SPEARMAN, RMSE)]
        return [(m, self.label, self.said) for m in (ACCURACY, AUROC)] + numbers


def percentile(found: Resampled) -> tuple[float, float]:
    low, high = np.nanquantile(found.draws, [0.025, 0.975])
    return float(low), float(high)


def bca(found: Resampled, left_out: np.ndarray) -> tuple[float, float]:
    """Bias-corrected and accelerated; ``left_out``: the statistic without each row (group)."""
    draws = found.draws[~np.isnan(found.draws)]
    below = np.mean(draws < found.value) + np.mean(draws == found.value) / 2
    if not 0 < below < 1:
        return percentile(found)
    away = np.nanmean(left_out) - left_out[~np.isnan(left_out)]
    spread = (away**2).sum() ** 1.5
    acceleration = (away**3).sum() / (6 * spread) if spread > 0 else 0.0
    z = norm.ppf(below) + norm.ppf([0.025, 0.975])
    low, high = np.quantile(draws, norm.cdf(norm.ppf(below) + z / (1 - acceleration * z)))
    return float(low), float(high)


Ends = dict[str, tuple[float, float]]


def ends_of(
    metric: Metric,
    truth: np.ndarray,
    models: tuple[np.ndarray, np.ndarray],
    counts: np.ndarray,
    groups: np.ndarray | None,
) -> tuple[Ends, Ends]:
    """Ends of each method's interval: of the metric of the first model, and of how much better it is."""
    units = group_numbers(groups, len(truth))
    without = (units != np.arange(int(units.max()) + 1)[:, None]).astype(np.uint8)
    one, other = (resample(metric, truth, values, counts) for values in models)
    less = [metric.function(truth, values, without) for values in models]
    sign = 1.0 if metric.greater_is_better else -1.0
    gain = Resampled(sign * (one.value - other.value), sign * (one.draws - other.draws))
    own, paired = estimate(one, truth, groups), difference(metric, one, other, truth, groups)
    return (
        {"percentile": percentile(one), "BCa": bca(one, less[0]), "anlage": (own.low, own.high)},
        {
            "percentile": percentile(gain),
            "BCa": bca(gain, sign * (less[0] - less[1])),
            "anlage": (paired.low, paired.high),
        },
    )


def intervals(scenario: str, datasets: int, resamples: int) -> list[str]:
    """Lines of the table: how often each method's interval held the true value."""
    everyone = Drawn(scenario, POPULATION // (4 if scenario == "grouped" else 1), np.random.default_rng(10**6))
    true: dict[str, float] = {}
    for metric, truth, models in everyone.cases(scenario):
        one, other = (metric(truth, values) for values in models)
        true[metric.name] = one
        true[f"{metric.name}, difference"] = (one - other) * (1 if metric.greater_is_better else -1)
    held: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    width: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for seed in range(datasets):
        drawn = Drawn(scenario, SCENARIOS[scenario][0], np.random.default_rng(seed))
        counts = weights(drawn.groups, len(drawn.label), resamples, seed)
        for metric, truth, models in drawn.cases(scenario):
            found = ends_of(metric, truth, models, counts, drawn.groups)
            for name, ends in zip((metric.name, f"{metric.name}, difference"), found, strict=True):
                for method, (low, high) in ends.items():
                    held[name][method].append(bool(low <= true[name] <= high))
                    width[name][method].append(high - low)
    lines = []
    for name in held:
        rates = {method: float(np.mean(held[name][method])) for method in METHODS}
        cells = [f"{rates[m]:.1%} ({np.nanmedian(width[name][m]):.3f})" for m in METHODS]
        verdict = "yes" if abs(rates["anlage"] - 0.95) <= BAR else "**no**"
        lines.append(f"| {scenario} | {name} | {true[name]:.3f} | {' | '.join(cells)} | {verdict} |")
    return lines


def random_row(groups: np.ndarray | None, held: np.ndarray) -> float:
    """The chance that a random row of a random group is held."""
    own = group_numbers(groups, len(held))
    return float((np.bincount(own, held) / np.bincount(own)).mean()) if len(held) else float("nan")


def promised(scenario: str, datasets: int) -> list[str]:
    """Lines of the table: how often new rows were held, or flagged, where a data set of the same size taught it."""
    reached: dict[str, list[float]] = defaultdict(list)
    kept: dict[str, int] = defaultdict(int)
    for seed in range(datasets):
        rng = np.random.default_rng(seed)
        drawn, new = Drawn(scenario, SCENARIOS[scenario][0], rng), Drawn(scenario, 400, rng)
        everyone = np.ones(len(drawn.label), dtype=bool)
        labels = ("no", "yes")
        trust = Trust.fit("classification", labels, drawn.label, drawn.said[0], drawn.groups, everyone, SETTINGS)
        assert trust is not None and trust.calibrator is not None
        kept[trust.calibrator.method] += 1
        own, rows = new.label[:, 0].astype(int), np.arange(len(new.label))
        after = trust.calibrated(new.said[0])
        if trust.conformal is not None:
            held = trust.conformal.conforming(new.said[0])[rows, own]
            kind = "a limit for each label" if trust.conformal.by_label else "one limit"
            reached[f"sets, {kind}"].append(random_row(new.groups, held))
            for label in (0, 1):
                some = None if new.groups is None else new.groups[own == label]
                reached[f"sets, {kind}: label {labels[label]!r}"].append(random_row(some, held[own == label]))
            with_predicted = trust.conformal.sets(new.said[0], after.argmax(1))[rows, own]
            reached[f"sets, {kind}, with the predicted label"].append(random_row(new.groups, with_predicted))
        if trust.thresholds:
            positive = own == 1
            some = None if new.groups is None else new.groups[positive]
            reached["threshold sensitivity>=0.9"].append(random_row(some, trust.thresholds[0].flag(after)[positive]))
        numbers = Trust.fit("regression", ("x",), drawn.number, drawn.guessed[0], drawn.groups, everyone, SETTINGS)
        assert numbers is not None and numbers.conformal is not None
        low, high = numbers.conformal.bounds(new.guessed[0])
        reached["intervals of numbers"].append(
            random_row(new.groups, ((low <= new.number) & (new.number <= high))[:, 0])
        )
    lines = []
    for name, rates in reached.items():
        mean, n = float(np.nanmean(rates)), len(rates)
        error = float(np.nanstd(rates)) / np.sqrt(n)
        asked = "one limit: label" not in name and "predicted" not in name
        verdict = ("yes" if abs(mean - ASKED) <= BAR else "**no**") if asked else ""
        lines.append(f"| {scenario} | {name} | {n:,} | {mean:.1%} ± {error:.1%} | {verdict} |")
    methods = ", ".join(f"{method} {n / datasets:.0%}" for method, n in sorted(kept.items()))
    return [*lines, f"| {scenario} | calibrated by: {methods} | {datasets:,} | | |"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", type=int, default=2000)
    parser.add_argument("--resamples", type=int, default=500)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    started = time.process_time()
    above = [line for scenario in SCENARIOS for line in intervals(scenario, options.datasets, options.resamples)]
    below = [line for scenario in SCENARIOS for line in promised(scenario, options.datasets)]
    text = "\n".join(
        [
            "# Coverage of intervals, sets and thresholds",
            "",
            f"    python benchmarks/coverage.py --datasets {options.datasets} --resamples {options.resamples}",
            "",
            f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, Python {platform.python_version()}, "
            f"numpy {version('numpy')}, scikit-learn {version('scikit-learn')}, anlage {version('anlage')}; "
            f"{time.process_time() - started:,.0f} processor seconds. What is drawn: see the script.",
            "",
            f"## 95 % intervals: how often they hold the true value (median width), {options.datasets:,} data sets",
            "",
            "| data | quantity | true | " + " | ".join(METHODS) + " | anlage within ± 2 points |",
            "|---|---|---|---|---|---|---|",
            *above,
            "",
            f"## Asked: {ASKED:.0%}. How often new rows are held or flagged, mean over data sets ± standard error",
            "",
            "| data | what | data sets | reached | within ± 2 points |",
            "|---|---|---|---|---|",
            *below,
            "",
        ]
    )
    print(text)
    if options.out:
        options.out.write_text(text)


if __name__ == "__main__":
    main()
