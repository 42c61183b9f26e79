"""Who may learn from whom. Torch-free; the docstrings are the help of the command line."""

from dataclasses import dataclass
from typing import Literal

from anlage.errors import require

MUTATIONS, POSITIONS = "mutations", "positions"
WORDS = ("random", MUTATIONS, POSITIONS)
"""What ``split`` may say in place of a column."""


@dataclass(frozen=True)
class SplitSettings:
    """How rows are divided into training, validation and test rows."""

    split: str | None = None
    """A column that names each row's part (train, valid, test), or "random". For variants of one sequence: "mutations"
    (tested on those with the most), or "positions" (tested where no training row is mutated). Default: such a column
    where there is one, else random by groups of similar samples, stratified by label."""
    group: str | None = None
    """Rows that share this column's value (patient, donor, slide) stay in one part; intervals resample groups."""
    map: tuple[str, ...] = ()
    """VALUE=PART[,VALUE=PART]: what the values of the split column mean (PART: train, valid, test, none). * stands for
    all that are not named, which are left out without it: --split chrom --map chr8=test,chr9=valid,*=train."""
    time: str | None = None
    """A column of dates or numbers: the newest rows are tested, the newest of the rest validate."""
    similarity: tuple[str, ...] = ()
    """From here on samples are too similar for two parts of a split that is drawn: a share (0.5 = 50 %, for all
    inputs), INPUT=SHARE, or "off" (only equal ones stay together). Default: what the field uses for each input."""
    ungrouped: bool = False
    """Divide at random even where a column such as patient_id repeats and no --group is named."""
    on_leak: Literal["warn", "fix", "fail"] = "warn"
    """What to do where test rows resemble training rows: say so, leave those training (and validation) rows out, or
    stop."""
    valid_fraction: float = 0.1
    """Part of the training rows set apart for validation where the table names none."""
    test_fraction: float = 0.2
    """Part of the rows set apart for the test where the table names none."""
    folds: int | None = None
    """k-fold cross-validation: every row is tested once. Default: one split."""

    def __post_init__(self) -> None:
        for name in ("valid_fraction", "test_fraction"):
            require(0 < getattr(self, name) < 1, name, getattr(self, name), "a number between 0 and 1")
        require(self.folds is None or self.folds >= 2, "folds", self.folds, "2 or more")
        require(self.time is None or self.split is None, "time", self.time, "it without --split: time decides alone")
        ordered = self.time is not None or self.split in (MUTATIONS, POSITIONS)
        require(not (self.folds and ordered), "folds", self.folds, "it without --time, --split mutations or positions")
