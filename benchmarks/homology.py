"""Time, memory and agreement of the search for similar proteins: MMseqs2 beside anlage's own search.

    python benchmarks/homology.py --fasta ../shared/data/corpus/proteins.fasta.gz --sizes 2000 5000 10000 --own 5000

Random samples of the file, 30 % identity, 80 % coverage of both. Prints, for each size, processor seconds, wall
seconds, the peak memory and the number of groups; for the sizes up to --own also those of anlage's own search, and for
the smallest how many pairs of each tool the other one finds, by identity. From three or more sizes it extrapolates the
processor seconds, fixed + linear + quadratic, to 100,000 proteins.
"""

import argparse
import gzip
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from anlage.modalities.homology import mmseqs
from anlage.modalities.homology.search import Pairs, similar_pairs, similarity_groups


def read(path: Path) -> list[str]:
    """The sequences of a FASTA file."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else open(path) as file:
        return ["".join(lines.split("\n")[1:]) for lines in file.read().split(">")[1:]]


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """What it returns, processor seconds (of programs that it calls, too) and wall seconds."""
    before = os.times()
    result = work()
    after = os.times()
    return result, sum(after[:4]) - sum(before[:4]), after[4] - before[4]


def memory() -> str:
    """Peak of this process and of the largest program that it called."""
    own, called = (
        resource.getrusage(who).ru_maxrss / 2**20 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return f"{own:.1f} GiB here, {called:.1f} GiB in MMseqs2"


def agreement(one: Pairs, other: Pairs) -> None:
    """Of the pairs of each tool, how many the other has."""
    have = [dict(zip(map(tuple, pairs.rows.tolist()), pairs.identity.tolist(), strict=True)) for pairs in (one, other)]
    for low, high in ((0.3, 0.4), (0.4, 0.5), (0.5, 0.7), (0.7, 1.01)):
        sides = []
        for here, there in (have, have[::-1]):
            within = [pair for pair, identity in here.items() if low <= identity < high]
            sides.append(f"{sum(pair in there for pair in within)} of {len(within)}")
        print(f"  {low:.0%} to {min(high, 1):.0%}: of MMseqs2's pairs own finds {sides[0]}; the other way {sides[1]}")


def extrapolate(sizes: list[int], seconds: list[float], to: int) -> float:
    """Processor seconds at ``to`` sequences, fixed + linear + quadratic."""
    return float(np.polynomial.Polynomial.fit(sizes, seconds, 2)(to))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fasta", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[2000, 5000, 10000])
    parser.add_argument("--own", type=int, default=5000, help="the largest size for anlage's own search")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    texts = read(options.fasta)
    order = np.random.default_rng(options.seed).permutation(len(texts))
    print(f"{len(texts):,} proteins, MMseqs2 {mmseqs.find()}, start {time.strftime('%F %T')}")
    for tool in ("mmseqs", "own"):
        used: list[float] = []
        sizes = [size for size in options.sizes if tool == "mmseqs" or size <= options.own]
        for size in sizes:
            sample = [texts[i] for i in order[:size]]
            groups, processor, wall = timed(lambda some=sample, by=tool: similarity_groups(some, "protein", tool=by))
            used.append(processor)
            print(
                f"{tool} {size:,}: {processor:.1f} processor s, {wall:.1f} s, {len(set(groups)):,} groups; {memory()}"
            )
        if len(sizes) > 1:
            print(f"{tool} at 100,000: about {extrapolate(sizes, used, 100_000) / 60:.0f} processor minutes")
    sample = [texts[i] for i in order[: min(options.own, min(options.sizes))]]
    print(f"pairs among {len(sample):,}:")
    agreement(similar_pairs(sample, "protein", tool="mmseqs"), similar_pairs(sample, "protein", tool="own"))


if __name__ == "__main__":
    main()
