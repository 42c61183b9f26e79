"""A bundle comes back as it was written, or not at all."""

import json
import math
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from bundle.example import contents, make, rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anlage.bundle import json_files, upgrade
from anlage.bundle.read import is_bundle, read, read_rows
from anlage.bundle.seal import BLANK_SEAL, file_hash, seal
from anlage.bundle.write import write
from anlage.errors import AnlageError

VERIFIED = [
    "bundle.json",
    "weights.safetensors",
    "metrics.json",
    "history.json",
    "report.html",
    "rows/predictions.parquet",
    "rows/split.csv",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make(tmp_path / "runs" / "loc")


def resealed(folder: Path, change: dict) -> None:
    """Change ``bundle.json`` as someone would who knows how it is sealed."""
    path = folder / "bundle.json"
    document = json.loads(path.read_bytes()) | change | {"seal": BLANK_SEAL}
    path.write_bytes(seal(json_files.dump(document)))


def one_line(caught: pytest.ExceptionInfo) -> str:
    text = str(caught.value)
    assert "\n" not in text and len(text) < 400
    return text


def test_what_was_written_is_read(folder: Path) -> None:
    held, found = contents(), read(folder)
    for name in ("settings", "targets", "provenance"):
        assert getattr(found, name) == getattr(held, name)
    state = found.inputs[0]["modality"]["state"]
    assert state["medians"][0] == 1.5 and math.isnan(state["medians"][1]) and state["names"] == ["Größe", "b"]
    assert found.weights.keys() == held.weights.keys()
    for name, tensor in held.weights.items():
        assert found.weights[name].dtype == tensor.dtype and torch.equal(found.weights[name], tensor)
    assert found.metrics == json.loads((folder / "metrics.json").read_text()) == held.metrics
    assert found.history[0]["train_loss"] is None, "JSON for other programs has null, not NaN"


def test_every_json_file_is_valid_json(folder: Path) -> None:
    for path in folder.glob("*.json"):
        json.loads(path.read_text(), parse_constant=pytest.fail)


def test_tables_keep_their_ids(folder: Path) -> None:
    assert list(read_rows(folder, "split.csv").index) == ["007", "NA"]
    predictions = read_rows(folder, "predictions.parquet")
    assert list(predictions.index) == ["007", "NA"] and list(predictions["diagnosis"]) == ["a", "b"]


@pytest.mark.parametrize("name", VERIFIED)
def test_a_changed_byte_is_named(folder: Path, name: str) -> None:
    path = folder / name
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    with pytest.raises(AnlageError) as caught:
        read(folder)
    assert path.name in one_line(caught)


@pytest.mark.parametrize("name", VERIFIED)
def test_a_truncated_file_is_named(folder: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(AnlageError) as caught:
        read(folder)
    assert path.name in one_line(caught)


@pytest.mark.parametrize("name", [name for name in VERIFIED if not name.startswith("rows/")])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(AnlageError, match=name.replace(".", r"\.")):
        read(folder)


def test_rows_can_be_left_behind(folder: Path) -> None:
    shutil.rmtree(folder / "rows")
    assert read(folder).settings == contents().settings
    assert read_rows(folder, "predictions.parquet") is None


def test_the_model_card_is_for_people_to_complete(folder: Path) -> None:
    path = folder / "MODEL_CARD.md"
    path.write_text(path.read_text().replace("- [ ] the licence", "- [x] the licence: CC0"))
    read(folder)


def test_only_files_of_the_house_differ(folder: Path) -> None:
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == sorted(
        [*VERIFIED, "MODEL_CARD.md"]
    )


def test_a_newer_bundle_asks_for_an_upgrade(folder: Path) -> None:
    resealed(folder, {"schema": 2, "inputs": "who knows"})
    with pytest.raises(AnlageError, match=r"written by a newer anlage \(schema 2\): upgrade anlage"):
        read(folder)


def test_an_older_bundle_is_upgraded_step_by_step(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = {1: lambda document: document | {"a": 1}, 2: lambda document: document | {"b": document["a"] + 1}}
    monkeypatch.setattr(upgrade, "SCHEMA", 3)
    monkeypatch.setattr(upgrade, "STEPS", steps)
    assert upgrade.upgrade({"schema": 1}, folder) == {"schema": 1, "a": 1, "b": 2}


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"schema": true}', b'{"schema": "1"}', b'{"schema": 1}', b"[" * 200_000],
)
def test_what_is_no_bundle_says_so(folder: Path, raw: bytes) -> None:
    (folder / "bundle.json").write_bytes(raw)
    with pytest.raises(AnlageError) as caught:
        read(folder)
    assert "bundle.json" in one_line(caught)


@pytest.mark.parametrize("key", ["settings", "inputs", "targets", "provenance", "files"])
def test_a_missing_key_is_named(folder: Path, key: str) -> None:
    resealed(folder, {key: None})
    with pytest.raises(AnlageError, match=f"no {key}"):
        read(folder)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "rows/../../x", "a/b", ".hidden", "x" * 500 + "\n"])
def test_a_bundle_never_leads_outside(folder: Path, name: str) -> None:
    files = json.loads((folder / "bundle.json").read_text())["files"]
    resealed(folder, {"files": files | {name: {"sha256": "0" * 64, "bytes": 1}}})
    with pytest.raises(AnlageError, match="no entry for a file of a bundle") as caught:
        read(folder)
    one_line(caught)


@pytest.mark.parametrize("raw", [pickle.dumps({"a": 1}), b"", b"\x08" + bytes(7) + b"{}{}{}{}", b"\xff" * 64])
def test_weights_that_are_no_safetensors(folder: Path, raw: bytes) -> None:
    path = folder / "weights.safetensors"
    path.write_bytes(raw)
    files = json.loads((folder / "bundle.json").read_text())["files"]
    resealed(folder, {"files": files | {path.name: {"sha256": file_hash(path), "bytes": len(raw)}}})
    with pytest.raises(AnlageError, match="not a safetensors file") as caught:
        read(folder)
    one_line(caught)


def test_a_huge_index_is_not_read(folder: Path) -> None:
    with (folder / "bundle.json").open("r+b") as stream:
        stream.truncate(json_files.JSON_BYTES + 1)
    with pytest.raises(AnlageError, match="at most"):
        read(folder)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_fuzzed_index_never_loads(folder: Path, data: st.DataObject) -> None:
    path = folder / "bundle.json"
    good = path.read_bytes()
    at = data.draw(st.integers(0, len(good) - 1))
    to = data.draw(st.binary(max_size=3))
    bad = good[:at] + to + good[at + data.draw(st.integers(0, 40)) :]
    try:
        path.write_bytes(bad)
        if bad == good:
            read(folder)
        else:
            with pytest.raises(AnlageError):
                read(folder)
    finally:
        path.write_bytes(good)


def test_an_existing_bundle_is_kept(folder: Path) -> None:
    before = (folder / "bundle.json").read_bytes()
    with pytest.raises(AnlageError, match="already holds a bundle"):
        make(folder)
    assert (folder / "bundle.json").read_bytes() == before


def test_overwriting_leaves_nothing_old(folder: Path) -> None:
    (folder / "training").mkdir()
    (folder / "training" / "log.jsonl").write_text("{}\n")
    write(folder, replace(contents(), settings={"seed": 9}), {"split.csv": rows()["split.csv"]}, overwrite=True)
    assert read(folder).settings == {"seed": 9}
    assert not (folder / "rows" / "predictions.parquet").exists()
    assert (folder / "training" / "log.jsonl").read_text() == "{}\n"


def test_an_interrupted_write_is_no_bundle(folder: Path) -> None:
    """The last thing to be stored fails: the folder must be no bundle, and the old one must not shine through."""
    with pytest.raises(TypeError, match="cannot be stored"):
        write(folder, replace(contents(), settings={"bad": object()}), rows(), overwrite=True)
    assert not is_bundle(folder) and not list(folder.rglob("*.tmp"))
    with pytest.raises(AnlageError, match="is not a bundle"):
        read(folder)
    assert is_bundle(make(folder)) and read(folder).settings == contents().settings


def test_an_unfinished_run_asks_to_be_resumed(tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()
    with pytest.raises(AnlageError, match="resume it"):
        read(tmp_path)
    with pytest.raises(AnlageError, match="is not a bundle"):
        read(tmp_path / "absent")


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "loc").write_text("")
    with pytest.raises(AnlageError, match="loc") as caught:
        make(tmp_path / "loc")
    one_line(caught)
