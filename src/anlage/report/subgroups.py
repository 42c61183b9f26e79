"""``subgroups`` of a target of ``metrics.json`` → a forest plot and a table for each column, small groups marked."""

from anlage.bundle.numbers import known
from anlage.report.judged import Figure
from anlage.report.section import PARTS, At, Cell, Section, Sheet, shown
from anlage.report.trust_figures import LARGEST_FOREST, Estimated, levels_forest

SMALL = "small group"


def subgroups_section(target: At) -> Section | None:
    """Score, calibration and coverage of each level, and the gap between the best and the worst."""
    found = target["subgroups"]
    if not found:
        return None
    metric, part = found["metric"].value, found["part"].value
    section = Section("Subgroups: is it as good for everyone?", "subgroups")
    section.text.append(
        f"Judged on the {PARTS[part].lower()} rows by {metric.replace('_', ' ')}. Groups marked small have too few "
        "rows to say much: they are shown, and left out of the gap."
    )
    overall = target["model"][part][metric]["value"].value
    for column, entry in found["columns"].items():
        levels = list(entry["levels"])
        gap = entry["gap"]
        if gap:
            section.facts.append((f"{column}: gap", shown(gap)))
            names = f"best {gap['best'].value}, worst {gap['worst'].value}"
            section.facts.append(("between", Cell(names)))
        else:
            section.facts.append((f"{column}: gap", Cell("cannot be told from groups of this size")))
        section.blocks.append(f"By {column}")
        drawn = [_estimated(level) for level in levels if known(level["score"]["value"].value)]
        if 0 < len(drawn) <= LARGEST_FOREST:
            caption = "With intervals."
            caption += " Dashed: all rows." if known(overall) else ""
            caption += " Hollow: small groups." if any(row.note for row in drawn) else ""
            guide = overall if known(overall) else None
            section.blocks.append([Figure(levels_forest(drawn, metric.replace("_", " "), guide), caption)])
        section.blocks.append(_sheet(metric, levels))
    return section


def _estimated(level: At) -> Estimated:
    score = level["score"]
    note = SMALL if level["small"].value else None
    return Estimated(level["name"].value, score["value"].value, score["low"].value, score["high"].value, note)


def _sheet(metric: str, levels: list[At]) -> Sheet:
    more = {"ece": "calibration error ↓", "held": "share held"}
    more = {key: said for key, said in more.items() if any(level[key] for level in levels)}
    rows = []
    for level in levels:
        name = Cell(str(level["name"].value), SMALL if level["small"].value else "")
        rows.append([name, shown(level["n"]), shown(level["score"]), *(shown(level[key]) for key in more)])
    return Sheet("", ["", "rows", metric.replace("_", " "), *more.values()], rows)
