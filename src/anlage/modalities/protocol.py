"""The protocol of a modality: what is peculiar to one kind of column, and nothing else.

A modality is a folder in ``modalities/`` whose ``__init__.py`` is empty and whose ``modality.py`` defines one subclass
of :class:`Modality`. It is found by its folder name. Its dataclass fields are its settings (``--column
seq=protein:max_length=2000``); what ``fit`` learns from the training rows lives in ``state``.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp

from anlage.errors import Problem
from anlage.parts import Prepared
from anlage.shapes import Shape

if TYPE_CHECKING:
    import torch

    from anlage.types import Layout


@dataclass(frozen=True)
class Recognition:
    """How well a column fits a modality (0 to 1) and what shows it, in words for the user."""

    score: float
    evidence: str


@dataclass
class Checked:
    """A column in normal form. Missing or unusable values are None (NaN in numbers)."""

    frame: pd.DataFrame
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What was changed in many rows at once ("312 sequences had lower-case letters: upper-cased")."""


@dataclass
class Descriptors:
    """Plain features of the rows for the baselines."""

    values: np.ndarray | sp.csr_matrix
    """[rows, features]; NaN = missing (dense only)"""
    names: list[str]


class Nearest(NamedTuple):
    """For each row the row of another frame that is most similar to it."""

    rows: np.ndarray
    """[rows] int64, a row number of the other frame; -1 where none is similar enough"""
    similarity: np.ndarray
    """[rows] float64 in the modality's unit; NaN where none is similar enough"""


@dataclass
class Modality(ABC):
    """One kind of column. All methods take a frame with the columns of one input (one column, unless
    ``joins_columns``), whose index is the row ids."""

    name: ClassVar[str]
    layout: ClassVar[str]
    """Name of the layout that it makes: "Tokens", "Grid" or "Columns"."""
    joins_columns: ClassVar[bool] = False
    """True where all columns of this modality make one input together (the columns of a clinical record)."""

    similarity: ClassVar[str] = ""
    """What :meth:`nearest` measures, in the field's words ("identity over 80 % of both sequences"). "" = equality is
    all that can be told."""
    usual_similarity: ClassVar[float] = 1.0
    """From here on two samples are too similar to be learned from and tested on, as the field has it (0.3 = 30 %)."""

    @classmethod
    @abstractmethod
    def recognise(cls, name: str, values: pd.Series) -> Recognition | None:
        """Does this column look like mine? Looks at the name and at some values; None = no."""

    @abstractmethod
    def check(self, frame: pd.DataFrame) -> Checked:
        """Bring values to normal form and name every bad one. Learns nothing; works on any rows."""

    @abstractmethod
    def groups(self, frame: pd.DataFrame) -> np.ndarray:
        """[rows] int64: rows with equal numbers are near-duplicates; -1 = missing (near nothing). Takes checked
        values. Here: equal after normalisation."""

    def similarity_groups(self, frame: pd.DataFrame, least: float, say: Callable[[str], None]) -> np.ndarray:
        """[rows] int64: rows whose similarity is at least ``least``, and chains of such rows, have equal numbers; -1 =
        missing. Takes checked values; learns nothing. Contains :meth:`groups`. ``say`` is told what takes long."""
        return self.groups(frame)

    def nearest(
        self, frame: pd.DataFrame, reference: pd.DataFrame, least: float, say: Callable[[str], None]
    ) -> Nearest:
        """For each row of ``frame`` the most similar one of ``reference``, where it reaches ``least``; both checked.
        Pairs are judged alone, but for what chance gives among the rows at hand and the search's own limits."""
        both = self.groups(pd.concat([reference, frame]))
        there, here = both[: len(reference)], both[len(reference) :]
        order = np.argsort(there, kind="stable")
        place = np.searchsorted(there[order], here)
        found = (here >= 0) & (np.append(there[order], -2)[place] == here)
        rows = np.where(found, np.append(order, -1)[place], -1).astype(np.int64)
        return Nearest(rows, np.where(found, 1.0, np.nan))

    @abstractmethod
    def fit(self, frame: pd.DataFrame) -> Self:
        """Learn what preparation needs from checked TRAINING rows alone; returns self."""

    @property
    @abstractmethod
    def shape(self) -> Shape:
        """What an encoder must know of the layout. After ``fit``."""

    @abstractmethod
    def prepare(self, frame: pd.DataFrame) -> Prepared:
        """The distinct parts of checked rows and the part of each row. After ``fit``."""

    @abstractmethod
    def descriptors(self, frame: pd.DataFrame) -> Descriptors:
        """Plain features of checked rows for the baselines. After ``fit``; the same features for any rows."""

    def profile(self, frame: pd.DataFrame) -> dict[str, np.ndarray]:
        """Plain numbers by which a person sees that a sample is out of the ordinary (length, brightness, age), name →
        [rows] float64, NaN where unknown. Takes checked values, after ``fit``; the same names for any rows. Default:
        none."""
        return {}

    def augment(self, layout: "Layout", generator: "torch.Generator") -> "Layout":
        """A random variation of a training batch that leaves the target true. Default: none."""
        return layout

    def tokens(self) -> tuple[str, ...]:
        """The vocabulary, token id → text, where the layout is Tokens."""
        return ()

    def adopt(self, pretrained: "Modality") -> None:
        """After ``fit``: take over what an encoder relies on that was trained with ``pretrained`` (fitted, of the same
        name). Default: all that it learned. Where the layout does not depend on what was learned: nothing."""
        self.state = pretrained.state

    @property
    @abstractmethod
    def state(self) -> dict[str, Any]:
        """What ``fit`` learned, as JSON-able values."""

    @state.setter
    @abstractmethod
    def state(self, state: dict[str, Any]) -> None: ...

    def to_json(self) -> dict[str, Any]:
        """Name, settings and fitted state, for the bundle."""
        return {"modality": self.name, "settings": asdict(self), "state": self.state}
