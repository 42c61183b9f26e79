"""Near copies of images: brighter, noisier, rescaled, stored as JPEG, shifted or cropped.

In two steps, on thumbnails of 32 x 32 grey pixels. *Candidates*: the middle of each image is compared with windows of
every other one, at several places and three zooms, by the low frequencies of its cosine transform (as perceptual hashes
do: Zauner 2010, "Implementation and benchmarking of perceptual image hash functions"), whitened over the images at
hand, since in radiographs of one kind nearly all that a thumbnail shows is common to all. *Confirmation*: the
normalised cross-correlation of all pixels that overlap, at the best shift.
"""

from collections.abc import Callable, Iterator

import numpy as np
from scipy.fft import dct
from scipy.special import ndtri

from anlage.modalities.image.pixels import luminance, resize
from anlage.modalities.similar import CHANCE, Similar, best_share

_SIDE, _WINDOW = 32, 22
_PLACES = {32: (-4, -2, 0, 2, 4), 36: (-2, 0, 2), 28: (-2, 0, 2)}
"""Pixels by which windows lie off the middle of thumbnails of three sides: shifts up to 15 % of the side, and crops to
nearly 80 %. In steps of two, since one pixel off changes low frequencies little."""
_FREQUENCIES, _WIDTH = 6, 24
_CANDIDATES = 20
"""Of 400 chest radiographs (PneumoniaMNIST), shifted by up to 15 %, cropped to 90 %, or brighter, noisier and shifted,
98 % to all found their source among so many of 5,827; without whitening 85 to 96 %."""
_FLOOR = 0.5
_BLOCK, _PAIRS = 2**24, 4096
_SECONDS = 8e-8
"""One core for a pair of images."""
_RANDOM, _FEWEST = 3000, 100
"""Random pairs that show what chance gives, and how many of them there must be."""


def copies(queries: list[np.ndarray], targets: list[np.ndarray], least: float, say: Callable[[str], None]) -> Similar:
    """Pairs of images that are near copies, from the 20 most promising targets of each query; ``queries`` may be the
    same list as ``targets``, then no image is paired with itself. Images are checked arrays, [H, W] or [H, W, 3].

    Cells in the middle of a picture look alike without being copies. So a pair must also be better than chance: where
    the correlations of random pairs make one expect more than 0.001 targets as good as this one, it does not count.
    """
    same = queries is targets
    if not queries or len(targets) < (2 if same else 1):
        return Similar.none()
    there = {side: thumbnails(targets, side) for side in _PLACES}
    here = there[_SIDE] if same else thumbnails(queries, _SIDE)
    if (seconds := len(queries) * (len(targets) * _SECONDS + 2e-3)) > 20:
        say(f"comparing {len(queries):,} images with {len(targets):,}: about {seconds / 60:.0f} min")
    search = _Search(here, there)
    query, target = search.candidates(_CANDIDATES, same)
    value = search.correlations(query, target)
    chance = search.chance(same)
    if chance > least and ((value >= least) & (value < chance)).any():
        say(f"images here look alike: a near copy is one whose pixels correlate by {chance:.4f} (else {least:.2f})")
    holds = value >= max(least, chance) - 1e-6
    return Similar(query[holds], target[holds], value[holds])


def thumbnails(images: list[np.ndarray], side: int) -> np.ndarray:
    """[images, side, side] float32 with zero mean and unit deviation (0 where an image is flat)."""
    out = np.empty((len(images), side, side), dtype=np.float32)
    for i, image in enumerate(images):
        out[i] = resize(luminance(image), (side, side))
    out -= out.mean((1, 2), keepdims=True)
    deviation = out.std((1, 2), keepdims=True)
    return np.divide(out, deviation, out=np.zeros_like(out), where=deviation > 1e-6 * np.abs(out).max(initial=1e-9))


def _windows(there: dict[int, np.ndarray]) -> Iterator[tuple[int, int, int, np.ndarray]]:
    """The thumbnails' side, the shift, and the windows there [images, 22, 22]."""
    for side, thumbs in there.items():
        first = (side - _WINDOW) // 2
        for y in _PLACES[side]:
            for x in _PLACES[side]:
                yield side, y, x, thumbs[:, first + y : first + y + _WINDOW, first + x : first + x + _WINDOW]


def _frequencies(windows: np.ndarray) -> np.ndarray:
    """[images, 35] the lowest frequencies but the mean, as shares of all contrast."""
    inner = windows - windows.mean((1, 2), keepdims=True)
    waves = dct(np.eye(_WINDOW, dtype=np.float32), axis=0, norm="ortho")[:_FREQUENCIES]
    low = (waves @ (inner @ waves.T)).reshape(len(windows), -1)[:, 1:]
    return low / np.sqrt((inner**2).sum((1, 2)) + 1e-6)[:, None]


def _whitening(values: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Centre, turn and scale as makes ``values`` uncorrelated, then to unit length."""
    middle = values.mean(0)
    variance, axes = np.linalg.eigh(np.cov(values.T, bias=True))
    variance, axes = variance[::-1][:_WIDTH], axes[:, ::-1][:, :_WIDTH]
    turned = (axes / np.sqrt(variance + 0.03 * variance[0] + 1e-9)).astype(np.float32)

    def apply(some: np.ndarray) -> np.ndarray:
        out = ((some - middle) @ turned).astype(np.float32)
        return out / (np.linalg.norm(out, axis=1, keepdims=True) + 1e-9)

    return apply


class _Search:
    """Thumbnails of queries [images, 32, 32] beside those of targets at three zooms."""

    def __init__(self, here: np.ndarray, there: dict[int, np.ndarray]):
        self._here, self._there = here, there
        first = (_SIDE - _WINDOW) // 2
        middle = slice(first, first + _WINDOW)
        whiten = _whitening(_frequencies(there[_SIDE][:, middle, middle]))
        self._asked = whiten(_frequencies(here[:, middle, middle]))
        self._shown = np.stack([whiten(_frequencies(windows)) for *_, windows in _windows(there)])

    def candidates(self, most: int, same: bool) -> tuple[np.ndarray, np.ndarray]:
        """[pairs] queries and their most promising targets. All pairs are looked at, but by products of short vectors
        alone."""
        n = self._shown.shape[1]
        step = max(1, _BLOCK // n)
        out = []
        for begin in range(0, len(self._asked), step):
            some = self._asked[begin : begin + step]
            best = some @ self._shown[0].T
            for windows in self._shown[1:]:
                np.maximum(best, some @ windows.T, out=best)
            if same:
                best[np.arange(len(some)), np.arange(begin, begin + len(some))] = -1
            target = np.argpartition(-best, min(most, n) - 1, axis=1)[:, :most]
            row, place = np.nonzero(np.take_along_axis(best, target, axis=1) >= _FLOOR)
            out.append(np.stack([row + begin, target[row, place]]))
        query, target = np.concatenate(out, axis=1)
        return query, target

    def correlations(self, query: np.ndarray, target: np.ndarray) -> np.ndarray:
        """[pairs] the best correlation of overlapping pixels at and around the shift of the window that fits best."""
        value = np.full(len(query), -1.0)
        place = np.empty(len(query), dtype=np.int64)
        for begin in range(0, len(query), _PAIRS):
            some = slice(begin, begin + _PAIRS)
            fits = np.einsum("cw,pcw->cp", self._asked[query[some]], self._shown[:, target[some]])
            place[some] = fits.argmax(axis=1)
        for number, (side, y, x, _) in enumerate(_windows(self._there)):
            here = np.flatnonzero(place == number)
            for begin in range(0, len(here), _PAIRS):
                few = here[begin : begin + _PAIRS]
                one, other = self._here[query[few]], self._there[side][target[few]]
                around = [_overlap(one, other, y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
                value[few] = _peak(np.stack(around).reshape(3, 3, -1))
        return value

    def chance(self, same: bool) -> float:
        """The correlation that 0.001 targets of a query are expected to reach if Fisher's z of random pairs is normal;
        its spread is that of the pairs above the median, without the best. 0 where there are too few pairs to tell."""
        random = np.random.default_rng(0)
        query = random.integers(0, len(self._here), _RANDOM)
        target = random.integers(0, len(self._there[_SIDE]), _RANDOM)
        pairs = np.unique(np.stack([query, target])[:, (query != target) | (not same)], axis=1)
        if pairs.shape[1] < _FEWEST:
            return 0.0
        z = np.arctanh(np.minimum(self.correlations(*pairs), 1 - 1e-9))
        n = len(self._there[_SIDE])
        share = best_share(n)
        middle, high = np.quantile(z, [0.5, 1 - share])
        return float(np.tanh(middle + (high - middle) * ndtri(CHANCE / n) / ndtri(share)))


def _overlap(a: np.ndarray, b: np.ndarray, y: int, x: int) -> np.ndarray:
    """[pairs] correlation of images whose middles lie ``y, x`` apart, over the pixels that both have."""
    rows, columns = _common(a.shape[1], b.shape[1], y), _common(a.shape[2], b.shape[2], x)
    a, b = a[:, rows[0], columns[0]], b[:, rows[1], columns[1]]
    a, b = a - a.mean((1, 2), keepdims=True), b - b.mean((1, 2), keepdims=True)
    power = (a * a).sum((1, 2)) * (b * b).sum((1, 2))
    return (a * b).sum((1, 2)) / np.sqrt(power + 1e-9)


def _common(one: int, other: int, shift: int) -> tuple[slice, slice]:
    """Of two lines of pixels, the second moved so that place ``shift`` off its middle meets the first one's middle:
    what overlaps."""
    offset = (other - one) // 2 + shift
    low, high = max(0, -offset), min(one, other - offset)
    return slice(low, high), slice(low + offset, high + offset)


def _peak(values: np.ndarray) -> np.ndarray:
    """[pairs] the top of parabolas through values [3, 3, pairs] at and around a pixel: shifts are no whole pixels."""
    best = values.reshape(9, -1).max(0)
    rise = np.zeros_like(best)
    for low, middle, high in ((values[0, 1], values[1, 1], values[2, 1]), (values[1, 0], values[1, 1], values[1, 2])):
        bend = 2 * middle - low - high
        inner = (middle >= low) & (middle >= high) & (bend > 1e-9)
        rise += np.where(inner, (high - low) ** 2 / (8 * np.maximum(bend, 1e-9)), 0)
    return np.minimum(np.maximum(best, values[1, 1] + rise), 1.0)
