"""What a corpus learns from and what is left out."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from corpus.examples import fasta, texts

from anlage.config import merge
from anlage.corpus.corpus import Corpus, MemoryCorpus, StoredCorpus, gather
from anlage.corpus.settings import CorpusSettings
from anlage.corpus.values import SEEN, hashes, seen_file, seen_rows, text_hashes
from anlage.errors import AnlageError
from anlage.modalities.image.modality import Image
from anlage.modalities.protein.modality import Protein
from anlage.pretrain_settings import PretrainSettings


def settings(**options: object) -> CorpusSettings:
    return merge(PretrainSettings(), options).data


def collect(source: Path | pd.DataFrame, cache: Path, lines: list[str] | None = None, **options: object) -> Corpus:
    return gather(source, settings(**options), cache, (lines if lines is not None else []).append)


def kept(corpus: Corpus) -> list[str]:
    assert isinstance(corpus, StoredCorpus)
    whole = corpus.store.parts.texts(corpus.item.modality.tokens())
    return [text for text, keep in zip(whole, corpus.kept, strict=True) if keep]


@pytest.fixture
def sequences(tmp_path: Path) -> list[str]:
    found = texts(100, 20, 60)
    fasta(tmp_path / "corpus.fasta", found)
    return found


def test_rows_of_excluded_tables_are_left_out(tmp_path: Path, sequences: list[str]) -> None:
    table = tmp_path / "judged.csv"
    pd.DataFrame({"protein": [*sequences[:10], texts(1, seed=9)[0], sequences[3].lower()], "y": 1}).to_csv(table)
    lines: list[str] = []
    corpus = collect(tmp_path / "corpus.fasta", tmp_path, lines, exclude=str(table))
    assert kept(corpus) == sequences[10:] and corpus.facts["excluded"] == 10
    assert any("excluded: 10 values" in line and "all 12 rows of column protein" in line for line in lines)
    whole = collect(tmp_path / "corpus.fasta", tmp_path)
    assert kept(whole) == sequences and "excluded" not in whole.facts


def test_of_a_table_with_a_split_only_its_held_out_parts_count(tmp_path: Path, sequences: list[str]) -> None:
    table = tmp_path / "judged.csv"
    split = ["train"] * 5 + ["valid"] * 3 + ["test"] * 4 + ["setHARD"] * 2
    pd.DataFrame({"protein": sequences[:14], "split": split}).to_csv(table, index=False)
    lines: list[str] = []
    corpus = collect(tmp_path / "corpus.fasta", tmp_path, lines, exclude=str(table))
    assert kept(corpus) == sequences[:5] + sequences[14:]  # what names no part is left out, too
    assert any("the valid and test part by its column split" in line for line in lines)
    only_test = collect(tmp_path / "corpus.fasta", tmp_path, exclude=str(table), exclude_parts="test")
    assert kept(only_test) == sequences[:8] + sequences[14:]
    everything = collect(
        tmp_path / "corpus.fasta", tmp_path, exclude=str(table), exclude_parts=("train", "valid", "test")
    )
    assert kept(everything) == sequences[14:]


def test_the_excluded_column_is_found_or_asked_for(tmp_path: Path, sequences: list[str]) -> None:
    two = tmp_path / "pairs.csv"
    pd.DataFrame({"heavy": sequences[:20], "light": sequences[20:40], "y": range(20)}).to_csv(two, index=False)
    with pytest.raises(AnlageError, match="several columns of protein: name one of heavy, light"):
        collect(tmp_path / "corpus.fasta", tmp_path, exclude=str(two))
    corpus = collect(tmp_path / "corpus.fasta", tmp_path, exclude=f"{two}:light")
    assert kept(corpus) == sequences[:20] + sequences[40:]
    both = collect(tmp_path / "corpus.fasta", tmp_path, exclude=[f"{two}:light", f"{two}:heavy"])
    assert kept(both) == sequences[40:] and both.facts["excluded"] == 40
    for exclude, message in ((f"{two}:dark", "no column 'dark'"), (str(tmp_path / "none.csv"), "no such file")):
        with pytest.raises(AnlageError, match=message):
            collect(tmp_path / "corpus.fasta", tmp_path, exclude=exclude)
    numbers = tmp_path / "numbers.csv"
    pd.DataFrame({"a": range(30)}).to_csv(numbers, index=False)
    with pytest.raises(AnlageError, match="no column of protein"):
        collect(tmp_path / "corpus.fasta", tmp_path, exclude=str(numbers))


def test_what_is_similar_to_an_excluded_row_is_left_out_too(tmp_path: Path) -> None:
    sequences = texts(40, 120, 160)
    rng = np.random.default_rng(1)
    cousin = "".join(c if rng.random() < 0.7 else rng.choice(list("ACDEFGHIKLMNPQRSTVWY")) for c in sequences[0])
    fasta(tmp_path / "corpus.fasta", [*sequences, cousin])
    fasta(tmp_path / "judged.fasta", [sequences[0]])
    options = {"exclude": str(tmp_path / "judged.fasta"), "exclude_identity": 0.5}
    lines: list[str] = []
    corpus = collect(tmp_path / "corpus.fasta", tmp_path, lines, **options)
    assert kept(corpus) == sequences[1:]
    assert any("1 values" in line and "1 that are similar from 50% identity on" in line for line in lines)
    told: list[str] = []
    assert kept(collect(tmp_path / "corpus.fasta", tmp_path, told, **options)) == sequences[1:]
    assert not any("comparing" in line for line in told)  # found before, kept beside the store
    assert kept(collect(tmp_path / "corpus.fasta", tmp_path, exclude=options["exclude"])) == [*sequences[1:], cousin]


def test_wrong_exclusions_are_named() -> None:
    for options, message in (
        ({"exclude_identity": 30.0, "exclude": "x"}, "--exclude-identity 30.0"),
        ({"exclude_identity": 0.3}, "--exclude FILE"),
        ({"exclude_parts": "dev"}, "--exclude-parts dev"),
    ):
        with pytest.raises(AnlageError, match=message):
            settings(**options)


def test_only_rows_of_a_kind(tmp_path: Path, sequences: list[str]) -> None:
    assert kept(collect(tmp_path / "corpus.fasta", tmp_path, where="kind=b")) == sequences[1::2]
    for where, message in (("kind=z", "no row has it"), ("kin=b", "no column kin"), ("kind", "write COLUMN=VALUE")):
        with pytest.raises(AnlageError, match=message):
            collect(tmp_path / "corpus.fasta", tmp_path, where=where)


def test_one_column_is_learned_from_and_the_choice_is_told(tmp_path: Path, sequences: list[str]) -> None:
    path = tmp_path / "corpus.csv"
    pd.DataFrame({"heavy": sequences[:50], "light": sequences[50:], "n": range(50)}).to_csv(path, index=False)
    with pytest.raises(AnlageError, match="name it with --input; there are heavy .protein., light .protein."):
        collect(path, tmp_path)
    lines: list[str] = []
    corpus = collect(path, tmp_path, lines, input="light")
    assert kept(corpus) == sequences[50:] and "input light: protein" in lines[0]
    frame = collect(pd.read_csv(path), tmp_path, input="light")
    assert kept(frame) == kept(corpus)


def test_too_small_a_corpus_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnlageError, match="19 distinct values are left to learn from: 20 at least"):
        collect(fasta(tmp_path / "a.fasta", texts(19) * 5), tmp_path)


def records(count: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(count, 3)), columns=list("abc"))
    return frame.assign(kind=rng.choice(["x", "y"], count))


def test_records_and_images_are_held_in_memory(tmp_path: Path) -> None:
    frame = pd.concat([records(), records().iloc[:5]], ignore_index=True)
    records().iloc[50:].to_csv(tmp_path / "judged.csv", index=False)
    corpus = collect(frame, tmp_path, exclude=str(tmp_path / "judged.csv"))
    assert isinstance(corpus, MemoryCorpus)
    assert corpus.facts["duplicates"] == 5 and corpus.kept.sum() == 50 and corpus.facts["excluded"] == 10
    corpus.fit(np.arange(20))
    prepared, rows = corpus.prepare()
    assert np.array_equal(rows, np.arange(50)) and len(prepared.index) == 50
    mean = corpus.item.modality.state["mean"]
    np.testing.assert_allclose(mean, records().iloc[:20][list("abc")].mean(), rtol=1e-6)  # the training rows' alone
    with pytest.raises(AnlageError, match="compares sequences, not record"):
        collect(frame, tmp_path, exclude=str(tmp_path / "judged.csv"), exclude_identity=0.5)
    cells = list(np.random.default_rng(0).integers(0, 256, (30, 8, 8), dtype=np.uint8))
    pictures = pd.DataFrame({"scan": pd.Series([*cells, cells[0]], dtype=object)})
    images = collect(pictures, tmp_path)
    assert images.facts["duplicates"] == 1 and images.item.modality.name == "image"


def test_seen_values_are_found_again(tmp_path: Path) -> None:
    sequences = texts(50)
    (tmp_path / SEEN).write_bytes(seen_file(text_hashes(sequences[:20])))
    raw = pd.DataFrame({"x": [sequences[3].lower(), sequences[30], None, sequences[19] + "*"]})
    checked = Protein().check(raw).frame
    assert seen_rows(tmp_path, Protein(), checked).tolist() == [True, False, False, True]
    assert not seen_rows(tmp_path / "elsewhere", Protein(), checked).any()
    (tmp_path / SEEN).write_bytes(b"nonsense")
    with pytest.raises(AnlageError, match="not readable"):
        seen_rows(tmp_path, Protein(), checked)


def test_what_is_no_text_is_known_by_what_an_encoder_sees() -> None:
    cells = list(np.random.default_rng(0).integers(0, 256, (6, 8, 8), dtype=np.uint8))
    frame = pd.DataFrame({"scan": pd.Series([*cells, cells[2], None], dtype=object)})
    modality = Image().fit(frame)
    found, known = hashes(modality, frame)
    assert known.tolist() == [True] * 7 + [False]
    assert found[2] == found[6] and len(set(found[:6].tolist())) == 6
