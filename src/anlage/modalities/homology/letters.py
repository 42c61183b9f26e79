"""Sequences as the search tools want them."""

import re
from collections.abc import Sequence

from anlage.errors import AnlageError
from anlage.modalities.homology.hits import Kind

_COMPLEMENT = str.maketrans("ACGT", "TGCA")
_RARE = str.maketrans({"U": "C", "O": "K", "J": "L"})
"""Selenocysteine, pyrrolysine and leucine-or-isoleucine as the residue that they resemble: BLOSUM62 lacks them."""


def plain(sequences: Sequence[str], kind: Kind) -> list[str]:
    """Upper case; stops at the end and gaps removed; what is no residue becomes X, what is no base N; U is read as T
    in nucleotides, of which the strand that comes first in the alphabet stands for both.

    Raises:
        AnlageError: an item is no text, named by its number (from 0).
    """
    for i, text in enumerate(sequences):
        if not isinstance(text, str):
            raise AnlageError(f"sequence {i} is {type(text).__name__}, no text: leave out missing values")
    joined = [re.sub(r"[\s.-]+", "", text).upper().rstrip("*") for text in sequences]
    if kind == "protein":
        return [re.sub(r"[^ACDEFGHIKLMNPQRSTVWYBZ]", "X", text.translate(_RARE)) for text in joined]
    bases = [re.sub(r"[^ACGT]", "N", text.replace("U", "T")) for text in joined]
    return [min(text, complement(text)) for text in bases]


def complement(bases: str) -> str:
    """The other strand.

    >>> complement("AACGN")
    'NCGTT'
    """
    return bases.translate(_COMPLEMENT)[::-1]
