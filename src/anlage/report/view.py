"""What the report shows, gathered by whoever fitted or evaluated. The page is a function of this and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from anlage.errors import Problem


@dataclass
class InputView:
    """One input of the model."""

    name: str
    modality: str
    evidence: str = ""
    """What showed the modality, in words."""
    encoder: str = ""
    parameters: int = 0


@dataclass
class SplitView:
    """Who learned from whom."""

    how: str
    """How the split was made, in words."""
    hash: str
    rows: dict[str, int]
    """Number of rows of each part ("train", "valid", "test")."""
    labels: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    """target → label → part → number of rows."""
    quantiles: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    """target → part → {"5 %": ..., "50 %": ..., "95 %": ...}."""
    notes: list[str] = field(default_factory=list)
    """What the audit found."""


@dataclass
class TargetView:
    """Truth and prediction of one target, for the figures and the errors."""

    name: str
    task: str
    """Name of the task: decides the figures (classification, multilabel, regression)."""
    labels: list[str]
    """Names of the classes, or of the outputs."""
    part: str
    """"test" or "valid"."""
    ids: np.ndarray
    """[samples]"""
    truth: np.ndarray
    """[samples, outputs] as the task encodes it, NaN = missing."""
    values: np.ndarray
    """[samples, k] as the task decodes it: probabilities or numbers."""


@dataclass
class ReportView:
    """The report of one model. Sections without content are left out of the page."""

    title: str
    metrics: Mapping[str, Any]
    """As in ``metrics.json``."""
    targets: list[TargetView] = field(default_factory=list)
    inputs: list[InputView] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    """Columns that were not learned from, and why."""
    notes: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    split: SplitView | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    """For each validation ``step``, ``epoch``, ``train_loss``, ``seconds``, ``valid`` (target → deciding metric) and,
    where it was measured, ``valid_loss``."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """FitSettings as nested dictionaries."""
    command: str = ""
    """The command line that repeats the run."""
    recipe: str = ""
    """The same as a recipe (TOML)."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """As in the bundle: versions, hashes, seed, day."""
    pretrained: bool = False
    """Made without a target: an objective was measured, nothing is predicted."""
    show_rows: bool = False
    """Show ids and values of single rows (the worst errors, the bad rows)."""
