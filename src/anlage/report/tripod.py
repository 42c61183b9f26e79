"""The checklist of TRIPOD+AI: what a program knows is filled in, what only people know is listed for them.

Source: Collins et al. 2024, TRIPOD+AI statement, BMJ 385:e078378 (27 items; the names here are our own short words).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from anlage.bundle.numbers import count
from anlage.report.view import ReportView

CLINICAL = {"record", "image", "volume"}
"""Modalities of patients' records and pictures."""


@dataclass(frozen=True)
class Item:
    """One item: what this run says about it, and what people must add."""

    number: str
    name: str
    found: str
    """Empty where a program can know nothing."""
    to_add: str
    """Empty where nothing is missing."""


@dataclass(frozen=True)
class Checklist:
    """All items in the order of the statement."""

    items: list[Item]
    clinical: bool

    @property
    def filled(self) -> list[Item]:
        """What the run says something about."""
        return [item for item in self.items if item.found]

    @property
    def open(self) -> list[Item]:
        """What is for people alone."""
        return [item for item in self.items if not item.found]


def checklist(view: ReportView) -> Checklist:
    """The items for one report. A fact that the view does not hold leaves its item open."""
    items = []
    for number, name, to_add in ITEMS:
        filler = _FILLERS.get(number)
        found = filler(view) if filler else ""
        items.append(Item(number, name, found, to_add or ("" if found else "to be described")))
    return Checklist(items, any(shown.modality in CLINICAL for shown in view.inputs))


ITEMS: list[tuple[str, str, str]] = [
    ("1", "Title: kind of study, people, outcome", "for which people and outcome"),
    ("2", "Structured abstract", "the abstract"),
    ("3a", "Medical context and existing models", "context, reasons, earlier models"),
    ("3b", "Intended use, users and place in care", "who uses it on whom, and when"),
    ("3c", "Known health inequalities", "what is known for these people"),
    ("4", "Objectives", "what was asked, and whether to develop or to evaluate"),
    ("5a", "Source of the data", "why these data, and whom they stand for"),
    ("5b", "Dates of the data", "first and last day, end of follow-up"),
    ("6a", "Setting and sites", "kind of care, number and place of sites"),
    ("6b", "Who was eligible", "criteria"),
    ("6c", "Treatments received", "which, and how they were dealt with"),
    ("7", "Preparation and checks of the data", "what was done before the table, alike for all groups or not"),
    ("8a", "Outcome: definition and time", "how and when it was assessed, and why this one"),
    ("8b", "Who judged the outcome", "training and background, where it takes judgement"),
    ("8c", "Blinding of the outcome", "what those who judged it knew"),
    ("9a", "Choice of predictors", "why these"),
    ("9b", "Predictors: definition and time", "how and when each was measured"),
    ("9c", "Who judged the predictors", "training and background, where it takes judgement"),
    ("10", "Sample size", "why it is enough"),
    ("11", "Missing data", "why values are missing, and how they were dealt with"),
    ("12a", "How the data were used and divided", ""),
    ("12b", "How predictors enter the model", ""),
    ("12c", "Kind of model, building, tuning, internal validation", "why this kind"),
    ("12d", "Differences between clusters", "how sites or other clusters were dealt with"),
    ("12e", "Measures and plots of performance", ""),
    ("12f", "Updating or recalibration", ""),
    ("12g", "How predictions are computed", ""),
    ("13", "Class imbalance", "what was done about it, and why"),
    ("14", "Fairness", "what was done about it, and why"),
    ("15", "Output of the model and its thresholds", ""),
    ("16", "Differences between training and evaluation data", "in setting, eligibility, outcome, predictors"),
    ("17", "Ethics approval and consent", "committee, number, consent or waiver"),
    ("18a", "Funding", "sources, and their role"),
    ("18b", "Conflicts of interest", "of all authors"),
    ("18c", "Protocol", "where it is, or that there is none"),
    ("18d", "Registration", "register and number, or that there is none"),
    ("18e", "Sharing of the data", "where they can be had, on which terms"),
    ("18f", "Sharing of the code", ""),
    ("19", "Involvement of patients and public", "in which steps, or that there was none"),
    ("20a", "Flow of participants", "who was left out before the table; follow-up"),
    ("20b", "Characteristics of participants", "demographics and key predictors, for each site or source"),
    ("20c", "Evaluation and training data compared", "the key predictors in both"),
    ("21", "Numbers in each analysis", "how many people the rows come from"),
    ("22", "The full model", "on which terms it may be used"),
    ("23a", "Performance with intervals, also in subgroups", ""),
    ("23b", "Performance in different clusters", "for sites or other clusters, if examined"),
    ("24", "Results of updating", ""),
    ("25", "Interpretation, also of fairness", "what the numbers mean for the objectives"),
    ("26", "Limitations", "of the study: sample, missing data, bias"),
    ("27a", "Poor or missing input in use", "how it is noticed and dealt with in care"),
    ("27b", "What users must do and know", "their part, and the expertise it takes"),
    ("27c", "Next steps", "further research, other places"),
]
"""Number, name, what people must add even where the run says something."""


def _title(view: ReportView) -> str:
    targets = ", ".join(_targets(view))
    inputs = ", ".join(shown.name for shown in view.inputs)
    return f"a prediction model, developed and tested: {inputs} → {targets}" if inputs and targets else ""


def _source(view: ReportView) -> str:
    names = [PurePath(str(source)).name for source in view.provenance.get("sources", [])]
    return f"{', '.join(names)} (hash under Data and split)" if names else ""


def _preparation(view: ReportView) -> str:
    problems = f"{count(len(view.problems))} values or rows had problems, see Data and split" if view.split else ""
    return problems if view.problems else "every value could be read" if view.split else ""


def _outcome(view: ReportView) -> str:
    return ", ".join(f"{name} ({entry.get('task', '')})" for name, entry in _targets(view).items())


def _predictors(view: ReportView) -> str:
    left = (
        f"; {count(len(view.left_out))} columns left out, with reasons, under Data and split" if view.left_out else ""
    )
    return ", ".join(f"{shown.name} ({shown.modality})" for shown in view.inputs) + left if view.inputs else ""


def _rows(view: ReportView) -> str:
    rows = view.split.rows if view.split else view.provenance.get("rows", {})
    return ", ".join(f"{count(n)} {part}" for part, n in rows.items()) + " rows" if rows else ""


def _division(view: ReportView) -> str:
    return f"{view.split.how}; {_rows(view)}" if view.split else ""


def _entering(view: ReportView) -> str:
    return (
        "prepared as its kind of data asks, learned from training rows alone, kept in bundle.json"
        if view.inputs
        else ""
    )


def _model(view: ReportView) -> str:
    said = "; ".join(f"{shown.name}: {shown.encoder}" for shown in view.inputs if shown.encoder)
    return f"{said}; stopped by validation rows; all settings under To repeat it" if said else ""


def _clusters(view: ReportView) -> str:
    return "intervals resample groups, not rows" if view.metrics.get("resampled") == "groups" else ""


def _measures(view: ReportView) -> str:
    names = dict.fromkeys(
        metric.replace("_", " ")
        for entry in _targets(view).values()
        for cells in entry.get("model", {}).values()
        for metric in cells
    )
    more = [said for key, said in _MORE.items() if _any(view, key)]
    level = view.metrics.get("level")
    how = f"; {level:.0%} bootstrap intervals" if level else ""
    return ", ".join([*names, *more]) + how if names else ""


_MORE = {"calibration": "reliability diagram", "conformal": "coverage", "net_benefit": "decision curve"}


def _updating(view: ReportView) -> str:
    if view.metrics.get("update"):
        return "updated with new rows, see What the update changed"
    methods = [found["method"] for entry in _targets(view).values() if (found := entry.get("calibration"))]
    if any(method != "none" for method in methods):
        return "recalibrated on validation rows set apart, see Calibration"
    return "none" if _targets(view) else ""


def _computed(view: ReportView) -> str:
    return "anlage predict BUNDLE ROWS, or anlage.load in Python" if _targets(view) else ""


def _imbalance(view: ReportView) -> str:
    return "; ".join(note for note in view.notes if "weights" in note)


def _fairness(view: ReportView) -> str:
    return f"judged by {', '.join(columns)}" if (columns := _columns(view)) else ""


def _output(view: ReportView) -> str:
    said = {"classification": "a probability of each label", "multilabel": "a probability of each label"}
    kinds = dict.fromkeys(said.get(entry.get("task", ""), "a number") for entry in _targets(view).values())
    goals = ", thresholds chosen on validation rows (Thresholds)" if _any(view, "thresholds") else ""
    sets = ", prediction sets or intervals" if _any(view, "conformal") else ""
    return ", ".join(kinds) + goals + sets


def _differences(view: ReportView) -> str:
    return f"both parts of one table ({view.split.how}), audited" if view.split and view.metrics.get("audit") else ""


def _data(view: ReportView) -> str:
    found = view.metrics.get("data_hash", view.provenance.get("data_hash"))
    return f"sha256 {found}" if found else ""


def _code(view: ReportView) -> str:
    version = view.provenance.get("anlage")
    return f"anlage {version}, open source; the command under To repeat it" if version and view.command else ""


def _characteristics(view: ReportView) -> str:
    known = view.split and (view.split.labels or view.split.quantiles)
    return "labels of each part under Data and split" if known else ""


def _specification(view: ReportView) -> str:
    return "the bundle: bundle.json and weights.safetensors, which run no foreign code" if view.command else ""


def _performance(view: ReportView) -> str:
    by = (
        f", and by {', '.join(columns)}"
        if (columns := _columns(view))
        else "; no subgroups were asked for (--subgroup)"
    )
    return f"How good it is{by}" if _targets(view) else ""


def _limitations(view: ReportView) -> str:
    return "what the numbers say, under Limits of use" if _targets(view) else ""


def _poor_input(view: ReportView) -> str:
    return "rows unlike the training rows are flagged when the model predicts" if view.metrics.get("novelty") else ""


_FILLERS: Mapping[str, Callable[[ReportView], str]] = {
    "1": _title, "5a": _source, "7": _preparation, "8a": _outcome, "9a": _predictors, "10": _rows, "12a": _division,
    "12b": _entering, "12c": _model, "12d": _clusters, "12e": _measures, "12f": _updating, "12g": _computed,
    "13": _imbalance, "14": _fairness, "15": _output, "16": _differences, "18e": _data, "18f": _code,
    "20a": _rows, "20b": _characteristics, "20c": _characteristics, "21": _rows, "22": _specification,
    "23a": _performance, "24": _updating, "26": _limitations, "27a": _poor_input,
}  # fmt: skip


def _targets(view: ReportView) -> Mapping[str, Any]:
    targets: Mapping[str, Any] = view.metrics.get("targets", {})
    return targets


def _any(view: ReportView, key: str) -> bool:
    return any(entry.get(key) for entry in _targets(view).values())


def _columns(view: ReportView) -> list[str]:
    found = [(entry.get("subgroups") or {}).get("columns", {}) for entry in _targets(view).values()]
    return list(dict.fromkeys(column for columns in found for column in columns))
