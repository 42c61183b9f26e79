"""``anlage demo``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from anlage.commands.shared import parse


@dataclass(frozen=True)
class Demo:
    """Fit, judge and report three small studies: records, images and simulated DNA. No network."""

    out: Path = Path("runs/demo")
    """Folder for the three bundles."""
    overwrite: bool = False
    """Replace the bundles of an earlier demo."""


EXAMPLES = """\
anlage demo --out runs/demo
"""


def demo(words: Sequence[str]) -> None:
    """``anlage demo``."""
    command = parse(Demo, EXAMPLES, words)
    from anlage.demo import run_demo

    run_demo(command.out, overwrite=command.overwrite)
