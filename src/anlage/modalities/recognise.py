"""Which modality each column is: by the columns themselves, or as the user says."""

import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import pandas as pd

from anlage.errors import AnlageError
from anlage.modalities.lookup import get, names
from anlage.modalities.protocol import Modality


@dataclass
class Recognised:
    """The modality of one column (None: no modality reads it) and what shows it, in words for the user."""

    modality: Modality | None
    evidence: str


def recognise(frame: pd.DataFrame, overrides: Sequence[str] = ()) -> dict[str, Recognised]:
    """For each column the modality with the highest score; ``overrides`` (NAME=MODALITY[:setting=value,...]) win.

    Raises:
        AnlageError: an override names no column, no modality or no setting of it.
    """
    said = dict(_override(text, frame) for text in overrides)
    classes = [get(name) for name in names()]
    return {column: said.get(column) or _recognise(column, frame[column], classes) for column in frame.columns}


def _recognise(column: str, values: pd.Series, classes: list[type[Modality]]) -> Recognised:
    found = [(r, c) for c in classes if (r := c.recognise(column, values)) is not None and r.score > 0]
    if not found:
        return Recognised(None, "no modality reads such values")
    best, cls = max(found, key=lambda pair: pair[0].score)
    return Recognised(cls(), best.evidence)


def _override(text: str, frame: pd.DataFrame) -> tuple[str, Recognised]:
    # A column's name may itself hold "=": the longest name that fits is meant.
    cuts = [i for i, letter in enumerate(text) if letter == "=" and text[:i] in frame.columns]
    if not cuts:
        listed = ", ".join(map(str, frame.columns[:12]))
        raise AnlageError(f"--column {text}: write NAME=MODALITY, where NAME is a column: {listed}")
    column, rest = text[: cuts[-1]], text[cuts[-1] + 1 :]
    name, _, settings = rest.partition(":")
    cls = get(name)
    values = dict(_setting(cls, piece) for piece in settings.split(",") if piece)
    try:
        return column, Recognised(cls(**values), "as you said")
    except ValueError as error:
        raise AnlageError(f"--column {text}: {error}") from error


def _setting(cls: type[Modality], text: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    hints = typing.get_type_hints(cls)
    known = [f.name for f in fields(cls) if f.init and not f.name.startswith("_")]
    if name not in known or not sign:
        listed = ", ".join(f"{k}=…" for k in known) or "none"
        raise AnlageError(f"modality {cls.name}: no setting {text!r}; its settings: {listed}")
    try:
        return name, parse(hints[name], value)
    except ValueError as error:
        raise AnlageError(f"modality {cls.name}: {name}={value}: {error}") from error


def parse(kind: Any, text: str) -> Any:
    """Text → a value of a field's type: int, float, bool, str, a literal, ``X | None`` or a tuple (values joined by
    ``x`` or ``+``: 64x64).

    Raises:
        ValueError: it is none.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        if text.lower() == "none" and type(None) in arguments:
            return None
        return parse(next(a for a in arguments if a is not type(None)), text)
    if origin is typing.Literal:
        if text not in map(str, arguments):
            raise ValueError(f"must be one of {', '.join(map(str, arguments))}")
        return next(a for a in arguments if str(a) == text)
    if origin is tuple:
        pieces = text.replace("x", "+").split("+") if arguments[0] is not str else text.split("+")
        return tuple(parse(arguments[0], p) for p in pieces)
    if kind is bool:
        if text.lower() not in ("true", "false", "1", "0", "yes", "no"):
            raise ValueError("must be true or false")
        return text.lower() in ("true", "1", "yes")
    try:
        return kind(text)
    except (ValueError, TypeError) as error:
        raise ValueError(f"must be {'a whole number' if kind is int else 'a number'}") from error
