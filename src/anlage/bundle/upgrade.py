"""Old bundles stay readable: from any older schema of ``bundle.json`` to ours, one step after the other."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from anlage.bundle.contents import SCHEMA
from anlage.errors import AnlageError

STEPS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""``STEPS[n]`` makes a document of schema n one of schema n + 1. Schema 1 is the first."""


def upgrade(document: Any, path: Path) -> dict[str, Any]:
    """The document in our schema. Raises AnlageError for a newer schema and for what is no bundle at all."""
    schema = document.get("schema") if isinstance(document, dict) else None
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise AnlageError(f"{path}: no schema number: this is not a bundle of anlage")
    if schema > SCHEMA:
        raise AnlageError(f"{path}: written by a newer anlage (schema {schema}): upgrade anlage")
    for step in range(schema, SCHEMA):
        document = STEPS[step](document)
    return document
