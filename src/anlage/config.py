"""Settings ⇄ recipe files (TOML) ⇄ flat option names. An unknown key is an error that names the nearest valid one.

A recipe has one table for each group of :class:`FitSettings` or :class:`PretrainSettings` (``[data]``, ``[training]``,
...) and ``seed`` on top. Field names are unique over the groups, so that Python and the command line can leave the
group out.
"""

import difflib
import os
import re
import tomllib
import types
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints, overload

from anlage.errors import AnlageError
from anlage.pretrain_settings import PretrainSettings
from anlage.settings import FitSettings
from anlage.update_settings import UpdateSettings

PATHS = ("table", "valid", "test", "corpus", "exclude")
"""Fields of ``data`` in which a recipe may write ${VARIABLE}."""
Settings = TypeVar("Settings", FitSettings, PretrainSettings, UpdateSettings)


@overload
def load_settings(path: str | Path) -> FitSettings: ...
@overload
def load_settings(path: str | Path, kind: type[Settings]) -> Settings: ...
def load_settings(path: str | Path, kind: Any = FitSettings) -> Any:
    """Read a recipe of a fit or of a pretraining. Paths in it are relative to the working directory; ``${NAME}`` in
    them is an environment variable.

    Raises AnlageError where the file is missing, is not TOML, or has an unknown key or a value of the wrong type.
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise AnlageError(f"recipe {path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise AnlageError(f"recipe {path}: cannot be read ({error})") from None
    except tomllib.TOMLDecodeError as error:
        raise AnlageError(f"recipe {path}: not valid TOML: {error}") from None
    try:
        settings = from_dict(content, kind)
        expanded: dict[str, Any] = {k: _expand(v) for k in PATHS if (v := getattr(settings.data, k, None))}
    except AnlageError as error:
        raise AnlageError(f"recipe {path}: {error}") from None
    return replace(settings, data=replace(settings.data, **expanded))


def save_settings(settings: FitSettings | PretrainSettings | UpdateSettings, path: str | Path) -> None:
    """Write a recipe that :func:`load_settings` reads back to equal settings."""
    import tomli_w

    Path(path).write_text(tomli_w.dumps(_without_none(to_dict(settings))), encoding="utf-8")


def to_dict(settings: FitSettings | PretrainSettings | UpdateSettings) -> dict[str, Any]:
    """Nested, JSON-able: tuples become lists, None stays."""
    return _lists(asdict(settings))


@overload
def from_dict(data: Mapping[str, Any]) -> FitSettings: ...
@overload
def from_dict(data: Mapping[str, Any], kind: type[Settings]) -> Settings: ...
def from_dict(data: Mapping[str, Any], kind: Any = FitSettings) -> Any:
    """The inverse of :func:`to_dict`. Keys that are absent keep their defaults; unknown ones raise AnlageError."""
    return _build(kind, data, "", option_groups(kind))


def merge(settings: Settings, options: Mapping[str, Any]) -> Settings:
    """``settings`` with flat ``options`` (``target="y", epochs=3``) put where they belong.

    A str is taken for a tuple of one where several values are possible. Raises AnlageError on an unknown option (with
    the nearest valid one) and on a value of the wrong type.
    """
    groups = option_groups(type(settings))
    hints = {group: get_type_hints(type(getattr(settings, group))) for group in set(groups.values()) if group}
    hints[""] = get_type_hints(type(settings))
    changes: dict[str, dict[str, Any]] = {}
    for name, value in options.items():
        if name not in groups:
            raise AnlageError(f"unknown option {name!r}{_nearest(name, groups, groups)}")
        group = groups[name]
        changes.setdefault(group, {})[name] = _convert(value, hints[group][name], name)
    top = changes.pop("", {})
    return replace(settings, **top, **{g: replace(getattr(settings, g), **c) for g, c in changes.items()})


def option_groups(kind: type = FitSettings) -> dict[str, str]:
    """Each flat option name and the group that has it ("" = the top of ``kind``)."""
    names: dict[str, str] = {}
    for name, hint in get_type_hints(kind).items():
        if is_dataclass(hint):
            names |= {f.name: name for f in fields(hint)}
        else:
            names[name] = ""
    return names


def _build(cls: Any, data: Any, where: str, groups: Mapping[str, str]) -> Any:
    if not isinstance(data, Mapping):
        raise AnlageError(f"[{where}] must be a table of settings, not {data!r}")
    hints = get_type_hints(cls)
    values = {}
    for key, value in data.items():
        name = f"{where}.{key}" if where else key
        if key not in hints:
            raise AnlageError(f"unknown key {name!r}{_nearest(key, hints, groups)}")
        deeper = is_dataclass(hints[key])
        values[key] = _build(hints[key], value, name, groups) if deeper else _convert(value, hints[key], name)
    return cls(**values)


def _nearest(key: str, valid: Iterable[str], groups: Mapping[str, str]) -> str:
    """What to write instead: the nearest key of this table, else the table that the key belongs to."""
    if key in groups and key not in valid:
        return f": it belongs under [{groups[key]}]" if groups[key] else ": it belongs at the top, outside any table"
    close = difflib.get_close_matches(key, list(valid), n=1, cutoff=0.5)
    if close:
        return f": did you mean {close[0]!r}?"
    return f"; possible are {', '.join(sorted(valid))}"


def _convert(value: Any, hint: Any, name: str) -> Any:
    """``value`` as the type ``hint``: lists become tuples, one str a tuple of one, whole numbers floats."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        options = [option for option in get_args(hint) if option is not type(None)]
        return None if value is None and len(options) < len(get_args(hint)) else _convert(value, options[0], name)
    if origin is Literal:
        if value in get_args(hint):
            return value
        raise AnlageError(f"{name} must be one of {', '.join(map(str, get_args(hint)))}, not {value!r}")
    if origin is tuple:
        items = [value] if isinstance(value, str | int | os.PathLike) else value  # a DataFrame's columns may be numbers
        if isinstance(items, list | tuple):
            return tuple(_convert(item, get_args(hint)[0], name) for item in items)
    elif hint is str and isinstance(value, str | os.PathLike):
        return os.fspath(value)
    elif hint is str and name in ("target", "input", "drop") and isinstance(value, int):
        return str(value)
    elif hint is bool or isinstance(value, bool):
        if hint is bool and isinstance(value, bool):
            return value
    elif hint is float and isinstance(value, int | float):
        return float(value)
    elif isinstance(value, hint):
        return value
    raise AnlageError(f"{name} must be {_WORDS.get(origin or hint, hint)}, not {value!r}")


_WORDS = {
    tuple: "a list of text",
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
}


def _expand(text: str | tuple[str, ...]) -> str | tuple[str, ...]:
    if isinstance(text, tuple):
        return tuple(str(_expand(one)) for one in text)

    def variable(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise AnlageError(f"environment variable {match[1]} is not set (used in {text!r})")
        return os.environ[match[1]]

    return re.sub(r"\$\{(\w+)\}", variable, text)


def _lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _lists(v) for k, v in value.items()}
    return [_lists(v) for v in value] if isinstance(value, list | tuple) else value


def _without_none(value: dict[str, Any]) -> dict[str, Any]:
    return {k: _without_none(v) if isinstance(v, dict) else v for k, v in value.items() if v is not None}
