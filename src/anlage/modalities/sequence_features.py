"""Counts over many strings at once: k-mers, k-mers in bins, one-hot positions. Plain numpy, no loop over letters."""

from collections.abc import Iterator
from itertools import product

import numpy as np
import scipy.sparse as sp

NOT_A_LETTER = 255
_CHUNK = 4096  # strings counted at a time: bounds the memory of the dense counts


def lookup_table(letters: str, first: int = 0, other: int = NOT_A_LETTER) -> np.ndarray:
    """[256] uint8: byte → position of that letter in ``letters`` plus ``first``; all other bytes → ``other``."""
    table = np.full(256, other, dtype=np.uint8)
    table[np.frombuffer(letters.encode("ascii"), dtype=np.uint8)] = np.arange(first, first + len(letters))
    return table


def flatten(texts: list[str], letters: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The strings as one run of letter codes with a gap (NOT_A_LETTER) after each, so that no k-mer spans two.

    Returns codes [characters + strings] uint8, the string and the position in it of each code.
    """
    joined = "\0".join([*texts, ""]).encode("ascii", "replace")
    codes = lookup_table(letters)[np.frombuffer(joined, dtype=np.uint8)]
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts)) + 1
    owner = np.repeat(np.arange(len(texts)), lengths)
    position = np.arange(len(codes)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return codes, owner, position


def kmer_names(letters: str, k: int) -> list[str]:
    """All words of ``k`` letters in the order of the columns of :func:`kmer_frequencies`."""
    return ["".join(word) for word in product(letters, repeat=k)]


def _kmers(codes: np.ndarray, n_letters: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Where k-mers without a strange letter begin, and their numbers."""
    n = max(len(codes) - k + 1, 0)
    number, good = np.zeros(n, dtype=np.int64), np.ones(n, dtype=bool)
    for i in range(k):
        letter = codes[i : i + n]
        number = number * n_letters + letter
        good &= letter != NOT_A_LETTER
    return np.flatnonzero(good), number[good]


def kmer_frequencies(texts: list[str], letters: str, k: int, bins: int = 1) -> np.ndarray:
    """[strings, bins * letters ** k] float32: how often each k-mer stands in each of ``bins`` equal stretches.

    Frequencies, not counts: the row sums to 1 over all bins (to 0 where no k-mer is free of strange letters).
    """
    words = len(letters) ** k
    width = words * bins
    out = np.zeros((len(texts), width), dtype=np.float32)
    for first, chunk in _chunks(texts):
        codes, owner, position = flatten(chunk, letters)
        starts, number = _kmers(codes, len(letters), k)
        row = owner[starts]
        if bins > 1:
            lengths = np.fromiter(map(len, chunk), dtype=np.int64, count=len(chunk))
            number = number + words * (position[starts] * bins // lengths[row])
        counts = np.bincount(row * width + number, minlength=len(chunk) * width).reshape(len(chunk), width)
        out[first : first + len(chunk)] = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    return out


def _chunks(texts: list[str]) -> Iterator[tuple[int, list[str]]]:
    for first in range(0, len(texts), _CHUNK):
        yield first, texts[first : first + _CHUNK]


def position_counts(texts: list[str], letters: str) -> np.ndarray:
    """[positions, letters] int64: in how many strings a letter stands at a position. Strings of one length."""
    counts = np.zeros(len(texts[0]) * len(letters), dtype=np.int64)
    for _, chunk in _chunks(texts):
        codes, _, position = flatten(chunk, letters)
        good = codes != NOT_A_LETTER
        counts += np.bincount(position[good] * len(letters) + codes[good], minlength=len(counts))
    return counts.reshape(-1, len(letters))


def median_distance(texts: list[str], letters: str, counts: np.ndarray) -> float:
    """Median share of positions (0 to 1) at which a string differs from the commonest letter of each position."""
    consensus = "".join(letters[i] for i in counts.argmax(1)).encode("ascii")
    target = np.frombuffer(consensus, dtype=np.uint8)
    shares = []
    for _, chunk in _chunks(texts):
        rows = np.frombuffer("".join(chunk).encode("ascii"), dtype=np.uint8).reshape(len(chunk), -1)
        shares.append((rows != target).mean(1))
    return float(np.median(np.concatenate(shares)))


def one_hot(texts: list[str], letters: str, kept: np.ndarray) -> sp.csr_matrix:
    """[strings, kept] float32: 1 where the string has that letter at that position.

    ``kept`` lists columns as position * letters + letter. Strings of any length: what lies beyond is left out.
    """
    size = int(kept.max(initial=-1)) + 1
    column_of = np.full(size + 1, -1, dtype=np.int64)
    column_of[kept] = np.arange(len(kept))
    rows, columns = [], []
    for first, chunk in _chunks(texts):
        codes, owner, position = flatten(chunk, letters)
        key = np.where(codes == NOT_A_LETTER, size, np.minimum(position * len(letters) + codes, size))
        column = column_of[key]
        rows.append(owner[column >= 0] + first)
        columns.append(column[column >= 0])
    row = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int64)
    column = np.concatenate(columns) if columns else np.zeros(0, dtype=np.int64)
    ones = np.ones(len(row), dtype=np.float32)
    return sp.csr_matrix((ones, (row, column)), shape=(len(texts), len(kept)))
