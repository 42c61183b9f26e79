"""``thresholds`` and ``net_benefit`` of a target of ``metrics.json`` → operating characteristics and decision curve."""

from anlage.bundle.numbers import known
from anlage.report.judged import Figure
from anlage.report.section import PARTS, At, Cell, Section, Sheet, capital, shown
from anlage.report.trust_figures import decision_curve

_NAMES = {
    "sensitivity": "sensitivity (recall)",
    "specificity": "specificity",
    "precision": "precision (PPV)",
    "npv": "NPV",
    "f1": "F1",
    "flagged": "share flagged",
}
_STEPS = (0.05, 0.1, 0.2, 0.3, 0.5)
"""Thresholds of the decision curve that are given in numbers as well."""


def operating_section(target: At) -> Section | None:
    """What each chosen threshold does on each part, and whether acting on it is worth it."""
    goals, benefit = list(target["thresholds"]), target["net_benefit"]
    if not goals and not benefit:
        return None
    section = Section("Thresholds" + (" and net benefit" if benefit else ""), "thresholds")
    if goals:
        section.text.append("Chosen on validation rows for a stated goal, judged on the test rows.")
    for goal in goals:
        if goal["why"]:
            section.notes.append(f"{pretty(goal)}: {goal['why'].value}")
    for part in PARTS:
        if any(goal["parts"][part] for goal in goals):
            section.blocks.append(_sheet(goals, part))
    if benefit:
        _decision(section, benefit)
    return section


def pretty(goal: At) -> str:
    """ "sensitivity>=0.95" → "sensitivity ≥ 0.95 (malignant)"."""
    words = (
        str(goal["goal"].value)
        .removeprefix(f"{goal['label'].value}:")
        .replace(">=", " ≥ ")
        .replace("=", " = ")
        .replace("f1", "F1")
    )
    return f"{capital(words)} ({goal['label'].value})" if goal["label"].value not in (None, "") else capital(words)


def _sheet(goals: list[At], part: str) -> Sheet:
    """A column for each goal."""
    rows = [
        [Cell("threshold"), *(shown(goal["threshold"]) for goal in goals)],
        [Cell("chosen on rows"), *(shown(goal["rows"]) for goal in goals)],
    ]
    rows += [[Cell(said), *(shown(goal["parts"][part][name]) for goal in goals)] for name, said in _NAMES.items()]
    return Sheet(PARTS[part], ["", *map(pretty, goals)], rows, folded=part != "test", css="scores")


def _decision(section: Section, benefit: At) -> None:
    """The decision curve (Vickers & Elkin 2006)."""
    curve = [point for point in benefit["curve"] if known(point["model"].value)]
    if not curve:
        return
    part, label = PARTS[benefit["part"].value].lower(), benefit["label"].value
    of = f" for “{label}”" if label else ""
    caption = f"Net benefit{of} on the {part} rows, with intervals, over the probability from which one would act."
    drawn = decision_curve([point.value for point in curve])
    section.blocks.append([Figure(drawn, f"{caption} Zero: nobody is treated.")])
    shares = [point["threshold"].value for point in curve]
    near = [min(range(len(shares)), key=lambda i: abs(shares[i] - step)) for step in _STEPS]
    rows = []
    for point in (curve[index] for index in dict.fromkeys(near)):
        model = At({**{key: point[key].value for key in ("low", "high")}, "value": point["model"].value}, point.pointer)
        rows.append([shown(point["threshold"]), shown(model), shown(point["all"])])
    header = ["act from", "by this model", "treat all"]
    section.blocks.append(Sheet("Net benefit at some thresholds", header, rows, folded=True))
