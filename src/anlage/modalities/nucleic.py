"""What DNA and RNA share: four bases, the IUPAC ambiguity codes, k-mer counts."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from anlage.modalities.homology.hits import Kind
from anlage.modalities.homology.search import USUAL
from anlage.modalities.sequence import SequenceModality
from anlage.modalities.sequence_features import kmer_frequencies, kmer_names

_BINS = 10


@dataclass
class NucleicModality(SequenceModality):
    """Base of DNA and RNA."""

    extra: ClassVar[str] = "RYSWKMBDHVN"
    kind: ClassVar[Kind] = "nucleotide"
    usual_similarity: ClassVar[float] = USUAL["nucleotide"]

    def _composition(self, share: np.ndarray) -> dict[str, np.ndarray]:
        """GC content (the core letters stand in the order of the alphabet: A C G T)."""
        return {"GC content": share[:, 1] + share[:, 2]}

    def composition(self, texts: list[str]) -> tuple[np.ndarray, list[str]]:
        """Length, GC, 1- to 4-mers; where all training sequences have one length also 2-mers in ten equal stretches
        (promoters and reporters are anchored, so places mean something)."""
        lengths = np.array([len(t) for t in texts], dtype=np.float32)[:, None]
        bases = kmer_frequencies(texts, self.core, 1)
        values = [lengths, np.log1p(lengths), bases[:, [1]] + bases[:, [2]], bases]
        names = ["length", "log length", "GC content", *self.core]
        for k in (2, 3, 4):
            values.append(kmer_frequencies(texts, self.core, k))
            names += kmer_names(self.core, k)
        if self._length is not None:
            values.append(kmer_frequencies(texts, self.core, 2, bins=_BINS))
            names += [f"{w} in tenth {b + 1}" for b in range(_BINS) for w in kmer_names(self.core, 2)]
        return np.hstack(values), names
