"""Near copies of images, records and vectors: found however they were made, and never mistaken for mere likeness."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image as Picture

from anlage.modalities.image.modality import Image
from anlage.modalities.protein.modality import Protein
from anlage.modalities.protocol import Modality
from anlage.modalities.record.modality import Record
from anlage.modalities.similar import Similar, grouped, nearest
from anlage.modalities.vector.modality import Vector


def quiet(line: str) -> None:
    """Nobody listens."""


def column(cells: list) -> pd.DataFrame:
    return pd.DataFrame({"x": pd.Series(cells, dtype=object)})


def groups(modality: Modality, frame: pd.DataFrame) -> np.ndarray:
    return modality.similarity_groups(modality.check(frame).frame, modality.usual_similarity, quiet)


# Groups and the nearest row from pairs


def test_chains_are_one_group_and_missing_rows_none() -> None:
    index = np.array([3, -1, 0, 0, 2, 1, 4])
    pairs = Similar(np.array([3, 0]), np.array([0, 1]), np.array([0.9, 0.8]))
    assert grouped(index, pairs).tolist() == [0, -1, 0, 0, 1, 0, 2]
    assert grouped(np.array([-1, -1]), Similar.none()).tolist() == [-1, -1]


def test_nearest_takes_equal_then_most_similar_then_first() -> None:
    asked, there = np.array([0, 1, 2, -1, 5]), np.array([4, 3, 0, 4, -1, 0])
    pairs = Similar(np.array([0, 1, 1, 2, 2]), np.array([4, 3, 4, 3, 4]), np.array([0.95, 0.9, 0.8, 0.7, 0.7]))
    found = nearest(asked, there, pairs)
    assert found.rows.tolist() == [2, 1, 0, -1, -1]
    assert np.array_equal(found.similarity, [1, 0.9, 0.7, np.nan, np.nan], equal_nan=True)


# Images


def scenes(count: int, side: int, seed: int) -> list[np.ndarray]:
    """Grey pictures of a dozen soft spots each."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    pictures = []
    for _ in range(count):
        places, sizes = random.random((2, 14)), random.uniform(0.03, 0.12, 14)
        spots = [np.exp(-((y - a) ** 2 + (x - b) ** 2) / (2 * s * s)) for a, b, s in zip(*places, sizes, strict=True)]
        picture = np.tensordot(random.uniform(-1, 1, 14), spots, 1)
        pictures.append((128 + 100 * picture / np.abs(picture).max()).astype(np.uint8))
    return pictures


def as_jpeg(picture: np.ndarray) -> np.ndarray:
    stream = io.BytesIO()
    Picture.fromarray(picture).save(stream, "JPEG", quality=60)
    return np.asarray(Picture.open(stream))


def shrunk(picture: np.ndarray, share: float) -> np.ndarray:
    side = round(share * len(picture))
    return np.asarray(Picture.fromarray(picture).resize((side, side)))


NEAR_COPIES = {
    "brighter": lambda p: (p * 0.7 + 60).astype(np.uint8),
    "JPEG": as_jpeg,
    "smaller": lambda p: shrunk(p, 0.6),
    "in colour": lambda p: np.stack([p, p // 2, 255 - p // 3], axis=2),
    "16 bits": lambda p: p.astype(np.uint16) * 257,
    "cropped": lambda p: p[8:, 3:-5],
    "cropped and enlarged": lambda p: shrunk(p[4:-4, 8:], 1.2),
    "noisy": lambda p: (p + np.random.default_rng(0).normal(0, 5, p.shape)).clip(0, 255).astype(np.uint8),
}


@pytest.mark.parametrize("how", NEAR_COPIES)
def test_near_copies_of_images_are_found(how: str) -> None:
    wide = scenes(60, 88, seed=0)
    pictures = [p[12:76, 12:76] for p in wide]
    found = groups(Image(), column([*pictures, *(NEAR_COPIES[how](p) for p in pictures[:20])]))
    assert (found[60:] == found[:20]).mean() >= 0.95 and len(set(found[:60])) == 60


def test_shifted_images_are_found() -> None:
    random = np.random.default_rng(1)
    wide = scenes(60, 88, seed=1)
    pictures = [p[12:76, 12:76] for p in wide]
    moves = random.integers(-9, 10, (20, 2))  # up to 15 % of 64 pixels
    shifted = [p[12 + y : 76 + y, 12 + x : 76 + x] for p, (y, x) in zip(wide, moves.tolist(), strict=False)]
    found = groups(Image(), column([*pictures, *shifted]))
    assert (found[60:] == found[:20]).mean() >= 0.9 and len(set(found[:60])) == 60


def test_images_that_look_alike_are_no_copies() -> None:
    """Round cells in the middle: nearly the same thumbnails, but not the same cell."""
    random = np.random.default_rng(2)
    y, x = np.mgrid[:40, :40]
    cells = []
    for _ in range(80):
        radius, (down, right) = random.uniform(9, 14), 20 + random.normal(0, 1.5, 2)
        cell = 220 - 110 / (1 + np.exp(np.hypot((y - down) * random.uniform(0.85, 1.15), x - right) - radius))
        cells.append((cell + random.normal(0, 4, cell.shape)).clip(0, 255).astype(np.uint8))
    said: list[str] = []
    again = [(cell * 0.9).astype(np.uint8) for cell in cells[:10]]
    image = Image()
    found = image.similarity_groups(image.check(column(cells + again)).frame, 0.97, said.append)
    assert len(set(found[:80])) >= 78 and (found[80:] == found[:10]).all()
    assert len(said) == 1 and "images here look alike" in said[0]


def test_flat_and_tiny_images_are_near_nothing() -> None:
    flat = [np.full((20, 20), value, dtype=np.uint8) for value in (0, 7, 255)] + [np.zeros((1, 1), dtype=np.uint8)]
    assert len(set(groups(Image(), column([*flat, *scenes(5, 20, seed=3)])))) == 9


# Records


def patients(count: int, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(random.lognormal(3, 0.5, (count, 10)), columns=[f"lab{i}" for i in range(10)])
    frame["age"], frame["sex"] = random.integers(20, 90, count).astype(float), random.choice(["f", "m"], count)
    return frame.mask(random.random(frame.shape) < 0.05)


@pytest.mark.parametrize("change", ["rounded", "one value changed", "one value lost", "a category changed"])
def test_near_copies_of_records_are_found(change: str) -> None:
    frame = patients(300, seed=0)
    copies = frame.iloc[:30].copy()
    if change == "rounded":
        copies = copies.round(1)
    elif change == "one value changed":
        copies["lab2"] = 17.5
    elif change == "one value lost":
        copies["lab4"] = np.nan
    else:
        copies["sex"] = copies["sex"].map({"f": "m", "m": "f"})
    found = groups(Record(), pd.concat([frame, copies], ignore_index=True))
    assert (found[300:] == found[:30]).all() and len(set(found[:300])) == 300


def test_a_few_coarse_columns_join_nobody() -> None:
    random = np.random.default_rng(1)
    scores = pd.DataFrame(random.integers(0, 4, (400, 9)).astype(float), columns=[f"item{i}" for i in range(9)])
    flags = pd.DataFrame(random.random((400, 20)) < 0.04, columns=[f"flag{i}" for i in range(20)])
    for frame in (scores, scores.iloc[:, :2], pd.concat([flags, scores.iloc[:, :3]], axis=1)):
        record = Record()
        checked = record.check(frame).frame
        assert (record.similarity_groups(checked, 0.85, quiet) == record.groups(checked)).all()


def test_columns_that_say_the_same_count_as_little_more_than_one() -> None:
    random = np.random.default_rng(2)
    height = random.normal(170, 9, 500)
    frame = pd.DataFrame({f"in unit {i}": (height * (1.0 + i)).round(2) for i in range(12)})
    assert len(set(groups(Record(), frame))) > 450
    frame["weight"], frame["sugar"], frame["age"] = random.lognormal(4, 1, (3, 500))
    copies = frame.iloc[:20] * 1.0001
    found = groups(Record(), pd.concat([frame, copies], ignore_index=True))
    assert (found[500:] == found[:20]).all() and len(set(found[:500])) == 500


def test_nearest_record_where_a_column_is_all_missing() -> None:
    frame = patients(50, seed=3)
    frame["empty"] = np.nan
    asked = frame.iloc[:3].copy()
    asked["lab1"] *= 1.0001
    record = Record()
    checked = record.check(pd.concat([frame, asked], ignore_index=True)).frame
    found = record.nearest(checked.iloc[50:], checked.iloc[:50], 0.9, quiet)
    assert found.rows.tolist() == [0, 1, 2] and (found.similarity >= 0.9).all()


# Vectors


@pytest.mark.parametrize("length", [1, 2, 3, 8])
def test_short_vectors_are_not_near_by_chance(length: int) -> None:
    vectors = np.random.default_rng(length).normal(size=(300, length)).astype(np.float32)
    found = groups(Vector(), column(list(vectors)))
    assert len(set(found)) >= 298


def test_embeddings_that_point_one_way_are_not_near() -> None:
    random = np.random.default_rng(0)
    vectors = 40 + random.normal(size=(300, 64))
    copies = vectors[:20] * (1 + 1e-6 * random.normal(size=(20, 64)))
    copies[:, 5] = np.where(np.arange(20) == 0, np.nan, copies[:, 5])
    found = groups(Vector(), column([*vectors, *copies]))
    assert len(set(found[:300])) == 300 and (found[301:] == found[1:20]).all()


# Sequences


def test_codes_of_a_base_and_stops_are_compared_as_they_are_read() -> None:
    text = "MKVLAAGIVGLLLAQWERTYHPSDFGNCEI" * 3
    frame = Protein().check(column([text, text[:-1] + "*", "U" + text[1:], None, "WWWWWHHHHHCCCCC"])).frame
    assert groups(Protein(), frame).tolist() == [0, 0, 0, -1, 1]
    found = Protein().nearest(frame.iloc[1:], frame.iloc[[0]], 0.3, quiet)
    assert found.rows.tolist() == [0, 0, -1, -1] and 0.9 < found.similarity[1] <= 1
