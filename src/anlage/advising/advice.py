"""What is advised, for people, for programs, and as the command to run."""

import shlex
import textwrap
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any

from anlage.advising.facts import GB, Facts
from anlage.advising.timing import Pace
from anlage.config import to_dict
from anlage.settings import FitSettings
from anlage.training.schedule import seconds

WIDTH = 100
MANY_TIMES = 100
"""A batch that could be so many times larger is not bounded by memory."""


@dataclass(frozen=True)
class Reason:
    """One recommendation."""

    about: str
    choice: str
    why: str


@dataclass(frozen=True)
class Advice:
    """``settings`` are those of the fit that is proposed: ``anlage.fit(table, settings=advice.settings)``."""

    title: str
    facts: Facts
    reasons: list[Reason]
    cautions: list[str]
    settings: FitSettings
    environment: dict[str, str]
    """Variables to set for the fit."""
    paces: list[Pace]
    """One for each training of the fit: one, or a rung each where ``auto`` climbs."""
    reading: float
    """Seconds that reading, checking, dividing and preparing took."""

    @property
    def fits(self) -> int:
        """Models that the fit trains: with cross-validation one for each fold, and one more for the bundle."""
        folds = self.settings.split.folds
        return folds + 1 if folds else 1

    @property
    def training_seconds(self) -> float:
        """Of all steps and validations of all models: an upper bound, since training usually stops early."""
        budget = self.settings.training.budget
        once = sum(pace.training for pace in self.paces)
        return self.fits * (min(once, seconds(budget)) if budget else once)

    @property
    def vectors_seconds(self) -> float:
        """Of the vectors of frozen encoders, which are computed once for all models."""
        return sum(pace.vectors for pace in self.paces)

    @property
    def baseline_seconds(self) -> float:
        """Bound on the time for the baselines."""
        return self.fits * seconds(self.settings.evaluation.baseline_budget)

    @property
    def memory(self) -> int:
        """Bytes that the largest training needs for weights and the largest batch."""
        return max(pace.fixed_bytes + pace.batch_bytes for pace in self.paces)

    @property
    def command(self) -> str:
        """The command line of the proposed fit, with only what is not the default. Where the table is a DataFrame, the
        call in Python."""
        if not self.settings.data.table:
            return "anlage.fit(table, settings=advice.settings)"
        words = ["anlage", "fit", self.settings.data.table]
        usual = FitSettings()
        for group in fields(FitSettings):
            value, default = getattr(self.settings, group.name), getattr(usual, group.name)
            if not is_dataclass(value):
                words += [] if value == default else [f"--{group.name}", str(value)]
                continue
            for option in fields(value):
                if option.name != "table":
                    words += _flag(option.name, getattr(value, option.name), getattr(default, option.name))
        return " ".join([*(f"{name}={value}" for name, value in self.environment.items()), shlex.join(words)])

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON-able values. Seconds and bytes are plain numbers."""
        return {
            "title": self.title,
            "facts": asdict(self.facts),
            "advice": [asdict(reason) for reason in self.reasons],
            "cautions": self.cautions,
            "time": {
                "training_seconds_at_most": self.training_seconds,
                "vectors_seconds": self.vectors_seconds,
                "baselines_seconds_at_most": self.baseline_seconds,
                "reading_seconds": self.reading,
                "fits": self.fits,
                "trainings": [asdict(pace) for pace in self.paces],
            },
            "memory": {"needed_bytes": self.memory, "free_bytes": self.facts.machine.free},
            "environment": self.environment,
            "command": self.command,
            "settings": to_dict(self.settings),
        }

    def __str__(self) -> str:
        known = self.facts
        lines = [f"{self.title}: {known.labelled:,} labelled training rows; {known.machine}", ""]
        for reason in self.reasons:
            lines += _entry(reason.about, f"{reason.choice}: {reason.why}")
        for number, caution in enumerate(self.cautions):
            lines += _entry("know" if number == 0 else "", caution)
        lines += ["", *self._times(), *_entry("memory", self._memory()), ""]
        return "\n".join([*lines, "run:", f"  {self.command}"])

    def _times(self) -> list[str]:
        lines, training = [], self.settings.training
        for pace in self.paces:
            text = f"up to {duration(pace.training)}: {pace.steps:,} steps of {duration(pace.step)}, measured on "
            text += f"{pace.timed} of them" if pace.timed else "a part of one batch"
            text += f", and {pace.validations} validations of {duration(pace.validation)}"
            if pace.vectors:
                text = f"{duration(pace.vectors)} for vectors, which are then kept; {text}"
            lines += _entry("training", f"{pace.name}: {text}" if pace.name else text)
        whole = f"up to {duration(self.training_seconds)}" + (" and the vectors" if self.vectors_seconds else "")
        if self.fits > 1:
            lines += _entry("", f"{whole} for all {self.fits} models of the cross-validation")
        elif len(self.paces) > 1:
            lines += _entry("", f"{whole} together; an adaptation is only tried where the one before it gained")
        if training.budget:
            lines += _entry("", f"no more than --budget {training.budget} for each model")
        if training.patience:
            lines += _entry("", f"it ends sooner where {training.patience} validations bring nothing better")
        share = f"{self.fits} x " if self.fits > 1 else ""
        bound = f"{share}--baseline-budget {self.settings.evaluation.baseline_budget}"
        lines += _entry("baselines", f"{duration(self.baseline_seconds)} at the very most ({bound}); small tables take "
                                     "seconds")  # fmt: skip
        return lines + _entry("the rest", f"{duration(self.reading)} for reading, checks and split; then metrics, "
                                          "intervals and report")  # fmt: skip

    def _memory(self) -> str:
        largest = max(self.paces, key=lambda pace: pace.fixed_bytes + pace.batch_bytes)
        room = self.facts.machine.free - largest.fixed_bytes
        times = room / max(1, largest.batch_bytes)
        text = f"about {amount(self.memory)} of {amount(self.facts.machine.free)} that are free, the table apart"
        if times < MANY_TIMES:
            return f"{text}; the largest batch that fits is {times:.1f} times as large"
        return f"{text}: it does not bound the batch"


def _flag(name: str, value: Any, default: Any) -> list[str]:
    flag = name.replace("_", "-")
    if value == default:
        return []
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    return [f"--{flag}", *map(str, value)] if isinstance(value, tuple) else [f"--{flag}", str(value)]


def _entry(about: str, text: str) -> list[str]:
    """A paragraph; what it is about stands in a column of its own, or before it where it is long."""
    first = f"{about:<12}" if len(about) < 12 else f"{about}  "
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=" " * 12, break_long_words=False,
                         break_on_hyphens=False)  # fmt: skip


def duration(length: float) -> str:
    """Seconds in words: "20 ms", "1.5 s", "12 min", "3.2 h"."""
    units = (("ms", 1e-3, 0.995), ("s", 1.0, 99.5), ("min", 60.0, 5_970.0), ("h", 3600.0, 172_800.0))
    unit, size, _ = next((u for u in units if length < u[2]), ("days", 86_400.0, 0.0))
    number = length / size
    return f"{number:.0f} {unit}" if number >= 9.95 else f"{number:.1f} {unit}".replace(".0 ", " ")


def amount(size: float) -> str:
    """Bytes in words."""
    return f"{size / GB:.1f} GB" if size >= GB / 10 else f"{size / 1e6:.0f} MB"
