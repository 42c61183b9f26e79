"""Small corpora."""

from pathlib import Path

import numpy as np

LETTERS = list("ACDEFGHIKLMNPQRSTVWY")


def texts(count: int, low: int = 5, high: int = 60, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(LETTERS, n)) for n in rng.integers(low, high, count)]


def fasta(path: Path, sequences: list[str]) -> Path:
    path.write_text("".join(f">p{i} kind={'ab'[i % 2]}\n{text}\n" for i, text in enumerate(sequences)))
    return path


def walks(count: int, steps: tuple[int, int] = (1, 3), seed: int = 0) -> list[str]:
    """Sequences of ten letters in which the next letter is one or two places on (or as ``steps`` says): what stands on
    both sides tells more than the left neighbour alone."""
    rng = np.random.default_rng(seed)
    return ["".join(np.array(LETTERS)[np.cumsum(rng.integers(*steps, n)) % 10]) for n in rng.integers(20, 40, count)]
