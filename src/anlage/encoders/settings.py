"""Settings of encoders: the base class, and that of encoders which users bring. Torch-free."""

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, get_args, get_origin, get_type_hints

from anlage.errors import AnlageError

SIZES = ("tiny", "small", "medium", "large")


@dataclass(frozen=True)
class EncoderSettings:
    """Base of the settings of one encoder family. The fields of a subclass are its options.

    Whole numbers are at least 1, fractions (dropout) lie in [0, 1), words are one of those listed in their type.
    """

    layouts: ClassVar[frozenset[str]]
    """Names of the layouts that the encoder reads."""
    presets: ClassVar[dict[str, dict[str, Any]]]
    """Names for ``--encoder`` and the options that each of them sets."""
    sizes: ClassVar[dict[str, dict[str, Any]]]
    """The options that each of SIZES sets."""

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for option in fields(self):
            value, kind = getattr(self, option.name), hints[option.name]
            if kind is int and value < 1:
                raise AnlageError(f"encoder option {option.name} is {value}: give a whole number from 1 up")
            if kind is float and not 0 <= value < 1:
                raise AnlageError(f"encoder option {option.name} is {value}: give a fraction from 0 to below 1")
            if get_origin(kind) is tuple and (not value or min(value) < 1):
                raise AnlageError(f"encoder option {option.name} is {value}: give whole numbers from 1 up, as 1-2-4")
            if get_origin(kind) is Literal and value not in get_args(kind):
                raise AnlageError(f"encoder option {option.name} is {value!r}: choose from {', '.join(get_args(kind))}")


@dataclass(frozen=True)
class CustomSettings(EncoderSettings):
    """An encoder class from outside anlage: called as ``cls(settings, shape)``; it reads ``settings.options``.

    A bundle stores its name and options, never code: whoever loads it passes the class again or installs the package
    that registers it under the entry-point group ``anlage.encoders``.
    """

    layouts: ClassVar[frozenset[str]] = frozenset()
    presets: ClassVar[dict[str, dict[str, Any]]] = {}
    sizes: ClassVar[dict[str, dict[str, Any]]] = {}

    name: str = ""
    options: dict[str, str] = field(default_factory=dict)
    cls: type | None = None
