"""A table of samples: the only thing that readers produce."""

from dataclasses import dataclass, field

import pandas as pd

from anlage.errors import Problem


@dataclass
class Samples:
    """Rows with unique string ids, columns as they were read, and what was wrong on the way.

    ``frame.index`` holds the ids. Values: str, numbers, bool, None/NaN for missing; an image column holds paths (str)
    or numpy arrays; a vector column holds lists or arrays of numbers. The id column, where there is one, is no longer
    among the columns.
    """

    frame: pd.DataFrame
    sources: list[str]
    """The files that the rows came from, or ["DataFrame"]."""
    id_column: str | None = None
    """The column that became the ids; None = row numbers."""
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What the reader did that the user should know ("delimiter ';' recognised", "column split from file names")."""

    def __len__(self) -> int:
        return len(self.frame)
