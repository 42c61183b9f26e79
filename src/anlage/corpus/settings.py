"""What to pretrain on. Torch-free; the docstrings are the help of the command line."""

from dataclasses import dataclass

from anlage.errors import require

PARTS = ("train", "valid", "test")


@dataclass(frozen=True)
class CorpusSettings:
    """The corpus, and what must not be in it."""

    corpus: str = ""
    """File or folder of unlabelled rows: FASTA, CSV, TSV, Parquet, JSON lines, .npz, or a folder of images."""
    input: tuple[str, ...] = ()
    """The column to learn from (several only where they make one record). Default: the only one that can be."""
    drop: tuple[str, ...] = ()
    """Columns not to learn from."""
    column: tuple[str, ...] = ()
    """NAME=MODALITY[:setting=value,...] where the recognised modality is not the one you want."""
    id: str | None = None
    """The column of row ids. Default: a column called id where its values differ, else row numbers."""
    where: tuple[str, ...] = ()
    """COLUMN=VALUE[|VALUE...] keeps only these rows."""
    exclude: tuple[str, ...] = ()
    """Tables (FILE or FILE:COLUMN) of rows that you will judge by later: whatever equals one of them is left out of the
    corpus, so that no result is better than it should be."""
    exclude_parts: tuple[str, ...] = ("valid", "test")
    """Of excluded tables that bring their split, the parts that count; of other tables all rows do."""
    exclude_identity: float | None = None
    """Sequences: leave out too what is similar to an excluded row from this identity on (0.3 = 30 %, over 80 % of the
    shorter sequence)."""

    def __post_init__(self) -> None:
        for part in self.exclude_parts:
            require(part in PARTS, "exclude_parts", part, "some of train, valid, test")
        given = self.exclude_identity
        require(given is None or 0 < given <= 1, "exclude_identity", given, "a share above 0, at most 1 (0.3 = 30 %)")
        require(given is None or bool(self.exclude), "exclude_identity", given, "a table as well: --exclude FILE")
