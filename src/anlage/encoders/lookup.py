"""Encoders by name, found by scanning this folder: a user's words → settings → module. Torch-free at import."""

import importlib
from collections.abc import Mapping
from dataclasses import fields, replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from anlage.encoders.settings import SIZES, CustomSettings, EncoderSettings
from anlage.errors import AnlageError
from anlage.shapes import Shape

if TYPE_CHECKING:
    from anlage.encoders.protocol import Encoder

DEFAULTS = {"Tokens": "cnn-tiny", "Grid": "resnet-tiny", "Columns": "mlp-tiny"}
DEFAULT_SIZE = "small"
GROUP = "anlage.encoders"
_SUFFIX = "_settings"


def families() -> dict[str, type[EncoderSettings]]:
    """Family (the name of its file) → its settings class."""
    found = {}
    for path in sorted(Path(__file__).parent.glob(f"*{_SUFFIX}.py")):
        module = importlib.import_module(f"{__package__}.{path.stem}")
        found[path.stem.removesuffix(_SUFFIX)] = _only_subclass(module, EncoderSettings)
    return found


def names() -> dict[str, str]:
    """Every name for ``--encoder`` (without size) and the family that it belongs to."""
    return {preset: family for family, settings in families().items() for preset in settings.presets}


def default_name(shape: Shape) -> str:
    """The encoder for a layout when the user names none."""
    return DEFAULTS[shape.layout]


def parse(text: str, custom: Mapping[str, type] | None = None) -> EncoderSettings:
    """``NAME[-SIZE][:option=value,...]`` → settings, as in "lstm-small:width=192,layers=2".

    ``custom``: encoder classes of the user's own by name; installed packages may register more under the entry-point
    group ``anlage.encoders``. Raises AnlageError that lists what exists.
    """
    name, _, rest = text.strip().partition(":")
    words = _options(rest, text)
    if cls := _custom(name, custom):
        return CustomSettings(name=name, options=words, cls=cls)
    preset, _, size = name.rpartition("-")
    if size not in SIZES:
        preset, size = name, DEFAULT_SIZE
    known = names()
    if preset not in known:
        hint = f" (sizes: {', '.join(SIZES)})"
        raise AnlageError(f"no encoder is called {name!r}: choose from {', '.join(sorted(known))}{hint}")
    settings = families()[known[preset]]
    given = {option: _value(settings, preset, option, word) for option, word in words.items()}
    return settings(**{**settings.sizes[size], **settings.presets[preset], **given})


def with_options(settings: EncoderSettings, rest: str) -> EncoderSettings:
    """``settings`` with "option=value,..." put over them."""
    words = _options(rest, rest)
    called = _called(settings)
    return replace(settings, **{option: _value(type(settings), called, option, word) for option, word in words.items()})


def from_class(cls: type) -> CustomSettings:
    """Settings of an encoder class given from Python: called as ``cls(settings, shape)``."""
    missing = [name for name in ("layouts", "blocks", "forward") if not hasattr(cls, name)]
    if missing:
        raise AnlageError(f"encoder class {cls.__name__} lacks {', '.join(missing)}: see anlage.encoders.protocol")
    return CustomSettings(name=cls.__name__, cls=cls)


def layouts(settings: EncoderSettings) -> frozenset[str]:
    """Names of the layouts that the encoder reads."""
    if isinstance(settings, CustomSettings):
        return frozenset(settings.cls.layouts)  # type: ignore[union-attr]
    return settings.layouts


def build(settings: EncoderSettings, shape: Shape) -> "Encoder":
    """The encoder for that layout, with random weights from torch's global generator. Imports torch."""
    from anlage.encoders.protocol import Encoder

    if shape.layout not in layouts(settings):
        able = ", ".join(n for n, f in names().items() if shape.layout in families()[f].layouts)
        raise AnlageError(f"encoder {_called(settings)} cannot read {shape.layout}: choose from {able}")
    if isinstance(settings, CustomSettings):
        encoder = settings.cls(settings, shape)  # type: ignore[misc]
        missing = [name for name in ("width", "blocks") if not hasattr(encoder, name)]
        if missing:
            lacks = ", ".join(missing)
            raise AnlageError(f"encoder class {settings.name} sets no {lacks}: see anlage.encoders.protocol")
        return encoder
    module = importlib.import_module(f"{__package__}.{_called(settings)}")
    return _only_subclass(module, Encoder)(settings, shape)


def to_json(settings: EncoderSettings) -> dict[str, Any]:
    """Family and options, for a bundle."""
    if isinstance(settings, CustomSettings):
        return {"encoder": "custom", "name": settings.name, "options": dict(settings.options)}
    return {"encoder": _called(settings), "options": {f.name: getattr(settings, f.name) for f in fields(settings)}}


def from_json(data: Mapping[str, Any], custom: Mapping[str, type] | None = None) -> EncoderSettings:
    """The inverse of :func:`to_json`. A custom encoder must be passed or installed: bundles never import code."""
    family, options = data["encoder"], dict(data["options"])
    if family == "custom":
        name = data["name"]
        if cls := _custom(name, custom):
            return CustomSettings(name=name, options=options, cls=cls)
        raise AnlageError(
            f"this bundle uses the encoder {name!r}, which is not part of anlage: pass its class "
            f"(encoders={{{name!r}: cls}}) or install the package that registers it under {GROUP!r}"
        )
    known = families()
    if family not in known:
        raise AnlageError(f"this bundle uses the encoder family {family!r}, unknown to this version: upgrade anlage")
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    unknown = sorted(options.keys() - {f.name for f in fields(known[family])})
    if unknown:
        lacks = ", ".join(unknown)
        raise AnlageError(f"encoder {family} has no option {lacks}: was this bundle written by a newer anlage?")
    return known[family](**options)


def _called(settings: EncoderSettings) -> str:
    if isinstance(settings, CustomSettings):
        return settings.name
    return type(settings).__module__.rpartition(".")[2].removesuffix(_SUFFIX)


def _custom(name: str, custom: Mapping[str, type] | None) -> type | None:
    if custom and name in custom:
        return custom[name]
    found = entry_points(group=GROUP, name=name)
    return next(iter(found)).load() if found else None


def _only_subclass(module: Any, base: type) -> Any:
    own = [c for c in vars(module).values() if isinstance(c, type) and issubclass(c, base) and c is not base]
    (cls,) = [c for c in own if c.__module__ == module.__name__]
    return cls


def _options(rest: str, text: str) -> dict[str, str]:
    words = {}
    for item in filter(None, rest.split(",")):
        option, equals, value = item.partition("=")
        if not equals:
            raise AnlageError(f"encoder {text!r}: {item!r} is not option=value (as in lstm-small:width=192,layers=2)")
        words[option.strip().replace("-", "_")] = value.strip()
    return words


def _value(settings: type[EncoderSettings], name: str, option: str, word: str) -> Any:
    hints = {f.name: get_type_hints(settings)[f.name] for f in fields(settings)}
    if option not in hints:
        raise AnlageError(f"encoder {name} has no option {option!r}: choose from {', '.join(hints)}")
    kind = hints[option]
    try:
        if get_origin(kind) is tuple:
            return tuple(get_args(kind)[0](part) for part in word.split("-"))
        return kind(word) if kind in (int, float) else word
    except ValueError:
        wanted = {int: "a whole number", float: "a number"}.get(kind, "whole numbers as 1-2-4")
        raise AnlageError(f"encoder option {option}={word}: give {wanted}") from None
