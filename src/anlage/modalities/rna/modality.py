"""RNA: strings of bases, one strand."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from anlage.modalities.nucleic import NucleicModality


@dataclass
class Rna(NucleicModality):
    """RNA sequences: A C G U and the IUPAC codes; T is read as U."""

    name: ClassVar[str] = "rna"
    core: ClassVar[str] = "ACGU"
    replaced: ClassVar[dict[str, str]] = {"T": "U"}
    hints: ClassVar[tuple[str, ...]] = ("rna", "mrna", "sirna", "mirna", "sgrna", "utr", "transcript", "aptamer")

    @classmethod
    def _likeness(cls, share: pd.Series, lengths: np.ndarray, hinted: bool, values: list[str]) -> float | None:
        if share.reindex(list("ACGTUN.-")).sum() < 0.95 or np.median(lengths) < (5 if hinted else 8):
            return None
        return 0.97 if hinted or share.get("U", 0.0) > share.get("T", 0.0) else None
