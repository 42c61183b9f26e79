"""Limits of use that follow from ``metrics.json``, as plain sentences for the report and the model card."""

from collections.abc import Iterator, Mapping
from typing import Any

from anlage.bundle.numbers import known


def limits(metrics: Mapping[str, Any], pretrained: bool) -> list[str]:
    """What the model must not be trusted with; the last two hold for every model."""
    found = [*_audit(metrics)]
    for target, entry in metrics.get("targets", {}).items():
        found += [*_target(target, entry, pretrained)]
    found.append("Measured on rows of the table it was made from; other sites, instruments or populations can differ.")
    found.append("Research software: not a medical device, and not for decisions about patients.")
    return found


def _audit(metrics: Mapping[str, Any]) -> Iterator[str]:
    findings = (metrics.get("audit") or {}).get("findings", [])
    if any(found["severity"] == "leak" for found in findings):
        yield "The audit found leaks: the numbers can flatter the model until they are mended."


def _target(target: str, entry: Mapping[str, Any], pretrained: bool) -> Iterator[str]:
    verdict = entry.get("verdict") or {}
    if verdict.get("outcome") in ("no better", "worse"):
        advice = "it has learned too little yet: train it longer" if pretrained else "prefer it, it is simpler"
        yield f"For “{target}” a plain baseline does as well or better: {advice}."
    if not entry.get("model", {}).get("test"):
        yield f"“{target}” was not measured on test rows: the validation numbers chose the weights."
    yield from _coverage(target, entry.get("conformal") or {})
    for column, found in ((entry.get("subgroups") or {}).get("columns") or {}).items():
        if small := [str(level["name"]) for level in found["levels"] if level["small"]]:
            named = ", ".join(small[:6]) + (" and others" if len(small) > 6 else "")
            yield f"Too few rows to judge “{target}” for {column}: {named}."
        gap = found.get("gap") or {}
        if known(gap.get("low")) and gap["low"] > 0:
            yield f"“{target}” is not predicted equally well by {column}: worst for {gap['worst']}."


def _coverage(target: str, conformal: Mapping[str, Any]) -> Iterator[str]:
    """Where the whole interval of the share that was held lies below what was asked for."""
    found = (conformal.get("parts") or {}).get("test") or {}
    groups = {"": found.get("held") or {}, **(found.get("by_label") or {})}
    short = [name for name, held in groups.items() if known(held.get("high")) and held["high"] < conformal["coverage"]]
    if short:
        named = ", ".join(f"“{name}”" for name in short if name)
        where = "" if "" in short else f" where the truth is {named}"
        yield f"The prediction sets or intervals of “{target}” hold the truth less often than asked for{where}."
