"""``novelty`` of ``metrics.json`` → how many rows are unlike what the model was trained on, and how it does on them."""

from anlage.bundle.numbers import count
from anlage.report.section import PARTS, At, Cell, Section, Sheet, shown


def novelty_section(novelty: At) -> Section | None:
    """Rows flagged in each part, and the deciding metric on flagged and on usual rows."""
    if not novelty:
        return None
    section = Section("Novelty: rows unlike the training rows", "novelty")
    section.text.append(
        "A prediction for such a row is a guess into the unknown: it is flagged when the model predicts."
    )
    section.facts = [("method", Cell(novelty["method"].value or "")), ("fitted on rows", shown(novelty["rows"]))]
    rows = []
    for part, found in novelty["parts"].items():
        flagged = Cell(count(found["flagged"].value), f"of {count(found['of'].value)}", found.pointer, "n")
        rows.append([Cell(PARTS.get(part, part)), flagged])
    if rows:
        section.blocks.append(Sheet("", ["", "rows flagged"], rows))
    scores = [
        [Cell(f"{target}: {found['metric'].value}".replace("_", " ")), shown(found["usual"]), shown(found["flagged"])]
        for target, found in novelty["scores"].items()
    ]
    if scores:
        section.blocks.append(Sheet("How good on them", ["", "usual rows", "flagged rows"], scores))
    return section
