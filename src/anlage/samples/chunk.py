"""What a format reader yields: some rows of a file, and what was wrong with them."""

from dataclasses import dataclass, field

import pandas as pd

from anlage.errors import Problem


@dataclass
class Chunk:
    """Up to so many rows as they stand in the file. Text cells stay raw strings: :mod:`anlage.samples.values` decides
    on types later, once for the whole table. A column called ``id`` holds what the format itself knows as row ids."""

    frame: pd.DataFrame
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
