"""Simulated DNA promoters with planted motifs. They are made up: nothing learned from them holds for an organism.

What is simulated, so that the right answer is known. A promoter of ``LENGTH`` bases has its start of transcription at
``START`` and three core elements around it (consensus and places after Haberle & Stark, Nature Reviews Molecular Cell
Biology 19, 2018, doi:10.1038/s41580-018-0028-8): a TATA box (TATAWAAR) near -30, an initiator (YYANWYY) at the start
and a downstream promoter element (RGWYV) near +28. Each letter of an element is replaced by a random base with
probability ``NOISE``. Half of the other sequences are plain background; the other half ("decoys") hold the same
elements at random places. So the *grammar* (order and distance) tells promoters from decoys, and counts of short words
cannot.
"""

import numpy as np
import pandas as pd

LENGTH, START = 120, 70
NOISE = 0.08
ELEMENTS = {"TATAWAAR": -30, "YYANWYY": -2, "RGWYV": 28}
"""Consensus of each element (IUPAC codes) and where its first base lies, from the start of transcription."""
JITTER = 2
"""An element lies up to this many bases from its place."""
BACKGROUND = {"A": 0.29, "C": 0.21, "G": 0.21, "T": 0.29}
_IUPAC = {"A": "A", "C": "C", "G": "G", "T": "T", "R": "AG", "Y": "CT", "W": "AT", "N": "ACGT", "V": "ACG"}


def simulate_promoters(rows: int, seed: int = 0) -> pd.DataFrame:
    """A table of ``rows`` simulated sequences, half of them promoters: columns ``sequence`` and ``element``
    ("promoter" or "none"), shuffled. Equal seeds give equal tables."""
    generator = np.random.default_rng(seed)
    promoters = [_sequence(generator, planted=True, in_place=True) for _ in range(rows // 2)]
    others = [_sequence(generator, planted=i % 2 == 0, in_place=False) for i in range(rows - rows // 2)]
    table = pd.DataFrame(
        {"sequence": promoters + others, "element": ["promoter"] * len(promoters) + ["none"] * len(others)}
    )
    table = table.iloc[generator.permutation(len(table))]
    table.index = pd.Index([f"simulated-{i}" for i in range(len(table))], name="id")
    return table


def _sequence(generator: np.random.Generator, *, planted: bool, in_place: bool) -> str:
    letters = generator.choice(list(BACKGROUND), size=LENGTH, p=list(BACKGROUND.values()))
    for consensus, place in ELEMENTS.items() if planted else ():
        if in_place:
            first = START + place + generator.integers(-JITTER, JITTER + 1)
        else:
            first = generator.integers(0, LENGTH - len(consensus))
        bases = [generator.choice(list(_IUPAC[code])) for code in consensus]
        noisy = generator.random(len(bases)) < NOISE
        letters[first : first + len(bases)] = np.where(noisy, generator.choice(list("ACGT"), size=len(bases)), bases)
    return "".join(letters)
