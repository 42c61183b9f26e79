"""Near copies of vectors: embeddings of the same thing, rounded, computed anew, or of something that hardly differs."""

import numpy as np

from anlage.modalities.similar import CHANCE, Similar, best_share

_AXES, _NEIGHBOURS = 8, 20
_RANDOM, _FEWEST = 10_000, 100
"""Random pairs that show what chance gives, and how many of them there must be."""


def copies(vectors: np.ndarray, least: float) -> Similar:
    """Pairs of vectors [rows, length], each once, whose cosine is at least ``least`` and better than chance: vectors of
    two or three numbers, and embeddings that all point one way, have high cosines without being copies. So where random
    pairs make one expect more than 0.001 rows as near as this one, a pair does not count. NaN counts as 0.

    On the axes along which the vectors differ most, near copies are near: the 20 nearest there are compared in full.
    """
    from scipy.spatial import cKDTree

    n = len(vectors)
    if n < 2:
        return Similar.none()
    unit = np.nan_to_num(vectors.astype(np.float64))
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-300)
    limit = max(least, _chance(unit))
    axes = np.linalg.eigh(np.cov(unit.T, bias=True).reshape(unit.shape[1], -1))[1][:, ::-1][:, :_AXES]
    reach = np.sqrt(max(0.0, 2 - 2 * limit)) + 1e-6
    turned = unit @ axes
    target = cKDTree(turned).query(turned, k=min(_NEIGHBOURS, n), distance_upper_bound=reach)[1]
    query = np.repeat(np.arange(n), target.shape[1])
    pairs = np.sort(np.stack([query, target.ravel()]), axis=0)
    pairs = np.unique(pairs[:, (pairs[1] < n) & (pairs[0] != pairs[1])], axis=1)
    cosine = _cosine(unit, pairs)
    holds = cosine >= limit - 1e-9
    return Similar(pairs[0, holds], pairs[1, holds], np.minimum(cosine[holds], 1.0))


def _cosine(unit: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    out = np.empty(pairs.shape[1])
    for begin in range(0, len(out), 4096):
        some = pairs[:, begin : begin + 4096]
        out[begin : begin + 4096] = np.einsum("pw,pw->p", unit[some[0]], unit[some[1]])
    return out


def _chance(unit: np.ndarray) -> float:
    """The cosine that 0.001 of the rows are expected to reach, if the share of rows within a small distance grows as a
    power of it (Grassberger & Procaccia 1983); -1 where there are too few pairs to tell."""
    random = np.random.default_rng(0)
    pairs = random.integers(0, len(unit), (2, _RANDOM))
    pairs = np.unique(np.sort(pairs[:, pairs[0] != pairs[1]], axis=0), axis=1)
    if pairs.shape[1] < _FEWEST:
        return -1.0
    apart = np.log(np.maximum(1 - _cosine(unit, pairs), 1e-12))
    share = best_share(len(unit))
    if np.quantile(apart, share) < np.log(1e-10):  # many point exactly the same way: vectors of one number
        return np.inf
    near, far = np.quantile(apart, [share, 0.2 + share])
    return float(1 - np.exp(near - (far - near) * np.log(share * len(unit) / CHANCE) / np.log(0.2 / share + 1)))
