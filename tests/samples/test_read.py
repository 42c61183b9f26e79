import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from samples.good_files import ROWS, WRITERS, table

from anlage.errors import AnlageError
from anlage.samples.formats.fasta import header
from anlage.samples.read import read, read_parts, stream


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_types_of_a_csv(tmp_path: Path) -> None:
    samples = read(WRITERS["delimited"](tmp_path)[0])
    frame = samples.frame
    assert samples.id_column == "id" and list(frame.index) == [f"P{i}" for i in range(ROWS)]
    assert frame.age.dtype == np.float64 and np.isnan(frame.age["P1"]) and np.isnan(frame.age["P3"])
    assert frame.dna["P1"] == "NA"
    assert frame.sex["P2"] is None
    assert frame.flag.dtype == bool


def test_all_delimited_files_hold_the_same(tmp_path: Path) -> None:
    comma, semicolon, *others = map(read, WRITERS["delimited"](tmp_path))
    assert "semicolon" in semicolon.notes[0] and not comma.notes
    for other in (semicolon, *others):
        pd.testing.assert_frame_equal(comma.frame, other.frame)


def test_fasta_header() -> None:
    assert header("P12345 TARGET=Nucleus SET=train VALIDATION=False") == (
        "P12345",
        {"TARGET": "Nucleus", "SET": "train", "VALIDATION": "False"},
        "",
    )
    assert header("P1;TARGET=Nucleus;SET=train;") == ("P1", {"TARGET": "Nucleus", "SET": "train"}, "")
    assert header("P1 a=b=c x='two words' y=\"q;r\"")[1] == {"a": "b=c", "x": "two words", "y": "q;r"}
    assert header("P1 labels=a;b SET=test the rest") == ("P1", {"labels": "a;b", "SET": "test"}, "the rest")
    assert header("sp|P1|N Protein kinase OS=Homo sapiens OX=9606 PE=1") == (
        "sp|P1|N",
        {"OS": "Homo sapiens", "OX": "9606", "PE": "1"},
        "Protein kinase",
    )
    assert header("") == ("", {}, "")


def test_fasta_columns(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.faa", ">P1 TARGET=1.5 VALIDATION=False\nMKT\nAYI\n\n>P2 TARGET=2 VALIDATION=True\n>P3\nmk*\n"
    )
    frame = read(path).frame
    assert list(frame.columns) == ["sequence", "TARGET", "VALIDATION"]
    assert frame.sequence["P1"] == "MKTAYI" and frame.sequence["P2"] is None and frame.sequence["P3"] == "mk*"
    assert frame.TARGET["P1"] == 1.5 and frame.VALIDATION["P2"] is True and frame.VALIDATION["P3"] is None


def test_duplicate_ids_are_named_and_kept(tmp_path: Path) -> None:
    rows = "\n".join(f"P{i},{i}" for i in range(30))
    samples = read(write(tmp_path / "a.csv", f"id,x\n{rows}\nP1,99\nP1,100\n"))
    assert samples.frame.x["P1#2"] == 99 and samples.frame.x["P1#3"] == 100
    assert [p.id for p in samples.problems] == ["P1#2", "P1#3"] and not any(p.fatal for p in samples.problems)


def test_a_patient_column_called_id_is_no_row_id(data: Path) -> None:
    samples = read(data / "clinical/pbcseq.csv.gz")
    assert samples.id_column is None and "id" in samples.frame and "--group id" in samples.notes[0]


def test_ids_are_the_same_however_they_are_read(tmp_path: Path) -> None:
    frame = table().drop(columns="id")
    frame.to_csv(tmp_path / "a.csv", index=False)
    assert list(read(tmp_path / "a.csv").frame.index) == list(read(frame).frame.index) == [str(i) for i in range(ROWS)]
    assert list(read(frame.iloc[[5, 2]]).frame.index) == ["5", "2"]
    assert [i for s in stream(tmp_path / "a.csv", rows=3) for i in s.frame.index] == [str(i) for i in range(ROWS)]


def test_ragged_rows_are_named_by_line(tmp_path: Path) -> None:
    samples = read(write(tmp_path / "a.csv", 'a,b\n1,2\n3\n"x\ny",5\n4,5,6\n7,8,\n'))
    assert [p.id for p in samples.problems] == ["line 3", "line 6"] and all(p.fatal for p in samples.problems)
    assert list(samples.frame.a) == ["1", "x\ny", "7"]


def test_nearly_numeric_columns_name_the_others(tmp_path: Path) -> None:
    rows = "\n".join(f"{i},{i}" for i in range(100))
    samples = read(write(tmp_path / "a.csv", f"id,x\n{rows}\nodd,<0.1\n"))
    assert np.isnan(samples.frame.x["odd"]) and samples.problems[0].id == "odd" and "<0.1" in str(samples.problems[0])


def test_digits_that_are_text_stay_text(tmp_path: Path) -> None:
    frame = read(write(tmp_path / "a.csv", "mask,code,n\n0011,007,1_0\n1111,123,2_0\n")).frame
    assert list(frame["mask"]) == ["0011", "1111"] and frame.code.iloc[0] == "007" and frame.n.iloc[0] == "1_0"


def test_where_keeps_rows_and_says_so(tmp_path: Path) -> None:
    path = WRITERS["delimited"](tmp_path)[0]
    samples = read(path, where=("TARGET=Nucleus", "age=41|23.5"))
    assert list(samples.frame.index) == ["P0", "P2"] and "4 of 8" in samples.notes[0]
    with pytest.raises(AnlageError, match="no column TARGETS"):
        read(path, where=("TARGETS=x",))
    with pytest.raises(AnlageError, match="Nucleus"):
        read(path, where=("TARGET=nowhere",))


def test_separate_files_become_a_split(tmp_path: Path) -> None:
    path = WRITERS["delimited"](tmp_path)[0]
    samples = read_parts(path, path, path)
    assert list(samples.frame.split) == ["train"] * 8 + ["valid"] * 8 + ["test"] * 8
    assert samples.frame.index.is_unique and len(samples.problems) == 16 and "P0#3" in samples.frame.index
    assert len(samples.sources) == 3


def test_byte_order_mark_and_latin_1(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("\ufeffname,x\nMüller,1\n".encode())
    assert list(read(tmp_path / "a.csv").frame.columns) == ["name", "x"]
    (tmp_path / "b.csv").write_bytes("name,x\nMüller,1\n".encode("latin-1"))
    samples = read(tmp_path / "b.csv")
    assert samples.frame.name.iloc[0] == "Müller" and "Latin-1" in samples.notes[0] and "line 2" in samples.notes[0]


def test_old_line_ends(tmp_path: Path) -> None:
    for name, text in (("crlf.csv", b"a,b\r\n1,2\r\n3,4\r\n"), ("cr.csv", b"a,b\r1,2\r3,4\r")):
        (tmp_path / name).write_bytes(text)
        assert list(read(tmp_path / name).frame.b) == [2, 4]


def test_image_folder(tmp_path: Path) -> None:
    frame = read(WRITERS["images"](tmp_path)[0]).frame
    assert frame.index[0] == "test/cat/0.png" and Path(frame.image.iloc[0]).is_file()
    assert set(frame.label) == {"cat", "dog"} and set(frame.split) == {"train", "test"}


def test_image_folder_without_labels(tmp_path: Path) -> None:
    root = WRITERS["images"](tmp_path)[0] / "train" / "cat"
    frame = read(root).frame
    assert list(frame.columns) == ["image"] and list(frame.index) == ["0.png", "1.png"]


def test_images_beside_a_table(tmp_path: Path) -> None:
    root = WRITERS["images"](tmp_path)[0]
    frame = read(write(root / "t.csv", "image,y\ntrain/cat/0.png,1\ntrain/dog/0.png,0\n")).frame
    assert all(Path(p).is_file() for p in frame.image)


def test_medmnist(data: Path) -> None:
    samples = read(data / "images/pneumoniamnist.npz")
    counts = samples.frame.split.value_counts()
    assert (counts["train"], counts["valid"], counts["test"]) == (4708, 524, 624)
    assert samples.frame.image.iloc[0].shape == (28, 28) and samples.frame.label.dtype == np.int64


def test_wide_table_is_read_fast_enough_and_typed(data: Path) -> None:
    frame = read(data / "expression/golub.csv.gz").frame
    assert frame.shape == (72, 7132) and (frame.dtypes == np.int64).sum() == 7129


def test_dataframe_kinds() -> None:
    frame = pd.DataFrame(
        {
            "nullable": pd.array([1, None], dtype="Int64"),
            "category": pd.Categorical(["a", None]),
            "when": pd.to_datetime(["2020-01-01", None]),
            "vector": [np.zeros(3), np.ones(3)],
            "mixed": [1, "a"],
        }
    )
    out = read(frame).frame
    assert out.nullable.dtype == np.float64 and out.category.iloc[1] is None
    assert out.when.iloc[0].startswith("2020-01-01") and out.vector.iloc[1].sum() == 3
    assert list(out.mixed) == ["1", "a"]
    assert "nullable" in frame and frame.nullable.dtype == "Int64", "the user's frame is left as it was"


def test_packed_text_need_not_be_called_gz(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(gzip.compress(b"a,b\n1,2\n"))
    assert read(tmp_path / "a.csv").frame.a.iloc[0] == 1
