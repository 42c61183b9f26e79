import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch

from anlage.errors import AnlageError
from anlage.modalities.dna.modality import Dna, reverse_complement
from anlage.modalities.protein.modality import Protein
from anlage.modalities.rna.modality import Rna
from anlage.modalities.sequence_features import kmer_frequencies, kmer_names


def frame(*cells: object) -> pd.DataFrame:
    return pd.DataFrame({"seq": pd.Series(cells, index=[f"r{i}" for i in range(len(cells))], dtype=object)})


def test_check_brings_to_normal_form_and_says_so() -> None:
    checked = Protein().check(frame("mkv l\n", "M-K.V", "MK*V", "MKV*", "MXB"))
    assert checked.frame["seq"].tolist() == ["MKVL", "MKV", "MK*V", "MKV", "MXB"]
    assert not checked.problems
    said = " | ".join(checked.notes)
    for words in ("1 sequences had lower-case", "white space", "gaps", "ended in a stop", "inside", "ambiguity"):
        assert words in said


def test_check_names_what_it_cannot_use() -> None:
    checked = Protein().check(frame("MKV1L", "", "--", None, 5, "MKßV"))
    assert checked.frame["seq"].tolist() == [None] * 6
    assert [(p.id, p.fatal) for p in checked.problems] == [
        ("r0", True),
        ("r1", False),
        ("r2", False),
        ("r4", True),
        ("r5", True),
    ]
    assert "character '1' at position 4" in checked.problems[0].reason
    assert "zero-length" in checked.problems[1].reason


def test_u_and_t_are_written_the_way_of_the_molecule() -> None:
    assert Dna().check(frame("acgu")).frame["seq"].tolist() == ["ACGT"]
    assert Rna().check(frame("ACGT")).frame["seq"].tolist() == ["ACGU"]
    assert any("U → T" in note for note in Dna().check(frame("ACGU")).notes)


def test_long_sequences_keep_both_ends_and_the_check_counts_them() -> None:
    modality = Dna(max_length=5)
    assert any("1 sequences are longer than 5" in n for n in modality.check(frame("AACCGGTT", "ACGT")).notes)
    layout = modality.encode(["AACCGGTT"]).take(np.array([0]))
    assert [modality.tokens()[i] for i in layout.ids] == ["<start>", "A", "A", "C", "T", "T", "<end>"]
    assert layout.spans[1:-1, 0].tolist() == [0, 1, 2, 6, 7]


def test_max_length_must_make_sense() -> None:
    with pytest.raises(AnlageError, match="max_length"):
        Protein(max_length=1)


def test_aligned_only_where_all_training_lengths_agree() -> None:
    assert Protein().fit(frame("MKV", "MKL", None)).shape.aligned == 5
    assert Protein().fit(frame("MKV", "MK")).shape.aligned is None


def test_variant_library_is_described_by_varying_positions() -> None:
    modality = Protein().fit(frame("MKVLA", "MKVLC", "MKVLA", "MRVLA"))
    described = modality.descriptors(frame("MRVLC", "MK", None, "MKVLAAAA"))
    assert sp.issparse(described.values)
    assert described.names == ["K at 2", "R at 2", "A at 5", "C at 5"]
    assert described.values.toarray().tolist() == [[0, 1, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0], [1, 0, 1, 0]]


def test_unrelated_sequences_of_one_length_are_described_by_kmers() -> None:
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("ACGT"), 40)) for _ in range(20)]
    described = Dna().fit(frame(*texts)).descriptors(frame(*texts, "ACG", None))
    values = dict(zip(described.names, described.values[0], strict=True))
    assert values["GC content"] == pytest.approx(sum(c in "GC" for c in texts[0]) / 40)
    pairs = [texts[0][i : i + 2] for i in range(39)]
    assert values["CG"] == pytest.approx(pairs.count("CG") / 39)
    first = [texts[0][i : i + 2] for i in range(4)]
    assert values["AA in tenth 1"] == pytest.approx(first.count("AA") / 39)
    assert np.isnan(described.values[-1]).all()


def test_kmers_skip_strange_letters_and_never_span_two_sequences() -> None:
    counts = kmer_frequencies(["AANAA", "CC", "", "G"], "ACGT", 2)
    assert dict(zip(kmer_names("ACGT", 2), counts[0], strict=True))["AA"] == 1
    assert counts.sum(1).tolist() == [1, 1, 0, 0]


def test_both_strands_are_one_group() -> None:
    assert reverse_complement("AACGR") == "YCGTT"
    groups = Dna().groups(frame("AACG", "CGTT", "AACC", None))
    assert groups[0] == groups[1] != groups[2] and groups[3] == -1
    assert len(set(Rna().groups(frame("AACG", "CGUU")))) == 2


def test_reverse_complement_augmentation_turns_whole_sequences() -> None:
    modality = Dna(reverse_complement=True)
    texts = ["AACGN", "ACC", "GATTACA", "TTTTC"] * 8
    layout = modality.encode(texts).take(np.arange(len(texts)))
    turned = modality.augment(layout, torch.Generator().manual_seed(1))
    seen = set()
    for text, ids, spans in zip(
        texts, turned.ids.split(turned.lengths.tolist()), turned.spans.split(turned.lengths.tolist()), strict=True
    ):
        tokens = [modality.tokens()[i] for i in ids]
        assert tokens[0] == "<start>" and tokens[-1] == "<end>"
        letters = "".join(tokens[1:-1])
        source = "".join(text[a:b] for a, b in spans[1:-1].tolist())
        assert (letters, source) in [(text, text), (reverse_complement(text), text[::-1])]
        seen.add(letters == text)
    assert seen == {True, False}
    assert Dna().augment(layout, torch.Generator()) is layout


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("label", ["ALL", "AML"] * 20),
        ("location", ["Nucleus", "Cytoplasm", "Mitochondrion", "Membrane"] * 20),
        ("id", [f"Q{i:05d}" for i in range(40)]),
        ("drug", ["Acetylsalicylicacid", "Hydrochlorothiazide", "Methylprednisolone", "Levothyroxine"]),
        ("genotype", ["AG", "CT", "GG", "AC"] * 10),
        ("ss3", ["CCCHHHHHHHHHCCCEEEEEECCC" * 5, "CCHHHHHHHHHHCCEEEEEEEECC" * 5]),
        ("note", ["the patient was seen again", "no complaints at this time"]),
        ("value", [1.0, 2.0]),
    ],
)
def test_labels_words_and_codes_are_no_sequences(name: str, cells: list) -> None:
    for cls in (Protein, Dna, Rna):
        assert cls.recognise(name, pd.Series(cells, dtype=object)) is None


def test_dna_letters_named_rna_are_rna() -> None:
    values = pd.Series(["ACGTTGCATT", "GGCATTACGA"], dtype=object)
    named = Rna.recognise("mrna_sequence", values)
    plain = Dna.recognise("mrna_sequence", values)
    assert named and plain and named.score > plain.score
    assert Rna.recognise("sequence", values) is None


def test_real_proteins_are_recognised_and_described_in_time(data) -> None:
    table = pd.read_csv(data / "proteins" / "deeploc1.csv.gz")
    found = Protein.recognise("sequence", table["sequence"])
    assert found and "median length" in found.evidence
    assert all(Protein.recognise(c, table[c]) is None for c in ("id", "location", "split"))
    modality = Protein()
    checked = modality.check(table[["sequence"]])
    assert not checked.problems
    prepared = modality.fit(checked.frame).prepare(checked.frame)
    assert prepared.parts.sizes.max() == 1024
