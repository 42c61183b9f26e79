"""``audit`` of ``metrics.json`` → what could make the numbers untrue, the worst first."""

from anlage.bundle.numbers import count
from anlage.report.section import PARTS, At, Cell, Section, Sheet, capital, shown

SEVERITIES = ("leak", "warning", "note")


def audit_section(audit: At) -> Section | None:
    """Findings, the metric without the rows that they name, what was looked for and what was not."""
    if not audit:
        return None
    section = Section("Audit: what could make it untrue", "audit")
    findings = sorted(audit["findings"], key=lambda found: SEVERITIES.index(found.value["severity"]))
    if findings:
        section.text.append(told(audit))
        rows = [[_severity(found), _said(found), _rows(found)] for found in findings]
        section.blocks.append(Sheet("Findings", ["", "finding", "how many"], rows, css="findings"))
        if again := [row for found in findings for row in _again(found)]:
            header = ["finding", "metric", "all rows", "without them", "rows left"]
            section.blocks.append(Sheet("Measured again without these rows", header, again))
    else:
        section.text.append("Nothing was found.")
    checked = [capital(at.value) for at in audit["checked"]]
    skipped = [f"{capital(at.value['what'])}: {at.value['why']}" for at in audit["skipped"]]
    section.lists = [(title, lines) for title, lines in (("Looked for", checked), ("Not looked for", skipped)) if lines]
    return section


def told(audit: At) -> str:
    """How much was found, in one line; empty where nothing was."""
    counts = [sum(found.value["severity"] == severity for found in audit["findings"]) for severity in SEVERITIES]
    named = [f"{n} {s}{'' if n == 1 else 's'}" for n, s in zip(counts, SEVERITIES, strict=True) if n]
    return f"Found: {', '.join(named)}. The rows themselves are named in rows/audit.csv." if named else ""


def _severity(found: At) -> Cell:
    severity = found.value["severity"]
    return Cell(severity, source=found["severity"].pointer, css=f"badge is-{severity}")


def _said(found: At) -> Cell:
    """The sentence, and below it what it may do to the metric."""
    return Cell(capital(found["text"].value), capital(found["effect"].value or ""), css="long")


def _rows(found: At) -> Cell:
    part = found["part"].value
    unit = "columns" if found["kind"].value == "single column" else PARTS.get(part, part or "").lower()
    said = f"of {count(found['of'].value)} {unit}".rstrip()
    return Cell(count(found["count"].value), said, found.pointer, "n")


def _again(found: At) -> list[list[Cell]]:
    kind = str(found["kind"].value).replace("_", " ")
    part, rows = PARTS.get(found["part"].value, found["part"].value or "").lower(), []
    for target, measured in found["without"].items():
        name = f"{target}: {measured['metric'].value}".replace("_", " ")
        rows.append([Cell(kind, part), Cell(name), *(shown(measured[key]) for key in ("all", "without", "n"))])
    return rows
