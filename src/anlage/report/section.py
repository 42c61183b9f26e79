"""What a section of the page is made of, and how a number of ``metrics.json`` gets there: with the place it came from.

A cell that shows a number carries its JSON pointer (RFC 6901) to the page (``data-from``), so that anyone can look up
every number in the file, and a test can compare them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from anlage.bundle.numbers import UNKNOWN, count, interval, number
from anlage.report.judged import Figure

PARTS = {"test": "Test", "valid": "Validation", "train": "Training"}


@dataclass(frozen=True)
class At:
    """A value of ``metrics.json`` and its place there. What is absent is there as None."""

    value: Any
    pointer: str = ""

    def __getitem__(self, key: str | int) -> "At":
        inner = self.value
        if isinstance(inner, dict):
            inner = inner.get(key)
        else:
            inner = inner[key] if isinstance(inner, list) and isinstance(key, int) and key < len(inner) else None
        return At(inner, f"{self.pointer}/{str(key).replace('~', '~0').replace('/', '~1')}")

    def __bool__(self) -> bool:
        return bool(self.value)

    def __iter__(self) -> Iterator["At"]:
        return (self[index] for index in range(len(self.value or ())))

    def items(self) -> Iterator[tuple[str, "At"]]:
        """The entries of an object, in the order of the file."""
        return ((name, self[name]) for name in self.value or {})


@dataclass(frozen=True)
class Cell:
    """Words or a number, the interval below it, and where in ``metrics.json`` it stands."""

    text: str
    range: str = ""
    source: str = ""
    css: str = ""


@dataclass
class Sheet:
    """A table of cells; the first column names the row."""

    title: str
    header: list[str]
    rows: list[list[Cell]]
    folded: bool = False
    css: str = ""


@dataclass
class Section:
    """One heading of the page."""

    title: str
    anchor: str
    text: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What must not be overlooked."""
    facts: list[tuple[str, Cell]] = field(default_factory=list)
    blocks: list[str | Sheet | list[Figure]] = field(default_factory=list)
    """Headings, tables, and figures that stand side by side, in the order of the page."""
    lists: list[tuple[str, list[str]]] = field(default_factory=list)
    """(heading, lines)"""


def shown(at: At) -> Cell:
    """A number, an estimate with its interval, or words, as the page shows them."""
    value = at.value
    if value is None:
        return Cell(UNKNOWN, css="n")
    if isinstance(value, dict):
        return Cell(*interval(value), at.pointer, "n")
    if isinstance(value, bool | str):
        return Cell(str(value), source=at.pointer)
    return Cell(count(value) if isinstance(value, int) else number(value), source=at.pointer, css="n")


def capital(text: str) -> str:
    """A sentence of it: the first letter only, names inside stay as they are."""
    return text[:1].upper() + text[1:]
