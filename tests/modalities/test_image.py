import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image as Picture

from anlage.modalities.image.modality import Image


def frame(*cells: object) -> pd.DataFrame:
    return pd.DataFrame({"image": pd.Series(cells, index=[f"r{i}" for i in range(len(cells))], dtype=object)})


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def test_files_of_every_mode_become_arrays(tmp_path: Path) -> None:
    pictures = {
        "grey.png": Picture.fromarray(noise(9, 7)),
        "rgb.png": Picture.fromarray(noise(9, 7, 3)),
        "rgba.png": Picture.fromarray(noise(9, 7, 4)),
        "palette.png": Picture.fromarray(noise(9, 7)).convert("P"),
        "bits.png": Picture.fromarray(noise(9, 7) > 100),
        "deep.png": Picture.fromarray(noise(9, 7).astype(np.uint16) * 257),
    }
    for name, picture in pictures.items():
        picture.save(tmp_path / name)
    checked = Image().check(frame(*[str(tmp_path / name) for name in pictures]))
    assert not checked.problems
    kinds = [(cell.shape, str(cell.dtype)) for cell in checked.frame["image"]]
    grey, rgb = (9, 7), (9, 7, 3)
    assert kinds == [(s, "uint8") for s in (grey, rgb, rgb, rgb, grey)] + [(grey, "uint16")]
    assert np.array_equal(checked.frame["image"].iloc[1], noise(9, 7, 3))
    assert any("RGBA" in note for note in checked.notes)


def test_bad_files_are_named_one_by_one(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Picture.fromarray(noise(64, 64)).save(stream, "PNG")
    good = stream.getvalue()
    (tmp_path / "cut.png").write_bytes(good[: len(good) // 2])
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty.png").write_bytes(b"")
    Picture.new("1", (20_000, 20_000)).save(tmp_path / "bomb.png")
    Picture.new("1", (10_500, 10_000)).save(tmp_path / "large.png")
    frames = [Picture.fromarray(noise(8, 8, seed=i)) for i in range(3)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    names = ["cut.png", "text.png", "empty.png", "bomb.png", "large.png", "moving.gif", "absent.png", "."]
    checked = Image().check(frame(*[str(tmp_path / n) for n in names], np.zeros((0, 4)), np.full((3, 3), np.nan)))
    assert all(cell is None for cell in checked.frame["image"])
    assert [p.id for p in checked.problems] == [f"r{i}" for i in range(10)] and all(p.fatal for p in checked.problems)
    words = ["decoded", "no image", "no image", "pixels", "pixels", "animated", "no such file", "no such file"]
    for problem, word in zip(checked.problems, words, strict=False):
        assert word in problem.reason


@pytest.mark.parametrize("seed", range(3))
def test_damaged_files_never_raise(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cells = []
    for kind in ("PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP", "PPM"):
        stream = io.BytesIO()
        Picture.fromarray(noise(24, 24, 3)).save(stream, kind)
        for i in range(12):
            damaged = bytearray(stream.getvalue())
            for place in rng.integers(0, min(len(damaged), 300), 4):
                damaged[place] = rng.integers(0, 256)
            path = tmp_path / f"{kind}{i}.png"
            path.write_bytes(damaged[: rng.integers(1, len(damaged) + 1)] if i % 3 == 0 else damaged)
            cells.append(str(path))
    checked = Image().check(frame(*cells))
    assert {p.id for p in checked.problems} == set(checked.frame.index[checked.frame["image"].isna()])


def test_pixels_are_standardised_by_the_training_rows() -> None:
    modality = Image().fit(frame(noise(6, 5), noise(6, 5, seed=1)))
    assert modality.shape.channels == 1 and modality.shape.space == (6, 5)
    pixels = modality.prepare(frame(noise(6, 5), noise(6, 5, seed=1))).parts.take(np.arange(2)).pixels
    assert pixels.mean().abs() < 1e-5 and abs(pixels.std(unbiased=False) - 1) < 1e-5


def test_sizes_channels_and_types_are_brought_together() -> None:
    cells = frame(noise(10, 20), noise(20, 30, 3), noise(40, 10).astype(np.uint16) * 257)
    modality = Image(size=16).fit(cells)
    prepared = modality.prepare(cells)
    assert modality.shape.channels == 3 and modality.shape.space == (16, 16)
    assert prepared.parts.take(np.arange(3)).pixels.shape == (3, 3, 16, 16)
    flat = Image(size=8).fit(frame(np.full((4, 4), 100, np.uint8), np.full((6, 6), 200, np.uint8)))
    assert flat.prepare(frame(np.full((9, 9), 200, np.uint8))).parts.pixels.tolist() == [[[[200] * 8] * 8]]


def test_default_size_is_the_common_one_and_at_most_224() -> None:
    assert Image().fit(frame(noise(28, 20))).shape.space == (28, 20)
    assert Image().fit(frame(np.zeros((448, 112), np.uint8), np.ones((448, 112), np.uint8))).shape.space == (224, 56)


def test_equal_pixels_are_one_group_however_stored() -> None:
    grey = noise(5, 5)
    groups = Image().groups(frame(grey, np.repeat(grey[:, :, None], 3, 2), noise(5, 5, seed=9), None))
    assert groups.tolist() == [0, 0, 1, -1]


def test_variations_move_and_mirror_within_the_image() -> None:
    modality = Image(flip=True).fit(frame(noise(20, 20)))
    layout = modality.prepare(frame(*[noise(20, 20, seed=i) for i in range(16)])).parts.take(np.arange(16))
    varied = modality.augment(layout, torch.Generator().manual_seed(0))
    assert varied.pixels.shape == layout.pixels.shape
    differs = (varied.pixels - layout.pixels).abs().amax((1, 2, 3)) > 0.5
    assert differs.float().mean() > 0.8
    assert varied.pixels.abs().max() <= layout.pixels.abs().max() * 1.1 + 0.1 + 1e-4


def test_real_pneumonia_pixels(data) -> None:
    images = np.load(data / "images" / "pneumoniamnist.npz", allow_pickle=False)["train_images"][:300]
    cells = frame(*images)
    modality = Image()
    checked = modality.check(cells)
    described = modality.fit(checked.frame).descriptors(checked.frame)
    assert described.values.shape == (300, 28 * 28 + 324) and np.isfinite(described.values).all()
    found = Image.recognise("image", cells["image"])
    assert found and "28 x 28" in found.evidence
