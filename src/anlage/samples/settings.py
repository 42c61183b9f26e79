"""What to read and which columns to use. Torch-free; the docstrings are the help of the command line."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DataSettings:
    """The table, its targets and its inputs."""

    table: str = ""
    """File or folder to learn from: CSV, TSV, Parquet, JSON lines, FASTA, .npz, or a folder of images."""
    valid: str | None = None
    """A file of validation rows (then TABLE holds the training rows)."""
    test: str | None = None
    """A file of test rows (then TABLE holds the other rows)."""
    target: tuple[str, ...] = ()
    """What to predict: one or several columns. NAME=COL1,COL2 joins columns into one multi-label or multi-output
    target."""
    task: tuple[str, ...] = ()
    """TASK for all targets, or TARGET=TASK for one, where the recognised task is not the one you want (classification,
    multilabel, regression)."""
    input: tuple[str, ...] = ()
    """Columns to learn from. Default: all but ids, free comments, splits and other targets; the choice is printed."""
    drop: tuple[str, ...] = ()
    """Columns not to learn from."""
    column: tuple[str, ...] = ()
    """NAME=MODALITY[:setting=value,...] where the recognised modality is not the one you want."""
    id: str | None = None
    """The column of row ids. Default: a column called id where its values differ, else row numbers."""
    where: tuple[str, ...] = ()
    """COLUMN=VALUE[|VALUE...] keeps only these rows."""
    relabel: tuple[str, ...] = ()
    """COLUMN:VALUE=LABEL[,VALUE=LABEL] merges or renames labels (type:weak=enhancer,strong=enhancer)."""
