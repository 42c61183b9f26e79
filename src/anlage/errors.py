"""What goes wrong, in one line for the user: which file, row or column, and what to do."""

from dataclasses import dataclass


class AnlageError(Exception):
    """An error that the user can act on. The command line prints its message and no traceback."""


def require(fits: bool, option: str, value: object, wanted: str) -> None:
    """AnlageError that names the option (by its field name) unless its value fits."""
    if not fits:
        raise AnlageError(f"--{option.replace('_', '-')} {value}: give {wanted}")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with one row of a table (or with the whole column, when ``id`` is None)."""

    id: str | None
    column: str
    reason: str
    fatal: bool = True
    """True: the row cannot be used. False: the value was mended or read as missing, and this says how."""

    def __str__(self) -> str:
        where = f"row {self.id}, " if self.id is not None else ""
        return f"{where}column {self.column}: {self.reason}"
