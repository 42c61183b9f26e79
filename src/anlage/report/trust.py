"""``metrics.json`` → the sections that say how far the numbers can be trusted. What was not measured has no section."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from anlage.report.audit import audit_section
from anlage.report.calibration import calibration_section
from anlage.report.conformal import conformal_section
from anlage.report.novelty import novelty_section
from anlage.report.operating import operating_section
from anlage.report.section import At, Section
from anlage.report.seeds import seeds_section
from anlage.report.subgroups import subgroups_section

OF_A_TARGET = (calibration_section, conformal_section, operating_section, subgroups_section)


@dataclass
class Trust:
    """The sections, where the page wants them."""

    audit: Section | None
    leaks: int
    targets: dict[str, list[Section]]
    seeds: Section | None
    novelty: Section | None


def trust(metrics: Mapping[str, Any]) -> Trust:
    """All of them, for one document."""
    document = At(dict(metrics))
    targets: dict[str, list[Section]] = {}
    several = len(metrics.get("targets", {})) > 1
    for index, (name, entry) in enumerate(document["targets"].items()):
        found = [section for make in OF_A_TARGET if (section := make(entry))]
        for section in found:
            section.anchor += f"-{index + 1}" if several else ""
            section.title += f" ({name})" if several else ""
        targets[name] = found
    findings = document["audit"]["findings"]
    return Trust(
        audit=audit_section(document["audit"]),
        leaks=sum(found["severity"].value == "leak" for found in findings),
        targets=targets,
        seeds=seeds_section(document["seeds"]),
        novelty=novelty_section(document["novelty"]),
    )
