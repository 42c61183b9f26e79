"""``anlage embed``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from anlage.commands.shared import fail, parse, say, top
from anlage.embedding.settings import EmbedSettings


@dataclass(frozen=True, kw_only=True)
class Embed(EmbedSettings):
    """Turn a table of any size into vectors: one for each row, or for each of its residues, bases or patches.
    Interrupted, the same command goes on where it stopped. Rows that cannot be used are named and left out."""

    source: Annotated[str, Positional, arg(metavar="SOURCE")]
    """A bundle of `anlage fit` (all its inputs, fused) or `anlage pretrain`, a folder of a checkpoint in Hugging Face's
    format, or hf:ORG/NAME, which is fetched once."""
    table: Annotated[str, Positional, arg(metavar="TABLE")]
    """The rows: same formats as for fit."""
    out: Annotated[Path, arg(aliases=["-o"])]
    """.parquet (columns id and vector) or .h5 (datasets ids and vectors)."""
    overwrite: bool = False
    """Replace a file that is there, and the parts of another job."""


EXAMPLES = """\
anlage embed runs/loc new.fasta -o vectors.parquet
anlage embed hf:facebook/esm2_t6_8M_UR50D proteins.fasta -o vectors.h5 --precision bf16 --dtype float16
anlage embed encoders/protein proteins.csv --level element -o residues.parquet
anlage embed runs/loc proteins.csv -o vectors.parquet --map map.png --color location
"""


def embed(words: Sequence[str]) -> None:
    """``anlage embed``."""
    command = parse(Embed, EXAMPLES, words)
    settings = EmbedSettings(**top(command, EmbedSettings))
    from anlage import api

    try:
        api.embed(
            command.source, command.table, out=command.out, settings=settings, overwrite=command.overwrite, say=say
        )
    except KeyboardInterrupt:
        fail("interrupted. The same command goes on where it stopped", 130)
    print(f"vectors: {command.out}")
