"""``conformal`` of a target of ``metrics.json`` → do its sets or intervals hold the truth as often as asked?"""

from anlage.bundle.numbers import known
from anlage.report.judged import Figure
from anlage.report.section import PARTS, At, Cell, Section, Sheet, shown
from anlage.report.trust_figures import LARGEST_FOREST, Estimated, levels_forest

_MANY = 12
"""Labels of a table that stands open."""


def conformal_section(target: At) -> Section | None:
    """Coverage on each part and for each label, and the size of what is predicted. ``target``: one of ``targets``."""
    found = target["conformal"]
    if not found:
        return None
    sets = target["task"].value != "regression"
    what = "sets of labels" if sets else "intervals"
    section = Section(f"Conformal coverage: do its {what} hold the truth?", "conformal")
    section.facts = [
        ("share asked for", shown(found["coverage"])),
        ("method", Cell(found["method"].value or "")),
        ("calibration rows", shown(found["rows"])),
    ]
    parts = [(name, found["parts"][name]) for name in PARTS if found["parts"][name]]
    if parts:
        section.text.append(outcome(parts[0][0], parts[0][1]["held"], found["coverage"].value, what))
        size = "labels in a set (mean)" if sets else "width of an interval (median)"
        rows = [
            [Cell("share held"), *(shown(part["held"]) for _, part in parts)],
            [Cell(size), *(shown(part["size"]) for _, part in parts)],
            [Cell("rows"), *(shown(part["held"]["n"]) for _, part in parts)],
        ]
        section.blocks.append(Sheet("", ["", *(PARTS[name] for name, _ in parts)], rows))
        section.notes += _short(parts[0][1]["by_label"], found["coverage"].value)
    for index, (name, part) in enumerate(parts):
        if part["by_label"]:
            _by_label(section, name, part["by_label"], found["coverage"].value, first=index == 0)
    return section


def outcome(part: str, held: At, asked: float, what: str) -> str:
    """Is the share that was asked for inside the interval of the share that was held? In words."""
    low, high = held["low"].value, held["high"].value
    rows = f"{PARTS[part].lower()} rows"
    if not (known(low) and known(high)):
        return f"Whether the {what} hold as much as asked cannot be told from these {rows}."
    if high < asked:
        return f"On the {rows} the {what} hold the truth less often than asked."
    if low > asked:
        return f"On the {rows} the {what} hold the truth more often than asked: they are wider than they need to be."
    return f"On the {rows} the {what} hold the truth as often as asked, as far as these rows can tell."


def _short(labels: At, asked: float) -> list[str]:
    """The labels whose whole interval lies below what was asked for: a mean over all rows hides them."""
    high = {name: at["high"].value for name, at in labels.items()}
    if short := [name for name, bound in high.items() if known(bound) and bound < asked]:
        return [f"Less often than asked for {', '.join(short[:_MANY])}{' and others' if len(short) > _MANY else ''}."]
    return []


def _by_label(section: Section, part: str, labels: At, asked: float, first: bool) -> None:
    drawn = [Estimated(name, at["value"].value, at["low"].value, at["high"].value, None) for name, at in labels.items()]
    drawn = [row for row in drawn if known(row.value)]
    if first and 0 < len(drawn) <= LARGEST_FOREST:
        caption = f"{PARTS[part]}: share of the rows of each label whose set holds it. Dashed: asked for."
        section.blocks.append([Figure(levels_forest(drawn, "share held", asked), caption)])
    rows = [[Cell(name), shown(at), shown(at["n"])] for name, at in labels.items()]
    folded = len(rows) > _MANY or not first
    section.blocks.append(Sheet(f"{PARTS[part]}: for each label", ["label", "share held", "rows"], rows, folded))
