"""Two thousand damaged files: whatever comes, reading ends in Samples or in one AnlageError, and so does checking."""

import random
import warnings
from pathlib import Path

import pytest
from samples.good_files import WRITERS

from anlage.errors import AnlageError
from anlage.modalities.protocol import Modality
from anlage.modalities.recognise import recognise
from anlage.samples.read import read

FILES = 2000
_PER_FORMAT = -(-FILES // len(WRITERS))


def damage(good: bytes, other: bytes, rng: random.Random) -> bytes:
    """Flip bytes, cut the end, cut a piece out, or splice with another good file."""
    kind = rng.randrange(5)
    if kind == 0:
        bad = bytearray(good)
        for _ in range(rng.choice((1, 1, 2, 8, 64))):
            bad[rng.randrange(len(bad))] = rng.randrange(256)
        return bytes(bad)
    if kind == 1:
        return good[: rng.randrange(len(good))]
    if kind == 2:
        start, end = sorted(rng.randrange(len(good)) for _ in range(2))
        return good[:start] + good[end:]
    if kind == 3:
        return good[: rng.randrange(len(good))] + other[rng.randrange(len(other)) :]
    bad = bytearray(good)
    where = rng.randrange(len(bad))
    bad[where:where] = rng.choice((b"\0", b'"', b",", b"\n", b"\xff\xfe", b">", b"{", b"=", b"\r", b"-1", b"\xf0\x9f"))
    return bytes(bad)


def look(path: Path) -> bool:
    """Read and check; True where Samples came out."""
    try:
        samples = read(path)
    except AnlageError as error:
        message = str(error)
        assert message and "\n" not in message and len(message) < 1000, message
        return False
    assert samples.frame.index.is_unique and len(samples) > 0
    inputs: dict[str, tuple[Modality, list[str]]] = {}
    for column, found in recognise(samples.frame).items():
        if found.modality is not None:
            name = found.modality.name if found.modality.joins_columns else f"column {column}"
            inputs.setdefault(name, (found.modality, []))[1].append(column)
    for modality, columns in inputs.values():
        checked = modality.check(samples.frame[columns])
        assert len(checked.frame) == len(samples)
        modality.groups(checked.frame)
    return True


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_damaged_files(name: str, tmp_path: Path) -> None:
    rng = random.Random(f"anlage {name}")
    good = WRITERS[name](tmp_path)
    files = [p for path in good for p in (sorted(path.rglob("*.png")) if path.is_dir() else [path])]
    contents = [path.read_bytes() for path in files]
    sound = 0
    for _ in range(_PER_FORMAT):
        which = rng.randrange(len(files))
        bad = damage(contents[which], rng.choice(contents), rng)
        files[which].write_bytes(bad)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                sound += look(good[0] if good[0].is_dir() else files[which])
        except Exception as error:
            error.add_note(f"{files[which].name}: {bad!r:.2000}")
            raise
        files[which].write_bytes(contents[which])
    assert sound > 0, "no damaged file was readable at all: the damage is too crude to test reading"
