"""The most similar sequence of others, and what similar means for short sequences."""

import numpy as np
import pytest
from homologues import BASES, RESIDUES, both_tools, everyone, letters, mutate, no_mmseqs, planted, quiet

from anlage.modalities.homology import mmseqs, search
from anlage.modalities.homology.hits import Threshold
from anlage.modalities.homology.letters import complement
from anlage.modalities.homology.search import near, nearest, similarity_groups
from anlage.modalities.homology.short import one_apart

# The most similar one


@both_tools
def test_nearest_is_the_best_of_those_that_count(tool: search.Tool) -> None:
    random = np.random.default_rng(11)
    row, other = random.integers(0, 20, 300), random.integers(0, 20, 250)
    close = mutate(row, 0.9, random)
    targets = [letters(mutate(row, 0.6, random)), "", letters(close), letters(other), letters(close), letters(row[:80])]
    queries = [letters(row), letters(other).lower(), letters(random.integers(0, 20, 300)), "", letters(other[50:130])]
    found = nearest(queries, targets, "protein", tool=tool, say=quiet)
    assert found.rows.tolist() == [5, 3, -1, -1, 3]  # the query's own fragment; equal; new; empty; its whole
    assert found.similarity[[0, 1, 4]].tolist() == [1, 1, 1] and np.isnan(found.similarity[[2, 3]]).all()
    if tool == "own":
        both = nearest(queries, targets, "protein", covers="both", tool=tool, say=quiet)
        assert both.rows.tolist() == [2, 3, -1, -1, -1] and 0.85 < both.similarity[0] < 0.95
        assert nearest(queries, targets, "protein", 0.95, covers="both", tool=tool, say=quiet).rows[0] == -1


def test_nearest_of_nothing() -> None:
    for queries, targets, expected in (([], ["MKV"], []), (["MKV"], [], [-1]), (["MKV", ""], ["", "mkv"], [1, -1])):
        found = nearest(queries, targets, "protein", say=quiet)
        assert found.rows.tolist() == expected and found.rows.dtype == np.int64


def test_nearest_compares_both_strands() -> None:
    random = np.random.default_rng(12)
    row = random.integers(0, 4, 80)
    targets = [letters(random.integers(0, 4, 80), BASES), complement(letters(mutate(row, 0.93, random, 4), BASES))]
    found = nearest([letters(row, BASES)], targets, "nucleotide", say=quiet)
    assert found.rows.tolist() == [1] and found.similarity[0] > 0.85


# Short sequences


@pytest.mark.parametrize(
    ("kind", "length", "tool"),
    [
        ("protein", 9, "own"),
        ("protein", 15, "own"),
        ("nucleotide", 20, "own"),
        ("nucleotide", 50, "own"),
        pytest.param("nucleotide", 20, "mmseqs", marks=no_mmseqs),
    ],
)
def test_variants_of_one_letter_are_similar(kind: search.Kind, length: int, tool: search.Tool) -> None:
    random = np.random.default_rng(length)
    alphabet = RESIDUES if kind == "protein" else BASES
    codes = random.integers(0, len(alphabet), (1, length)).repeat(30, axis=0)
    where = random.integers(0, length, 30)
    parent = codes[0].copy()
    codes[np.arange(30), where] = (codes[np.arange(30), where] + 1) % len(alphabet)
    strangers = [letters(random.integers(0, len(alphabet), length), alphabet) for _ in range(40)]
    texts = [letters(row, alphabet) for row in codes] + strangers
    groups = similarity_groups([*texts, letters(parent, alphabet)], kind, tool=tool, say=quiet)
    assert set(groups[:30]) == {groups[-1]} and len(set(groups)) == 41
    found = nearest([letters(parent, alphabet), strangers[0]], texts[:-40] + strangers[1:], kind, tool=tool, say=quiet)
    assert 0 <= found.rows[0] < 30 and found.rows[1] == -1 and found.similarity[0] >= 1 - 1 / length - 1e-3
    assert near([letters(parent, alphabet)], texts, kind, tool=tool, say=quiet).sum() >= 30


def test_one_letter_is_all_that_differs() -> None:
    random = np.random.default_rng(13)
    texts = [letters(random.integers(0, 20, n)) for n in [9] * 20 + [12] * 20]
    texts += [texts[0][:4] + "WWW" + texts[0][7:], texts[3][:8] + "AC".replace(texts[3][8], "")[0]]
    texts += [texts[3][:2] + "AC".replace(texts[3][2], "")[0] + texts[3][3:]]
    apart = [[sum(a != b for a, b in zip(s, t, strict=True)) if len(s) == len(t) else 99 for t in texts] for s in texts]
    pairs = one_apart(texts, "protein", Threshold(0.3, 0.8, "both", 1))
    found = set(zip(pairs.query.tolist(), pairs.target.tolist(), strict=True))
    assert found == {(i, j) for i, j in everyone(texts).tolist() if apart[i][j] == 1} and (3, 42) in found
    assert not len(one_apart(texts, "protein", Threshold(0.95, 0.8, "both", 1)))  # 8 of 9 are 89 %
    everything = ["".join(row) for row in np.stack(np.meshgrid(*[list("ACGT")] * 4), -1).reshape(-1, 4)]
    assert not len(one_apart(everything, "nucleotide", Threshold(0.3, 0.8, "both", 1)))  # chance makes neighbours here


def test_few_sequences_do_not_wait_for_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mmseqs, "find", lambda: pytest.fail("MMseqs2 was asked for"))
    said: list[str] = []
    assert len(set(similarity_groups(planted(4, seed=1), "protein", say=said.append))) < 20
    assert not said
