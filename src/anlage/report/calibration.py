"""``calibration`` of a target of ``metrics.json`` → reliability diagram, ECE and the parts of the Brier score."""

from anlage.bundle.numbers import count, known
from anlage.report.judged import Figure
from anlage.report.section import PARTS, At, Cell, Section, Sheet, shown
from anlage.report.trust_figures import reliability

METHODS = {
    "temperature": "temperature scaling",
    "isotonic": "isotonic regression",
    "none": "as the model gives them",
}


def calibration_section(target: At) -> Section | None:
    """How far a predicted probability is a frequency. ``target``: an entry of ``targets``."""
    found = target["calibration"]
    if not found:
        return None
    section = Section("Calibration: are the probabilities true?", "calibration")
    section.text.append(
        "Of all rows that are given a probability of 0.8, eight in ten should have the label: with two labels the "
        "positive one, with more the one that is predicted."
    )
    method = found["method"].value
    section.facts = [
        ("probabilities", Cell(METHODS.get(method, method))),
        ("because", Cell(found["why"].value or "")),
        ("calibration rows", shown(found["rows"])),
        *((name, shown(at)) for name, at in found["parameters"].items() if known(at.value)),
    ]
    parts = [(name, found["parts"][name]) for name in PARTS if found["parts"][name]]
    curves = [(name, part["curve"]) for name, part in parts if part["curve"]]
    if parts:
        section.blocks.append(_scores(parts))
    section.blocks.append([_figure(name, curve) for name, curve in curves])
    section.blocks += [_bins(name, curve) for name, curve in curves]
    return section


def _scores(parts: list[tuple[str, At]]) -> Sheet:
    """A column for each part: ECE before and after, the Brier score and what it is the sum of."""
    rows = []
    if any(part["ece_before"] for _, part in parts):
        rows.append([Cell("calibration error before ↓"), *(shown(part["ece_before"]) for _, part in parts)])
    rows.append([Cell("calibration error (ECE) ↓"), *(shown(part["ece"]) for _, part in parts)])
    rows.append([Cell("Brier score ↓"), *(shown(part["brier"]) for _, part in parts)])
    for name, said in (
        ("reliability", "= reliability ↓"),
        ("resolution", "− resolution"),
        ("uncertainty", "+ uncertainty of the labels"),
    ):
        rows.append([Cell(said, css="inner"), *(shown(part["brier"][name]) for _, part in parts)])
    return Sheet("", ["", *(PARTS[name] for name, _ in parts)], rows)


def _figure(part: str, curve: At) -> Figure:
    bins = [(b["predicted"], b["observed"], b.get("low"), b.get("high"), b["n"]) for b in curve.value]
    sizes = [n for *_, n in bins]
    many = count(min(sizes)) if min(sizes) == max(sizes) else f"{count(min(sizes))} to {count(max(sizes))}"
    caption = (
        f"{PARTS[part]}: observed over predicted, with intervals; columns: the {many} rows of each bin. Dashed: true."
    )
    return Figure(reliability(bins), caption)


def _bins(part: str, curve: At) -> Sheet:
    rows = []
    for number, found in enumerate(curve):
        observed = shown(At({key: found[name].value for key, name in _OBSERVED.items()}, found.pointer))
        rows.append([Cell(str(number + 1)), shown(found["predicted"]), observed, shown(found["n"])])
    return Sheet(f"{PARTS[part]}: the bins as numbers", ["bin", "predicted", "observed", "rows"], rows, folded=True)


_OBSERVED = {"value": "observed", "low": "low", "high": "high"}
