"""Descriptors of all inputs side by side, as linear models and trees want them."""

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp

Matrix: TypeAlias = np.ndarray | sp.csr_matrix

FARTHEST = 10.0
"""Standardised numbers are cut at this many deviations, so that one wild value does not decide a linear model."""


def side_by_side(blocks: Mapping[str, Matrix]) -> Matrix:
    """[rows, features] of all inputs; sparse where one of them is. NaN = missing stays (trees know what to do)."""
    matrices = list(blocks.values())
    if any(sp.issparse(m) for m in matrices):
        return sp.hstack([sp.csr_matrix(m, dtype=np.float32) for m in matrices], format="csr")
    return np.concatenate([np.asarray(m, dtype=np.float32) for m in matrices], axis=1)


def _dense(block: np.ndarray, train: np.ndarray) -> np.ndarray:
    """The training median for what is missing, then mean 0 and deviation 1; what does not vary is left out."""
    block = np.asarray(block, dtype=np.float32)
    rows = block[train]
    seen = ~np.isnan(rows).all(axis=0)
    block, rows = block[:, seen], rows[:, seen]
    median = np.nanmedian(rows, axis=0) if rows.size else np.zeros(block.shape[1])
    rows = np.where(np.isnan(rows), median, rows).astype(np.float64)
    mean, deviation = rows.mean(0), rows.std(0)
    varies = deviation > 1e-7 * np.maximum(1e-12, np.abs(rows).max(0, initial=0.0))
    filled = np.where(np.isnan(block), median, block)[:, varies]
    return np.clip((filled - mean[varies]) / deviation[varies], -FARTHEST, FARTHEST).astype(np.float32)


def _sparse(block: sp.csr_matrix, train: np.ndarray) -> sp.csr_matrix:
    """Zeros stay zeros: features of 0 and 1 as they are, others divided by their root mean square."""
    block = sp.csr_matrix(block, dtype=np.float32)
    rows = block[train]
    squares = np.asarray(rows.multiply(rows).mean(axis=0)).ravel()
    means = np.asarray(rows.mean(axis=0)).ravel()
    binary = np.isclose(squares, means)
    kept = np.flatnonzero(squares > 0)
    factor = np.where(binary, 1.0, 1 / np.sqrt(np.where(squares > 0, squares, 1.0)))[kept]
    return sp.csr_matrix(block[:, kept] @ sp.diags(factor.astype(np.float32)))


def for_linear(blocks: Mapping[str, Matrix], train: np.ndarray) -> Matrix:
    """[rows, features] without gaps, of like scale, learned from the rows ``train``."""
    ready = {k: _sparse(b, train) if sp.issparse(b) else _dense(b, train) for k, b in blocks.items()}
    return side_by_side(ready)
