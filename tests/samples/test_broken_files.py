"""At least forty broken files and rows: each gives one clear line that names the file and what to do, or names the row
and keeps the rest; never a traceback of a library."""

import gzip
import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from samples.good_files import WRITERS, table

from anlage.errors import AnlageError
from anlage.samples.read import read, read_parts

CSV = b"id,sequence,y\n" + b"".join(b"P%d,MKT,%d\n" % (i, i) for i in range(30))


def _npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def _huge_npz() -> bytes:
    """A member whose header promises 10^12 bytes."""
    text = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1000000, 1000, 1000), }"
    text += b" " * (117 - len(text)) + b"\n"
    member = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + b"\0" * 100
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("train_images.npy", member)
    return file.getvalue()


def _pickled_npz() -> bytes:
    file = io.BytesIO()
    np.savez(file, allow_pickle=True, train_images=np.array([{"a": 1}], dtype=object))
    return file.getvalue()


def _parquet() -> bytes:
    file = io.BytesIO()
    table().to_parquet(file)
    return file.getvalue()


IMAGES = np.zeros((4, 5, 5), dtype=np.uint8)
GZ = gzip.compress(CSV * 50, mtime=0)
DEEP = b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n"

FATAL: dict[str, tuple[str, bytes, str]] = {
    # what: (file name, content, a word of the message)
    "empty file": ("a.csv", b"", "empty"),
    "only white space": ("a.csv", b"\n \n\n", "empty"),
    "empty gzip": ("a.csv.gz", gzip.compress(b""), "empty"),
    "header only": ("a.csv", b"id,sequence\n", "no rows"),
    "blank lines and a header": ("a.csv", b"\n\nid,sequence\n\n", "no rows"),
    "spaces as delimiter": ("a.csv", b"id sequence y\nP1 MKT 1\nP2 MKV 0\n", "one column"),
    "colons as delimiter": ("a.csv", b"id:sequence:y\nP1:MKT:1\nP2:MKV:0\n", "one column"),
    "carets as delimiter": ("a.csv", b"id^sequence^y\nP1^MKT^1\nP2^MKV^0\n", "one column"),
    "most rows ragged": ("a.csv", b"a,b,c\n1,2\n1,2\n1,2,3\n4,5\n", "delimiter"),
    "all rows ragged": ("a.csv", b"a,b,c\n1,2\n1,2\n", "line 2"),
    "quote never closed": ("a.csv", b'a,b\n1,2\n3,"4\n5,6\n7,8\n', "line 3"),
    "100 kB of one column name": ("a.csv", b"x" * 100_000 + b",y\n1,2\n", "100,000 characters"),
    "NUL byte": ("a.csv", CSV + b"P9,M\0T,1\n", "line 32"),
    "UTF-16": ("a.csv", CSV.decode().encode("utf-16"), "UTF-16"),
    "truncated gzip": ("a.csv.gz", GZ[: len(GZ) // 2], "cut off"),
    "gzip with a changed byte": ("a.csv.gz", GZ[:40] + bytes([GZ[40] ^ 255]) + GZ[41:], "damaged"),
    "gzip without its end": ("a.csv.gz", GZ[:-6], "cut off"),
    "gzip in name alone": ("a.parquet.gz", b"not gzip", "not Parquet"),
    "gzip within gzip": ("a.csv.gz", gzip.compress(GZ), "gzip"),
    "PNG called CSV": ("a.csv", b"\x89PNG\r\n\x1a\n" + bytes(range(32)) * 40, "PNG"),
    "Excel called CSV": ("a.csv", b"PK\x03\x04" + bytes(range(32)) * 40, "Excel"),
    "Excel": ("a.xlsx", b"PK\x03\x04" + bytes(range(32)) * 40, "Excel"),
    "pickle": ("a.pkl", b"\x80\x04\x95" + bytes(range(32)) * 40, "pickle"),
    "FASTA called CSV": ("a.csv", b">P1\nMKT\n", "FASTA"),
    "CSV called FASTA": ("a.fasta", CSV, "delimited"),
    "CSV called Parquet": ("a.parquet", CSV, "delimited"),
    "Parquet called CSV": ("a.csv", _parquet(), "Parquet"),
    "truncated Parquet": ("a.parquet", _parquet()[:500], "Parquet"),
    "Parquet magic alone": ("a.parquet", b"PAR1", "Parquet"),
    "JSON array": ("a.json", b'[{"a": 1}]', "array"),
    "JSON lines of numbers": ("a.jsonl", b'{"a": 1}\n2\n3\n4\n', "JSON object"),
    "broken JSON": ("a.jsonl", b'{"a": 1\n{"a": 2\n', "line 1"),
    "JSON nested too deeply": ("a.jsonl", DEEP, "nested"),
    "FASTA header of 200 kB": ("a.fasta", b">P1 " + b"x" * 200_000 + b"\nMKT\n", "line 1"),
    "text before the first FASTA header": ("a.fasta", b"; note\nMKT\n>P1\nMKT\n", "FASTA"),
    "FASTA with a thousand attributes": (
        "a.fasta",
        b"".join(b">P%d k%d=1\nMKT\n" % (i, i) for i in range(1500)),
        "attributes",
    ),
    "npz without images": ("a.npz", _npz(x=np.zeros(3)), "train_images"),
    "npz of volumes": ("a.npz", _npz(train_images=np.zeros((2, 5, 5, 5, 1))), "2-D"),
    "npz of text": ("a.npz", _npz(train_images=np.full((2, 5, 5), "x")), "not numbers"),
    "npz with too few labels": ("a.npz", _npz(train_images=IMAGES, train_labels=np.zeros(3)), "4 images"),
    "npz with labels alone": ("a.npz", _npz(train_labels=np.zeros(3)), "train_images"),
    "npz with no image": ("a.npz", _npz(train_images=IMAGES[:0]), "no rows"),
    "npz that promises a terabyte": ("a.npz", _huge_npz(), "8 GB"),
    "npz with Python objects": ("a.npz", _pickled_npz(), "object"),
    "truncated npz": ("a.npz", _npz(train_images=IMAGES)[:100], "not readable"),
}


@pytest.mark.parametrize("what", FATAL)
def test_one_clear_line(what: str, tmp_path: Path) -> None:
    name, content, word = FATAL[what]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(AnlageError) as caught:
        read(path)
    message = str(caught.value)
    assert name in message and word in message, message
    assert "\n" not in message and len(message) < 500


CALLS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no such file": (lambda p: read(p / "absent.csv"), "no such file"),
    "empty folder": (lambda p: read(p), "no images"),
    "no such id column": (lambda p: read(_csv(p), id_column="accession"), "sequence, y"),
    "where without a value": (lambda p: read(_csv(p), where=("y",)), "COLUMN=VALUE"),
    "where that keeps nothing": (lambda p: read(_csv(p), where=("y=77",)), "no row"),
    "parts without a column in common": (lambda p: read_parts(_csv(p), WRITERS["npz"](p)[0]), "in common"),
    "missing test file": (lambda p: read_parts(_csv(p), None, p / "absent.csv"), "no such file"),
    "empty DataFrame": (lambda p: read(pd.DataFrame()), "no columns"),
    "DataFrame without rows": (lambda p: read(pd.DataFrame({"a": []})), "no rows"),
    "column twice in a DataFrame": (lambda p: read(pd.DataFrame([[1, 2]], columns=["a", "a"])), "twice"),
    "MultiIndex": (lambda p: read(pd.DataFrame({("a", "b"): [1]})), "MultiIndex"),
}


def _csv(folder: Path) -> Path:
    (folder / "good.csv").write_bytes(CSV)
    return folder / "good.csv"


@pytest.mark.parametrize("what", CALLS)
def test_wrong_calls(what: str, tmp_path: Path) -> None:
    call, word = CALLS[what]
    with pytest.raises(AnlageError, match=word) as caught:
        call(tmp_path)
    assert "\n" not in str(caught.value)


ROWS: dict[str, tuple[str, bytes, str]] = {
    # what: (file name, content with one bad row, how the problem or note names it)
    "a cell too many": ("a.csv", CSV + b"P77,MKT,1,2\n", "line 32"),
    "a cell too few": ("a.csv", CSV + b"P77,MKT\n", "line 32"),
    "text after a quote": ("a.csv", CSV + b'P77,"MK"T,1\nP78,MKT,1\n', "line 32"),
    "duplicate id": ("a.csv", CSV + b"P3,MKT,1\n", "P3#2"),
    "no id": ("a.csv", CSV + b",MKT,1\n", "row 30"),
    "a word among numbers": ("a.csv", CSV + b"".join(b"Q%d,MKT,1\n" % i for i in range(40)) + b"Q,M,many\n", "row Q,"),
    "not UTF-8": ("a.csv", CSV + "P77,MKT\xe9,1\n".encode("latin-1"), "line 32"),
    "a column name twice": ("a.csv", b"id,y,y\nP1,1,2\n", "NAME#2"),
    "broken JSON line": ("a.jsonl", b'{"a": 1}\n{"a": \n{"a": 3}\n', "line 2"),
    "JSON line that is a list": ("a.jsonl", b'{"a": 1}\n[1]\n{"a": 3}\n', "line 2"),
    "JSON number of 5,000 digits": ("a.jsonl", b'{"a": 1}\n{"a": ' + b"9" * 5000 + b'}\n{"a": 3}\n', "line 2"),
    "FASTA header without id": ("a.fasta", b">P1\nMKT\n>\nMKV\n", "line 3"),
    "FASTA id twice": ("a.fasta", b"".join(b">P%d\nMKT\n" % i for i in range(20)) + b">P1\nMKV\n", "P1#2"),
}


@pytest.mark.parametrize("what", ROWS)
def test_a_bad_row_is_named_and_the_rest_read(what: str, tmp_path: Path) -> None:
    name, content, word = ROWS[what]
    (tmp_path / name).write_bytes(content)
    samples = read(tmp_path / name)
    assert len(samples) >= 1 and samples.frame.index.is_unique
    said = [str(p) for p in samples.problems] + samples.notes
    assert len(said) == 1 and word in said[0], said


def test_values_that_are_odd_but_sound(tmp_path: Path) -> None:
    rows = [{"id": "a", "x": 10**400, "y": float("inf")}, {"id": "b", "x": 1, "y": None}]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(r) for r in rows))
    frame = read(tmp_path / "a.jsonl").frame
    assert np.isinf(frame.x["a"]) and np.isinf(frame.y["a"]) and np.isnan(frame.y["b"])


def test_there_are_at_least_forty() -> None:
    assert len(FATAL) + len(CALLS) + len(ROWS) >= 40
