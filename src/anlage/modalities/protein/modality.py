"""Proteins: strings of residues in the one-letter code."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from anlage.modalities.homology.hits import Kind
from anlage.modalities.homology.search import USUAL
from anlage.modalities.sequence import SequenceModality
from anlage.modalities.sequence_features import kmer_frequencies, kmer_names

_END = 30
"""Residues at either end that are counted apart: sorting signals sit there."""


@dataclass
class Protein(SequenceModality):
    """Amino-acid sequences: 20 residues, the IUPAC codes B Z X J U O, and ``*`` for a stop inside."""

    name: ClassVar[str] = "protein"
    kind: ClassVar[Kind] = "protein"
    usual_similarity: ClassVar[float] = USUAL["protein"]
    core: ClassVar[str] = "ACDEFGHIKLMNPQRSTVWY"
    extra: ClassVar[str] = "BZXJUO*"
    hints: ClassVar[tuple[str, ...]] = ("protein", "peptide", "amino", "aa", "epitope", "cdr", "sequence", "seq")

    @classmethod
    def _likeness(cls, share: pd.Series, lengths: np.ndarray, hinted: bool, values: list[str]) -> float | None:
        """All letters are letters of proteins: words are told apart by O and U, labels by length and repetition."""
        nucleic = share.reindex(list("ACGTUN")).sum() >= 0.95
        core = share.reindex([*cls.core, "X", "*"]).sum()
        median = np.median(lengths)
        if nucleic or core < (0.9 if hinted else 0.97) or median < (5 if hinted else 10):
            return None
        if len(share) < 8 and lengths.sum() > 200:  # strings of a few classes, such as secondary structure
            return None
        distinct = len(set(values)) / len(values)
        if median < 30 and not hinted and (distinct < 0.5 or any(not v.isupper() for v in values)):
            return None
        return 0.95 if hinted else 0.85

    def composition(self, texts: list[str]) -> tuple[np.ndarray, list[str]]:
        """Length, residues, dipeptides, and the residues of the first and last 30."""
        lengths = np.array([len(t) for t in texts], dtype=np.float32)[:, None]
        other = np.array([sum(map(t.count, self.extra)) / max(len(t), 1) for t in texts], dtype=np.float32)[:, None]
        values = [
            lengths,
            np.log1p(lengths),
            other,
            kmer_frequencies(texts, self.core, 1),
            kmer_frequencies(texts, self.core, 2),
            kmer_frequencies([t[:_END] for t in texts], self.core, 1),
            kmer_frequencies([t[-_END:] for t in texts], self.core, 1),
        ]
        names = ["length", "log length", "share of other letters", *self.core, *kmer_names(self.core, 2)]
        names += [f"{a} in first {_END}" for a in self.core] + [f"{a} in last {_END}" for a in self.core]
        return np.hstack(values), names
