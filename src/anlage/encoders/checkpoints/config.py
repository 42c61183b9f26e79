"""config.json of a checkpoint: a stranger's file, so every value is checked when it is read."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anlage.errors import AnlageError

CONFIG_BYTES = 2**20


def read_json(path: Path, most: int) -> dict[str, Any]:
    """The object in a JSON file of at most ``most`` bytes. Raises AnlageError."""
    try:
        if path.stat().st_size > most:
            raise AnlageError(f"{path}: {path.stat().st_size:,} bytes; such a file has at most {most:,}")
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise AnlageError(f"{path}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise AnlageError(f"{path}: not valid JSON ({error}): copy the checkpoint again") from None
    if not isinstance(data, dict):
        raise AnlageError(f"{path}: a JSON object was expected")
    return data


@dataclass
class Config:
    """The values of config.json by name. Every getter raises AnlageError where the value is not of its kind."""

    path: Path
    data: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> "Config":
        """config.json of that folder."""
        path = folder / "config.json"
        if not path.is_file():
            raise AnlageError(f"{folder} is no checkpoint: it holds no config.json")
        return cls(path, read_json(path, CONFIG_BYTES))

    def whole(self, name: str, most: int, default: int | None = None) -> int:
        """A whole number from 1 to ``most``."""
        value = self._get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
            raise self.wrong(name, f"a whole number from 1 to {most:,} was expected")
        return value

    def fraction(self, name: str, default: float) -> float:
        """A number from 0 to below 1."""
        value = self._get(name, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1:
            raise self.wrong(name, "a number from 0 to below 1 was expected")
        return float(value)

    def word(self, name: str, default: str | None = None) -> str:
        """A text."""
        value = self._get(name, default)
        if not isinstance(value, str):
            raise self.wrong(name, "a text was expected")
        return value

    def flag(self, name: str) -> bool:
        """True or False; absent or null is False."""
        value = self.data.get(name) or False
        if not isinstance(value, bool):
            raise self.wrong(name, "true or false was expected")
        return value

    def refuse(self, name: str, unless: Any, default: Any = None) -> None:
        """AnlageError unless the value is ``unless`` (or absent, or null, where ``default`` is it)."""
        value = self.data.get(name)
        if (default if value is None else value) != unless:
            raise self.wrong(name, f"only {json.dumps(unless)} is supported")

    def wrong(self, name: str, why: str) -> AnlageError:
        """What to raise when a value does not do."""
        shown = json.dumps(self.data[name])[:60] if name in self.data else "missing"
        return AnlageError(f"{self.path}: {name} is {shown}: {why}")

    def _get(self, name: str, default: Any) -> Any:
        value = self.data.get(name)
        return default if value is None else value
