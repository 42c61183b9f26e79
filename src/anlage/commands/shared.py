"""What the commands share: words → a dataclass, what is said, and how an interrupted run ends."""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

import tyro
from tyro.conf import DisallowNone, FlagCreatePairsOff, OmitArgPrefixes

from anlage.errors import AnlageError
from anlage.settings import FitSettings

SHOWN = 20
"""Rows that are printed where no file is named."""


def parse(command: Any, examples: str, words: Sequence[str], default: Any = None) -> Any:
    """The dataclass ``command`` from the user's words, over ``default``; --help shows the examples as well."""
    # A recipe may have set either, so --flag and --no-flag are understood; help shows the one that changes something.
    brief = (FlagCreatePairsOff,) if {"-h", "--help"} & set(words) else ()
    return tyro.cli(
        command,
        prog=f"anlage {command.__name__.lower()}",
        description=f"{inspect.cleandoc(command.__doc__)}\n\nexamples:\n{textwrap.indent(examples.strip(), '  ')}",
        args=list(words),
        **({} if default is None else {"default": default}),
        config=(OmitArgPrefixes, DisallowNone, *brief),
    )


def top(settings: Any, kind: type = FitSettings) -> dict[str, Any]:
    """The fields of ``kind`` among those of a command's dataclass, which adds its own."""
    return {f.name: getattr(settings, f.name) for f in fields(kind)}


def say(line: str) -> None:
    """To standard error: standard output is for results."""
    print(line, file=sys.stderr, flush=True)


def write_text(path: Path, text: str) -> None:
    """A file that the user named, with its folders. AnlageError where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise AnlageError(f"{path}: cannot be written ({error.strerror or error})") from error


def fail(message: str, code: int) -> NoReturn:
    """One line, and the exit status."""
    print("anlage: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(code)


def resumable(out: Path, call: Callable[[], Any], verb: str = "fit") -> Any:
    """``call()``; interrupted, it says how to go on."""
    from anlage.run_folder import RECIPE, TRAINING

    try:
        return call()
    except KeyboardInterrupt as error:
        what = str(error) or "interrupted"
        if (out / TRAINING / RECIPE).exists():
            what += f". Resume with: anlage {verb} --resume {out}"
        fail(what, 130)
