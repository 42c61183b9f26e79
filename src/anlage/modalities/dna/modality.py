"""DNA: strings of bases; both strands are the same molecule."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd

from anlage.modalities.nucleic import NucleicModality
from anlage.modalities.sequence import SPECIAL

if TYPE_CHECKING:
    import torch

    from anlage.types import Layout, Tokens

_COMPLEMENT = str.maketrans("ACGTRYSWKMBDHVN", "TGCAYRSWMKVHDBN")


def reverse_complement(sequence: str) -> str:
    """The other strand, 5' to 3' (IUPAC codes included).

    >>> reverse_complement("AACGR")
    'YCGTT'
    """
    return sequence.translate(_COMPLEMENT)[::-1]


@dataclass
class Dna(NucleicModality):
    """DNA sequences: A C G T and the IUPAC codes; U is read as T."""

    name: ClassVar[str] = "dna"
    core: ClassVar[str] = "ACGT"
    replaced: ClassVar[dict[str, str]] = {"U": "T"}
    hints: ClassVar[tuple[str, ...]] = ("dna", "promoter", "enhancer", "genomic", "nucleotide", "sequence", "seq")

    reverse_complement: bool = False
    """Show the other strand of a random half of the sequences in training: for targets that do not know the strand."""

    @classmethod
    def _likeness(cls, share: pd.Series, lengths: np.ndarray, hinted: bool, values: list[str]) -> float | None:
        if share.reindex(list("ACGTUN.-")).sum() < 0.95 or np.median(lengths) < (5 if hinted else 8):
            return None
        return None if share.get("U", 0.0) > share.get("T", 0.0) else 0.95

    def groups(self, frame: pd.DataFrame) -> np.ndarray:
        """Equal sequences, on either strand, are one group."""
        index, distinct = pd.factorize(frame.iloc[:, 0].to_numpy(dtype=object))
        strands, _ = pd.factorize(np.array([min(s, reverse_complement(s)) for s in distinct], dtype=object))
        return np.append(strands, -1).astype(np.int64)[index]

    def augment(self, layout: "Layout", generator: "torch.Generator") -> "Layout":
        """Where the setting asks for it, each part becomes its other strand with probability 1/2."""
        return reverse_half(layout, self.letters(), generator) if self.reverse_complement else layout  # type: ignore[arg-type]


def reverse_half(tokens: "Tokens", letters: str, generator: "torch.Generator") -> "Tokens":
    """Reverse and complement a random half of the parts; the start and end tokens stay where they are."""
    import torch

    from anlage.types import Tokens

    device = tokens.ids.device
    pairs = [letters.index(c.translate(_COMPLEMENT)) + len(SPECIAL) for c in letters]
    complement = torch.tensor([*range(len(SPECIAL)), *pairs], device=device)
    chosen = (torch.rand(len(tokens), generator=generator, device=generator.device) < 0.5).to(device)
    starts = tokens.lengths.cumsum(0) - tokens.lengths
    here = torch.arange(len(tokens.ids), device=device)
    part = torch.repeat_interleave(torch.arange(len(tokens), device=device), tokens.lengths)
    mirrored = 2 * starts[part] + tokens.lengths[part] - 1 - here
    inner = (here > starts[part]) & (here < starts[part] + tokens.lengths[part] - 1)
    turned = chosen[part] & inner
    source = torch.where(turned, mirrored, here)
    ids = torch.where(turned, complement[tokens.ids[source]], tokens.ids)
    return Tokens(ids=ids, lengths=tokens.lengths, spans=tokens.spans[source])
