"""Which modalities there are: the folders beside this file."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anlage.errors import AnlageError
from anlage.modalities.protocol import Modality


def names() -> list[str]:
    """Every folder of ``modalities/`` that holds a ``modality.py``, sorted."""
    return sorted(p.parent.name for p in Path(__file__).parent.glob("*/modality.py"))


def get(name: str) -> type[Modality]:
    """The modality class of a folder; imported when asked for.

    Raises:
        AnlageError: there is none of that name.
    """
    if name not in names():
        raise AnlageError(f"no modality {name!r}; there are {', '.join(names())}")
    package = __name__.rpartition(".")[0]
    module = importlib.import_module(f"{package}.{name}.modality")
    classes = [c for c in vars(module).values() if isinstance(c, type) and issubclass(c, Modality)]
    return next(c for c in classes if getattr(c, "name", None) == name)


def from_json(data: Mapping[str, Any]) -> Modality:
    """The inverse of :meth:`Modality.to_json`: settings and fitted state.

    Raises:
        AnlageError: unknown modality or settings (a bundle from another version).
    """
    cls = get(data["modality"])
    settings = {k: tuple(v) if isinstance(v, list) else v for k, v in data["settings"].items()}
    try:
        modality = cls(**settings)
    except TypeError as error:
        raise AnlageError(f"modality {cls.name}: settings {settings} do not fit: {error}") from error
    modality.state = data["state"]
    return modality
