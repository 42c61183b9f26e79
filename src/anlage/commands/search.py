"""``anlage search``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from anlage.commands.shared import SHOWN, parse, say


@dataclass(frozen=True)
class Search:
    """Find the nearest vectors by cosine, exactly, in files of `anlage embed` larger than memory."""

    vectors: Annotated[Path, Positional, arg(metavar="VECTORS")]
    """What to search: a file of vectors."""
    queries: Annotated[Path, Positional, arg(metavar="QUERIES")]
    """What to search for: a file of vectors from the same model."""
    k: Annotated[int, arg(aliases=["-k"])] = 10
    """Neighbours of each query."""
    out: Annotated[Path | None, arg(aliases=["-o"])] = None
    """.csv, .tsv, .parquet or .jsonl with the columns id (of the query), hit, rank and cosine. Default: the first rows
    on the screen."""


EXAMPLES = """\
anlage search vectors.parquet queries.parquet -k 5 -o hits.csv
"""


def search(words: Sequence[str]) -> None:
    """``anlage search``."""
    command = parse(Search, EXAMPLES, words)
    from anlage import output

    if command.out is not None:
        output.check_suffix(command.out)
    from anlage.embedding.search import search_files

    hits = search_files(command.vectors, command.queries, command.k, say)
    if command.out is not None:
        rows = output.write_frames(hits, command.out)
        say(f"{rows:,} hits: {command.out}")
        return
    print(next(hits).head(SHOWN).to_string())
    say("-o FILE writes all hits")
