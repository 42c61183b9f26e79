"""``metrics.json`` → teacher and student side by side, for the page and for the terminal."""

from collections.abc import Mapping
from typing import Any

from anlage.bundle.numbers import count, interval, number
from anlage.report.judged import Table


def distillation_table(found: Mapping[str, Any]) -> Table:
    """A row for the teacher and one for the student: size, speed, metrics; and the paired difference."""
    scores = found["teacher"]["scores"]
    names = [f"{target}: {cell['metric']}".replace("_", " ") for target, cell in scores.items()]
    rows = []
    for name in ("teacher", "student"):
        one = found[name]
        shown = [" ".join(interval(one["scores"][target])).strip() for target in scores]
        rows.append([name, count(one["parameters"]), _speed(one["samples_per_second"]), *shown])
    gains = [" ".join(interval(found["difference"][target])).strip() for target in scores]
    rows.append(["student − teacher", *_ratios(found), *gains])
    device = found["device"].upper() if found["device"] == "cpu" else "GPU"
    where = f"measured in one run on the same {count(found['rows'])} {found['part']} rows, on one {device}"
    return Table(f"Teacher and student, {where}", ["", "parameters", "samples a second", *names], rows)


def outcome(found: Mapping[str, Any]) -> str:
    """What the student is to its teacher, and from how many rows without a label it learned, in one line."""
    size, speed = _ratios(found)
    rows = found["unlabelled_rows"]
    without = f"; it learned from {count(rows)} rows without a label as well" if rows else ""
    without += "; the plain baselines learned from the labels of this table alone, without the teacher"
    seen = found["test_rows_seen"]
    leak = "; NOT CHECKED: whether the teacher was trained on test rows" if seen is None else ""
    leak = f"; {count(seen)} test rows were left out, because the teacher was trained on them" if seen else leak
    return f"the student has {size} the parameters of its teacher and predicts at {speed} its speed{without}{leak}"


def lines(found: Mapping[str, Any]) -> list[str]:
    """The same for the terminal, in columns."""
    return [*distillation_table(found).lines(), outcome(found)]


def _ratios(found: Mapping[str, Any]) -> tuple[str, str]:
    """(size, speed) of the student as multiples of the teacher's."""
    teacher, student = found["teacher"], found["student"]
    size = student["parameters"] / teacher["parameters"]
    speeds = student["samples_per_second"], teacher["samples_per_second"]
    return f"{number(size)} ×", f"{speeds[0] / speeds[1]:.3g} ×" if all(speeds) else "–"


def _speed(value: float | None) -> str:
    return "–" if value is None else f"{value:,.4g}" if value < 1000 else f"{value:,.0f}"
