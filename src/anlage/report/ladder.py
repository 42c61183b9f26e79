"""``metrics.json`` → the table of adaptations that were tried, for the page and for the terminal."""

from collections.abc import Mapping
from typing import Any

from anlage.bundle.numbers import count, interval
from anlage.report.judged import Table


def ladder_table(ladder: Mapping[str, Any]) -> Table:
    """A row for each rung: its metrics on the validation rows, its gain over the rung below, what it cost."""
    rungs = ladder["rungs"]
    scores = rungs[0]["scores"]
    names = [f"{target}: {cell['metric']}".replace("_", " ") for target, cell in scores.items()]
    header = ["adaptation", *names, "gain over the one before", "weights that learn", "steps", "seconds"]
    rows = []
    for rung in rungs:
        shown = [" ".join(interval(rung["scores"][target])).strip() for target in scores]
        gain = " ".join(interval(rung["gain"])).strip() if rung["gain"] else ""
        cost = [count(rung["learned_parameters"]), count(rung["steps"]), f"{rung['seconds']:.0f}"]
        name = rung["adaptation"] + (" (kept)" if rung["adaptation"] == ladder["kept"] else "")
        rows.append([name, *shown, gain, *cost])
    return Table("Adaptation of the pretrained encoder, judged on validation rows", header, rows)


def outcome(ladder: Mapping[str, Any]) -> str:
    """What was kept and why, in one line."""
    seen = ladder.get("test_rows_seen", 0)
    told = "left out" if ladder.get("test_rows_left_out") else "they flatter the model"
    leak = f"; {seen} test rows were in the corpus of the pretrained encoder: {told}" if seen else ""
    return f"adaptation {ladder['kept']} is kept: {ladder['why']}{leak}"


def lines(ladder: Mapping[str, Any]) -> list[str]:
    """The same for the terminal, in columns."""
    return [*ladder_table(ladder).lines(), outcome(ladder)]
