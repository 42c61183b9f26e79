"""Cells of a table as they come: anything at all."""

from typing import Any


def shown(value: Any, longest: int = 60) -> str:
    """A cell in one short line, for messages."""
    text = " ".join(repr(value)[: 20 * longest].split())
    return text if len(text) <= longest else text[:longest] + "…"
