"""Planted homologues are found, by MMseqs2 and without it; what is alike is never apart, however large the family."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from homologues import BASES, RESIDUES, both_tools, everyone, letters, mutate, planted, quiet

from anlage.errors import AnlageError
from anlage.modalities import lookup
from anlage.modalities.homology import linkage, mmseqs, search, sketches
from anlage.modalities.homology.hits import Hits, Threshold
from anlage.modalities.homology.letters import complement
from anlage.modalities.homology.search import near, similar_pairs, similarity_groups


def global_identity(texts: list[str], pairs: np.ndarray) -> np.ndarray:
    """[pairs] equal letters over columns of the best global alignment (match 2, mismatch -1, gap -2), by plain dynamic
    programming over all pairs at once: the reference, which shares nothing with what it judges."""
    longest = max(map(len, texts))
    codes = np.array([[ord(c) for c in t.ljust(longest, "\0")] for t in texts])
    length = np.array([len(t) for t in texts])
    left, right = codes[pairs[:, 0]], codes[pairs[:, 1]]
    first, second = length[pairs[:, 0]], length[pairs[:, 1]]
    equal, other, gap = 2 * 1000 + 1, -1 * 1000, -2 * 1000  # score and number of equal letters in one integer
    edge = np.arange(longest + 1) * gap
    above = np.tile(edge, (len(pairs), 1))
    total = np.zeros(len(pairs), dtype=np.int64)
    for i in range(1, longest + 1):
        row = np.empty_like(above)
        row[:, 0] = i * gap
        diagonal = above[:, :-1] + np.where(left[:, i - 1 : i] == right, equal, other)
        row[:, 1:] = np.maximum(diagonal, above[:, 1:] + gap)
        above = np.maximum.accumulate(row - edge, axis=1) + edge
        total[first == i] = above[first == i, second[first == i]]
    score, matches = np.divmod(total, 1000)
    both = first + second
    mismatches = (score + 2 * both - 6 * matches) / 3
    return matches / (both - matches - mismatches)


def found_among(pairs: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """[pairs] bool: which stand in ``rows``."""
    have = set(map(tuple, rows.tolist()))
    return np.array([tuple(p) in have for p in pairs.tolist()], dtype=bool)


def test_the_reference_aligns() -> None:
    texts = ["ACDEFG", "ACDEFG", "ACDFG", "ACKEFG"]
    pairs = np.array([[0, 1], [0, 2], [0, 3]])
    assert global_identity(texts, pairs).tolist() == [1, 5 / 6, 5 / 6]


# Recall and precision


@pytest.fixture(scope="module")
def judged() -> tuple[list[str], np.ndarray, np.ndarray]:
    """Sequences, all pairs of them, and the exact identity of each."""
    texts = planted(14, seed=0)
    return texts, everyone(texts), global_identity(texts, everyone(texts))


@both_tools
def test_planted_homologues_are_found(tool: search.Tool, judged: tuple[list[str], np.ndarray, np.ndarray]) -> None:
    texts, pairs, exact = judged
    found = similar_pairs(texts, "protein", 0.3, tool=tool, say=quiet)
    assert (exact >= 0.4).sum() > 40
    assert found_among(pairs, found.rows)[exact >= 0.4].mean() >= {"mmseqs": 0.99, "own": 0.95}[tool]
    assert (exact[found_among(pairs, found.rows)] >= 0.28).mean() >= 0.95
    high = similar_pairs(texts, "protein", 0.9, tool=tool, say=quiet) if tool == "own" else found
    wanted = found_among(pairs, high.rows[high.identity >= 0.9])
    assert (exact[wanted] > 0.85).all() and wanted[exact > 0.92].all()


@both_tools
def test_promoters_are_found_on_both_strands(tool: search.Tool) -> None:
    random = np.random.default_rng(1)
    texts = []
    for _ in range(20):
        ancestor = random.integers(0, 4, 200)
        texts += [letters(ancestor, BASES), letters(mutate(ancestor, 0.9, random, 4), BASES)]
        texts += [complement(letters(mutate(ancestor, 0.85, random, 4), BASES)).replace("T", "U").lower()]
        texts += [letters(random.integers(0, 4, 200), BASES)]
    group = similarity_groups(texts, "nucleotide", 0.75, tool=tool, say=quiet).reshape(20, 4)
    assert (group[:, 0] == group[:, 1]).mean() >= 0.95 and (group[:, 0] == group[:, 2]).mean() >= 0.95
    assert len(set(group[:, [0, 3]].ravel())) == 40


# Groups


@both_tools
def test_a_link_beyond_a_list_that_is_full_is_found(tool: search.Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two families of twelve, joined by one pair that ranks below eleven closer relatives of both."""
    random = np.random.default_rng(2)
    one = random.integers(0, 20, 300)
    first = [mutate(one, 0.8, random) for _ in range(12)]
    other = mutate(first[7], 0.56, random)
    second = [other, *(mutate(other, 0.8, random) for _ in range(11))]
    texts = [letters(s) for s in first + second]
    pairs = similar_pairs(texts, "protein", 0.5, tool="own", say=quiet).rows
    across = pairs[(pairs[:, 0] < 12) & (pairs[:, 1] >= 12)]
    assert across.tolist() == [[7, 12]]
    engine = mmseqs.Mmseqs if tool == "mmseqs" else sketches.Sketches
    monkeypatch.setattr(engine, "limit", 4)
    monkeypatch.setattr(sketches, "_BEST", 4)
    assert set(similarity_groups(texts, "protein", 0.5, tool=tool, say=quiet)) == {0}


@pytest.mark.parametrize("limit", [1, 2, 4, 8, 500])
def test_groups_are_the_components_of_all_pairs(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    texts = planted(6, seed=3)
    for start in (0, 5, 10):  # near-copies, so that some sequences are searched by their heads alone
        codes = np.searchsorted(RESIDUES, list(texts[start]))
        texts += [letters(mutate(codes, 0.98, random)) for _ in range(8)]
    pairs = similar_pairs(texts, "protein", 0.35, tool="own", say=quiet).rows
    label = np.arange(len(texts))
    for _ in texts:
        for i, j in pairs:
            label[[i, j]] = label[[i, j]].min()
    monkeypatch.setattr(sketches.Sketches, "limit", limit)
    monkeypatch.setattr(sketches, "_BEST", limit)
    groups = similarity_groups(texts, "protein", 0.35, tool="own", say=quiet)
    assert (groups == np.unique(label, return_inverse=True)[1]).all()
    back = random.permutation(len(texts))
    again = similarity_groups([texts[i] for i in back], "protein", 0.35, tool="own", say=quiet)
    together = groups[:, None] == groups
    assert (together[np.ix_(back, back)] == (again[:, None] == again)).all()
    assert again[0] == 0 and (np.diff(np.unique(again, return_index=True)[1]) > 0).all()


def test_a_near_copy_links_where_its_head_does_not() -> None:
    random = np.random.default_rng(4)
    member = random.integers(0, 20, 200)
    far = mutate(member, 0.51, random)
    head = member.copy()
    lost = random.choice(np.flatnonzero(member[20:-20] == far[20:-20]) + 20, 8, replace=False)
    head[lost] = (head[lost] + 1) % 20
    texts = [letters(head) + "W", letters(member), letters(far)]
    pairs = similar_pairs(texts, "protein", 0.0, tool="own", say=quiet)
    near_copy, head_far, member_far = pairs.identity
    assert near_copy > 0.95 and head_far < member_far
    between = (head_far + member_far) / 2
    assert similarity_groups(texts, "protein", between, tool="own", say=quiet).tolist() == [0, 0, 0]
    assert similarity_groups(texts, "protein", member_far + 0.01, tool="own", say=quiet).tolist() == [0, 0, 1]


@both_tools
def test_near_copies_are_found_in_linear_time(tool: search.Tool) -> None:
    random = np.random.default_rng(9)
    parent = random.integers(0, 20, 200)
    texts = [letters(parent) + "W", *(letters(mutate(parent, i, random)) for i in [0.98] * 20 + [0.85] * 5)]
    program = mmseqs.find() if tool == "mmseqs" else None
    engine = mmseqs.Mmseqs(program[0], texts, "protein", 1) if program else sketches.Sketches(texts, "protein", 1)
    heads = linkage._heads(engine.copies(Threshold(0.95, 0.95, "both", 5000)), len(texts))
    if isinstance(engine, mmseqs.Mmseqs):
        engine.close()
    assert (heads[:21] == 0).sum() >= 19 and (heads[21:] == np.arange(21, 26)).all()


def test_a_head_stands_for_its_direct_copies_alone() -> None:
    ends = np.array([[0, 1], [1, 2], [2, 3], [0, 3]])
    ones = np.ones(len(ends))
    copies = Hits(ends[:, 0], ends[:, 1], ones, ones, ones, ones)
    assert linkage._heads(copies, 5).tolist() == [0, 0, 2, 0, 4]


# What to keep out of a corpus


@both_tools
def test_what_is_near_evaluation_rows(tool: search.Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(5)
    row = random.integers(0, 20, 300)
    filler = letters(random.integers(0, 20, 400))
    corpus = {
        "relative": letters(mutate(row, 0.5, random)),
        "fragment": letters(row[40:120]),
        "holds all of it": filler[:200] + letters(mutate(row, 0.6, random)) + filler[200:],
        "shares a domain": letters(row[:120]) + filler,
        "unrelated": letters(random.integers(0, 20, 300)),
        "equal, but short": "MKV",
        "short": "MKL",
        "empty": "",
    }
    rows = [letters(row), "MKV*", letters(random.integers(0, 20, 100))]
    found = near(rows, list(corpus.values()), "protein", tool=tool, say=quiet)
    assert [name for name, is_near in zip(corpus, found, strict=True) if is_near] == [
        "relative", "fragment", "holds all of it", "equal, but short",
    ]  # fmt: skip
    if tool == "own":
        both = near(rows, list(corpus.values()), "protein", covers="both", tool=tool, say=quiet)
        assert both.nonzero()[0].tolist() == [0, 5]
        domain = near(rows, list(corpus.values()), "protein", coverage=0.0, tool=tool, say=quiet)
        assert domain.nonzero()[0].tolist() == [0, 1, 2, 3, 5]
        for limit in (1, 2):  # every relative is found, whatever the length of a list
            monkeypatch.setattr(sketches.Sketches, "limit", limit)
            monkeypatch.setattr(sketches, "_BEST", limit)
            many = [letters(mutate(row, 0.7, random)) for _ in range(9)]
            assert near(rows, many, "protein", tool=tool, say=quiet).all()


def test_nothing_is_near_nothing() -> None:
    assert near([], ["MKVLA"], "protein", say=quiet).tolist() == [False]
    assert near(["MKVLA"], [], "protein", say=quiet).tolist() == []
    assert near(["mkvla"], ["MKVLA*", "MKVL"], "protein", tool="own", say=quiet).tolist() == [True, False]


# Odd sequences


@both_tools
def test_odd_sequences(tool: search.Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mmseqs, "_SMALL", 0)  # the k-mers of large collections
    random = np.random.default_rng(6)
    text = letters(random.integers(0, 20, 120))
    odd = text[:50] + "XU*\n>" + text[53:].lower()
    texts = [
        "",
        "M",
        "m",
        "MK",
        "XXXXXXXXXX",
        text,
        odd,
        "",
        "O",
        text + "*",
        "\u00e9" * 30,
        "A" * 30,
        "MKVLAAGIVG" * 2,
    ]
    groups = similarity_groups(texts, "protein", tool=tool, say=quiet)
    assert groups.tolist() == [-1, 0, 0, 1, 2, 3, 3, -1, 4, 3, 5, 6, 7]
    if tool == "own":
        pairs = similar_pairs(texts, "protein", tool=tool, say=quiet)
        assert pairs.rows.tolist() == [[1, 2], [5, 6], [5, 9], [6, 9]]
        assert pairs.identity[[0, 2]].tolist() == [1, 1] and 0.9 < pairs.identity[1] < 1


def test_few_sequences_need_no_search() -> None:
    said: list[str] = []
    for texts, expected in (([], []), (["MKV"], [0]), (["MKV", "mkv*", ""], [0, 0, -1])):
        groups = similarity_groups(texts, "protein", say=said.append)
        assert groups.tolist() == expected and groups.dtype == np.int64
    assert similar_pairs([], "nucleotide", say=said.append).rows.shape == (0, 2)
    assert similar_pairs(["AACG", "CGUU"], "nucleotide", say=said.append).rows.tolist() == [[0, 1]]
    assert not said


def test_equal_rows_are_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(7)
    one, other = random.integers(0, 20, 100), random.integers(0, 20, 100)
    texts = [letters(one), letters(other), letters(mutate(one, 0.8, random)), letters(one), letters(one)]
    pairs = similar_pairs(texts, "protein", tool="own", say=quiet)
    assert pairs.rows.tolist() == [[0, 2], [0, 3], [0, 4], [2, 3], [2, 4], [3, 4]]
    assert (pairs.identity == 1).tolist() == [False, True, True, False, False, True]
    monkeypatch.setattr(search, "_MOST_PAIRS", 2)
    for some in (texts, [texts[0], texts[2], letters(mutate(one, 0.8, random))]):
        with pytest.raises(AnlageError, match="3 pairs of rows are similar, .* similarity_groups"):
            similar_pairs(some, "protein", tool="own", say=quiet)


# Errors and notes


def test_what_the_user_can_mend() -> None:
    for options, message in (
        ({"kind": "rna"}, "kind 'rna': give 'protein' or 'nucleotide'"),
        ({"identity": 30}, r"identity 30: give a share from 0 to 1 \(0.3 for 30 %\)"),
        ({"coverage": -1}, "coverage -1"),
        ({"covers": "one"}, "covers 'one'"),
        ({"tool": "blast"}, "tool 'blast'"),
        ({"sequences": ["MKV", None]}, "sequence 1 is NoneType"),
    ):
        with pytest.raises(AnlageError, match=message):
            similar_pairs(**{"sequences": ["MKV", "MKL"], "kind": "protein", "say": quiet, **options})


def test_without_mmseqs_the_own_search_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mmseqs, "find", lambda: None)
    said: list[str] = []
    random = np.random.default_rng(8)
    texts = [letters(random.integers(0, 20, 6000)), letters(random.integers(0, 20, 50))]
    assert similarity_groups(texts, "protein", say=said.append).tolist() == [0, 1]
    assert "comparing 2 distinct protein sequences at 30% identity, 80% coverage with k-mers and pyopal" in said[0]
    assert "pip install 'anlage[homology]'" in said[1] and said[2].startswith("1 sequences are compared by their first")
    with pytest.raises(AnlageError, match="no MMseqs2 that runs here"):
        similarity_groups(texts, "protein", tool="mmseqs", say=quiet)
    monkeypatch.setitem(sys.modules, "pyopal", None)
    with pytest.raises(AnlageError, match="needs MMseqs2 or pyopal: pip install"):
        similarity_groups(texts, "protein", say=quiet)


def test_a_program_that_fails_is_reported_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "mmseqs"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\n[ "$1" = version ] && echo 99 && exit 0\necho reading\necho "no room" >&2\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    folder = tmp_path / "files"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    said: list[str] = []
    with pytest.raises(AnlageError, match=r"^mmseqs createdb failed: no room \(.* GB are free in .*\)$"):
        similarity_groups(["MKVLA", "MKVLG"], "protein", tool="mmseqs", say=said.append)
    assert "MMseqs2 99" in said[0] and not list(folder.iterdir())
    program.write_text("#!/bin/sh\nkill -ILL $$\n")  # built for a processor with more instructions
    other = mmseqs.find()
    assert other is None or other[0] != str(program)


def test_short_sequences_must_be_more_than_chance() -> None:
    wanted = Threshold(0.3, 0.8, "both", residues=100_000)
    ones = np.ones(2)
    hits = Hits(np.array([0, 0]), np.array([1, 1]), ones, ones, ones, np.array([31.0, 33.0]))
    assert wanted.holds(hits, np.array([40, 50])).tolist() == [False, True]  # log2(40 * 1e5 / 0.001) = 31.9


def test_it_is_no_modality_and_needs_no_torch() -> None:
    assert "homology" not in lookup.names()
    code = (
        "import sys, anlage.modalities.homology.search as s; print('torch' in sys.modules or 'pyopal' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
