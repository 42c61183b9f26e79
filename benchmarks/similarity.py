"""Groups of similar proteins: how long, how much memory, and does anything that is alike lie in two groups.

    python benchmarks/similarity.py groups --fasta ../shared/data/corpus/proteins.fasta.gz --size 100000
    python benchmarks/similarity.py planted --fasta ../shared/data/corpus/proteins.fasta.gz --families 200

`groups`: groups proteins of the files at 30 % identity and 80 % coverage of both, draws a split in which groups stay
together and one of rows alone, and aligns a sample of queries with a sample of all others, every pair, without any
search: how many pairs above the threshold lie in two groups, and across either split. A peer's split of the same
proteins (write them with --write) is measured on the same pairs: --peer NAME=FILE, a CSV of id and part; proteins that
are not in it count as removed.

`planted`: of shuffled proteins (real lengths and composition, no kin) makes relatives at 95, 70 and 40 % identity, with
insertions and deletions; recall among pairs of at least 40 % identity in an exact global alignment, and precision, for
MMseqs2 and for anlage's own search.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from homology import memory, read, timed  # the script beside this one

from anlage.modalities.homology import letters, mmseqs
from anlage.modalities.homology.alignment import Aligner
from anlage.modalities.homology.hits import Hits, Threshold
from anlage.modalities.homology.search import similar_pairs, similarity_groups

IDENTITY, COVERAGE = 0.3, 0.8


def exhaustive(texts: list[str], queries: np.ndarray, targets: np.ndarray) -> Hits:
    """Every pair of a query with a target above the threshold, by exact alignment of all of them."""
    plain = letters.plain(texts, "protein")
    least = Threshold(IDENTITY, COVERAGE, "both", sum(map(len, plain)))
    aligner = Aligner(plain, "protein")
    found = [aligner.align(i, plain[i], targets[targets != i], least) for i in queries.tolist()]
    return Hits.join(found)


def groups(options: argparse.Namespace) -> None:
    """Time, memory, and what lies apart though it is alike."""
    texts = list(dict.fromkeys(text for path in options.fasta for text in read(path)))
    random = np.random.default_rng(options.seed)
    texts = [texts[i] for i in random.permutation(len(texts))[: options.size]]
    lengths = np.array([len(text) for text in texts])
    print(f"{len(texts):,} proteins, length {np.median(lengths):.0f} (median), {lengths.sum():,} residues")
    if options.write:
        options.write.write_text("".join(f">{i}\n{text}\n" for i, text in enumerate(texts)))
    label, processor, wall = timed(lambda: similarity_groups(texts, "protein", IDENTITY, COVERAGE))
    sizes = np.bincount(label)
    print(
        f"groups: {len(sizes):,}, the largest of {sizes.max():,}; {processor:.0f} processor s, {wall:.0f} s; {memory()}"
    )
    order = random.permutation(len(sizes))
    tested = np.zeros(len(sizes), dtype=bool)
    tested[order[: np.searchsorted(np.cumsum(sizes[order]), 0.2 * len(texts))]] = True
    splits = {"grouped": tested[label].astype(str), "of rows alone": (random.random(len(texts)) < 0.2).astype(str)}
    for name, file in (word.split("=", 1) for word in options.peer):
        table = pd.read_csv(file)
        part = pd.Series(table.iloc[:, 1].astype(str).to_numpy(), index=table.iloc[:, 0].astype(int))
        splits[name] = part.reindex(range(len(texts))).to_numpy(dtype=object)
    queries = random.permutation(len(texts))[: options.queries]
    targets = random.permutation(len(texts))[: options.targets]
    (hits, processor, _) = timed(lambda: exhaustive(texts, queries, targets))
    print(f"{len(queries):,} x {len(targets):,} pairs aligned, {processor:.0f} processor s: {len(hits):,} hits")
    apart = hits[label[hits.query] != label[hits.target]]
    print(
        f"in two groups: {len(apart)}, of identity {', '.join(f'{i:.3f}' for i in np.sort(apart.identity)[::-1][:20])}"
    )
    for name, part in splits.items():
        kept = ~pd.isna(part)
        across = kept[hits.query] & kept[hits.target] & (part[hits.query] != part[hits.target])
        print(f"split {name}: {int(across.sum())} pairs across, {int(kept.sum()):,} proteins kept")


def family(parent: str, random: np.random.Generator) -> list[str]:
    """The parent and relatives of about 95, 70 and 40 % identity, each with a deletion and an insertion."""
    residues = np.array(list("ACDEFGHIKLMNPQRSTVWY"))
    out = [parent]
    for identity in (0.95, 0.7, 0.42):
        codes = np.array(list(parent))
        changed = random.random(len(codes)) > identity
        codes[changed] = random.choice(residues, int(changed.sum()))
        cut, into = random.integers(10, len(codes) - 10, 2)
        codes = np.insert(np.delete(codes, slice(cut, cut + random.integers(1, 4))), into, random.choice(residues, 2))
        out.append("".join(codes))
    return out


def planted(options: argparse.Namespace) -> None:
    """Recall and precision of both tools against exact alignment and against what was planted."""
    import pyopal

    random = np.random.default_rng(options.seed)
    real = [text for path in options.fasta for text in read(path) if 80 <= len(text) <= 1000]
    chosen = random.choice(len(real), 2 * options.families, replace=False)
    parents = ["".join(random.permutation(list(real[i].upper()))) for i in chosen]
    texts = [text for parent in parents[: options.families] for text in family(parent, random)]
    texts += parents[options.families :]  # as many that are kin to none
    kin = np.repeat(np.arange(2 * options.families), [4] * options.families + [1] * options.families)
    pairs = np.array(
        [(i, j) for i in range(len(texts)) for j in range(i + 1, min(i + 4, len(texts))) if kin[i] == kin[j]]
    )
    aligner = pyopal.Aligner("BLOSUM62", gap_open=12, gap_extend=1)
    identity = np.empty(len(pairs))
    plain = letters.plain(texts, "protein")
    for number, (i, j) in enumerate(pairs.tolist()):
        database = pyopal.Database([plain[j]], alphabet=aligner.alphabet)
        path = aligner.align(plain[i], database, mode="full", algorithm="nw")[0].alignment
        identity[number] = path.count("M") / len(path)
    print(f"{len(texts):,} proteins, {len(pairs):,} related pairs, of which {(identity >= 0.4).sum():,} have >= 40 %")
    for tool in ("mmseqs", "own"):
        found, processor, _ = timed(lambda by=tool: similar_pairs(texts, "protein", IDENTITY, COVERAGE, tool=by))
        have = set(map(tuple, found.rows.tolist()))
        held = np.array([tuple(pair) in have for pair in pairs.tolist()])
        recall = [
            f"{low:.0%}-{high:.0%}: {held[some].sum()} of {some.sum()}"
            for low, high in ((0.3, 0.4), (0.4, 0.6), (0.6, 0.9), (0.9, 1.0))
            if (some := (identity >= low) & (identity < high)).any()
        ]
        related = (kin[found.rows[:, 0]] == kin[found.rows[:, 1]]).mean()
        print(f"{tool}: recall at >= 40 % {held[identity >= 0.4].mean():.4f} ({'; '.join(recall)})")
        print(f"{tool}: precision {related:.4f} of {len(found.rows):,} pairs; {processor:.0f} processor s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["groups", "planted"])
    parser.add_argument("--fasta", type=Path, nargs="+", required=True)
    parser.add_argument("--size", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=200, help="aligned with every one of --targets")
    parser.add_argument("--targets", type=int, default=20_000)
    parser.add_argument("--families", type=int, default=200)
    parser.add_argument("--write", type=Path, help="the proteins as FASTA, named by their numbers, for a peer")
    parser.add_argument("--peer", nargs="*", default=[], help="NAME=FILE: a peer's split, a CSV of id and part")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"MMseqs2 {mmseqs.find()}, start {time.strftime('%F %T')}")
    {"groups": groups, "planted": planted}[options.what](options)


if __name__ == "__main__":
    main()
