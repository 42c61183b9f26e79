"""Vectors on disk: computed once, right whatever the batches, and never lost or wrong by a kill or a broken file."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from anlage.encoders import lookup as encoders
from anlage.errors import AnlageError
from anlage.modalities import lookup as modalities
from anlage.parts import ColumnParts, TokenParts
from anlage.training import vectors
from anlage.training.vectors import cache_folder, encode_parts, identity, kept_vectors
from anlage.types import Encoded, Tokens


@pytest.fixture
def encoder() -> nn.Module:
    """A small encoder of DNA."""
    torch.manual_seed(0)
    dna = modalities.get("dna")()
    return encoders.build(encoders.parse("cnn-tiny:width=16,layers=2"), dna.fit(frame(5, 0)).shape).eval()


def frame(rows: int, seed: int) -> pd.DataFrame:
    """Random sequences of 5 to 80 bases."""
    random = np.random.default_rng(seed)
    texts = ["".join(random.choice(list("ACGT"), random.integers(5, 80))) for _ in range(rows)]
    return pd.DataFrame({"sequence": texts})


def parts(rows: int, seed: int = 0) -> TokenParts:
    """The same, prepared."""
    return modalities.get("dna")().fit(frame(rows, seed)).prepare(frame(rows, seed)).parts  # type: ignore[return-value]


def one_by_one(encoder: nn.Module, some: TokenParts) -> np.ndarray:
    """The vector of each part, alone in its batch."""
    with torch.no_grad():
        return torch.cat([encoder(some.take(np.array([i]))).pooled for i in range(len(some))]).numpy()


def segments(cache: Path) -> list[Path]:
    return sorted(cache.rglob("*.safetensors"))


def test_each_part_is_encoded_once_in_batches_of_like_size(encoder: nn.Module) -> None:
    some, seen = parts(60), np.zeros(60, dtype=int)
    which = np.arange(10, 60)
    expected = one_by_one(encoder, some)
    for batch, pooled in encode_parts(encoder, some, which, tokens=400, samples=8):
        assert len(batch) <= 8 and (some.sizes[batch].sum() <= 400 or len(batch) == 1)
        assert pooled.dtype == np.float32
        np.testing.assert_allclose(pooled, expected[batch], atol=1e-5)
        seen[batch] += 1
    assert (seen[10:] == 1).all() and not seen[:10].any()


def test_where_memory_runs_out_batches_are_halved(encoder: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    some, whole = parts(40), type(encoder).forward
    sizes: list[int] = []

    def forward(self: nn.Module, layout: Tokens) -> Encoded:
        if len(layout) > 6:
            raise torch.OutOfMemoryError("out of memory")
        sizes.append(len(layout))
        return whole(self, layout)

    expected = one_by_one(encoder, some)
    monkeypatch.setattr(type(encoder), "forward", forward)
    found = np.zeros_like(expected)
    for batch, pooled in encode_parts(encoder, some, np.arange(40)):
        found[batch] = pooled
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert sum(sizes) == 40 and max(sizes) <= 6


def test_only_what_is_missing_is_computed(encoder: nn.Module, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "SEGMENT", 16)
    lines: list[str] = []
    some = parts(50)
    first = kept_vectors(encoder, some, "x", "dna", lines.append)
    np.testing.assert_allclose(first, one_by_one(encoder, some), atol=1e-5)
    assert lines[0] == "vectors of dna: computing 50"
    both = modalities.get("dna")().fit(frame(5, 0)).encode([*frame(20, 1).sequence, *frame(50, 0).sequence])
    more = kept_vectors(encoder, both, "x", "dna", lines.append)
    assert "vectors of dna: computing 20, 50 were kept from before" in lines
    assert np.array_equal(more[20:], first)
    np.testing.assert_allclose(more[:20], one_by_one(encoder, both)[:20], atol=1e-5)
    assert np.array_equal(kept_vectors(encoder, both, "x", "dna", lines.append), more)
    assert lines[-1] == "vectors of dna: all 70 were kept from before"
    assert not list(cache.rglob("*.partial"))


def test_another_encoder_shares_nothing(encoder: nn.Module) -> None:
    before = identity(encoder, ["settings"])
    assert identity(encoder, ["settings"]) == before
    assert identity(encoder, ["other settings"]) != before
    with torch.no_grad():
        next(encoder.parameters())[0, 0] += 1e-6
    assert identity(encoder, ["settings"]) != before


def test_a_kill_loses_at_most_a_segment(encoder: nn.Module, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "SEGMENT", 10)
    monkeypatch.setattr(vectors, "encode_parts", lambda *a: encode_parts(*a, samples=5))
    some, whole, calls = parts(40), type(encoder).forward, []

    def forward(self: nn.Module, layout: Tokens) -> Encoded:
        calls.append(len(layout))
        if sum(calls) > 25:
            raise KeyboardInterrupt
        return whole(self, layout)

    with monkeypatch.context() as patch:
        patch.setattr(type(encoder), "forward", forward)
        with pytest.raises(KeyboardInterrupt):
            kept_vectors(encoder, some, "x", "dna", print)
    assert len(segments(cache)) == 2
    lines: list[str] = []
    found = kept_vectors(encoder, some, "x", "dna", lines.append)
    assert "vectors of dna: computing 20, 20 were kept from before" in lines
    np.testing.assert_allclose(found, one_by_one(encoder, some), atol=1e-5)


@pytest.mark.parametrize("how", ["cut short", "one byte", "empty", "other width", "not ours"])
def test_a_broken_file_is_named_and_computed_again(
    how: str, encoder: nn.Module, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.numpy import load_file, save_file

    monkeypatch.setattr(vectors, "SEGMENT", 10)
    monkeypatch.setattr(vectors, "encode_parts", lambda *a: encode_parts(*a, samples=5))
    some = parts(30)
    right = kept_vectors(encoder, some, "x", "dna", print)
    path = segments(cache)[1]
    raw = path.read_bytes()
    if how == "other width":
        tensors = load_file(path)
        save_file({"keys": tensors["keys"], "vectors": tensors["vectors"][:, :-1]}, path)
    elif how == "not ours":
        save_file({"weights": np.zeros(3)}, path)
    else:
        changed = bytearray(raw)
        changed[-7] ^= 64
        path.write_bytes({"cut short": raw[: len(raw) // 2], "one byte": bytes(changed), "empty": b""}[how])
    lines: list[str] = []
    found = kept_vectors(encoder, some, "x", "dna", lines.append)
    np.testing.assert_allclose(found, right, atol=1e-6)
    assert any(line.startswith(f"{path} is broken") for line in lines)
    assert "vectors of dna: computing 10, 20 were kept from before" in lines
    lines.clear()
    kept_vectors(encoder, some, "x", "dna", lines.append)
    assert lines == ["vectors of dna: all 30 were kept from before"]


def test_equal_parts_have_one_vector(encoder: nn.Module, cache: Path) -> None:
    text = frame(3, 0).sequence.tolist()
    twice = modalities.get("dna")().fit(frame(5, 0)).encode([*text, *text])
    lines: list[str] = []
    for _ in range(2):
        found = kept_vectors(encoder, twice, "x", "dna", lines.append)
        np.testing.assert_allclose(found[:3], found[3:], atol=1e-6)
    assert lines[-1] == "vectors of dna: all 6 were kept from before"


def test_where_nothing_can_be_kept_it_is_said_once(
    encoder: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "SEGMENT", 10)
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("ANLAGE_CACHE", str(tmp_path / "file"))
    lines: list[str] = []
    found = kept_vectors(encoder, parts(40), "x", "dna", lines.append)
    np.testing.assert_allclose(found, one_by_one(encoder, parts(40)), atol=1e-5)
    assert sum("cannot be kept" in line for line in lines) == 1


def test_vectors_that_are_no_numbers_stop_it(encoder: nn.Module, cache: Path) -> None:
    with torch.no_grad():
        next(encoder.parameters()).fill_(float("nan"))
    with pytest.raises(AnlageError, match="dna.*not finite"):
        kept_vectors(encoder, parts(5), "x", "dna", print)
    assert not segments(cache)


def test_missing_numbers_have_keys_as_well() -> None:
    numbers = np.array([[1.0, np.nan], [1.0, 2.0], [np.nan, 2.0]])
    keys = ColumnParts(numbers, np.zeros((3, 0), dtype=np.int64)).digests()
    assert keys.shape == (3, 16) and len(np.unique(keys, axis=0)) == 3


def test_the_cache_is_where_one_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANLAGE_CACHE", "~/elsewhere")
    assert cache_folder() == Path(os.path.expanduser("~/elsewhere"))
    monkeypatch.delenv("ANLAGE_CACHE")
    assert cache_folder() == Path.home() / ".cache" / "anlage"
