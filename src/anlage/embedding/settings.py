"""How a table becomes vectors. Torch-free; the docstrings are the help of the command line."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from anlage.errors import require


@dataclass(frozen=True)
class EmbedSettings:
    """What decides the vectors, and how they are computed."""

    column: str | None = None
    """NAME or NAME=MODALITY[:setting=value,...]: the column to embed, where the source is no bundle of `anlage fit`
    and the table leaves a choice."""
    id: str | None = None
    """The column of row ids. Default: that of the bundle, else a column called id where its values differ, else row
    numbers."""
    level: Literal["sample", "element"] = "sample"
    """One vector for each row, or one for each of its elements (residues, bases, patches)."""
    dtype: Literal["float32", "float16"] = "float32"
    """How vectors are stored."""
    precision: Literal["32-true", "bf16"] = "32-true"
    """Arithmetic: 32 bits, or weights and products in bfloat16 (means are taken in 32 bits)."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute."""
    map: Path | None = None
    """FILE.png, .svg or .pdf: also draw the first two principal components of the vectors."""
    color: str | None = None
    """The column of the table that colours the map."""
    rows: int | None = None
    """Rows that are computed, then written, together: the most that a kill can cost. Default: 1,024, and of images or
    with --level element 64."""

    def __post_init__(self) -> None:
        require(self.rows is None or self.rows >= 1, "rows", self.rows, "1 or more")
