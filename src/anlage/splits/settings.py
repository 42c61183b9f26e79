"""Who may learn from whom. Torch-free; the docstrings are the help of the command line."""

from dataclasses import dataclass

from anlage.errors import require


@dataclass(frozen=True)
class SplitSettings:
    """How rows are divided into training, validation and test rows."""

    split: str | None = None
    """A column that names each row's part (train, valid, test), or "random". Default: such a column where there is
    one, else random by groups of duplicates, stratified by label."""
    group: str | None = None
    """Rows that share this column's value (patient, donor, slide) stay in one part; intervals resample groups."""
    map: tuple[str, ...] = ()
    """VALUE=PART[,VALUE=PART]: what the values of the split column mean (PART: train, valid, test, none)."""
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
