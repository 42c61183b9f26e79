"""The table of a fit, as its settings want it."""

from pathlib import Path

import pandas as pd

from anlage.samples.read import read_parts
from anlage.samples.relabel import relabel
from anlage.samples.samples import Samples
from anlage.samples.settings import DataSettings


def read_table(table: str | Path | pd.DataFrame, settings: DataSettings) -> Samples:
    """``table``, with the separate validation and test rows, the choice of rows and the labels that are asked for.
    Errors as of :func:`anlage.samples.read.read` and :func:`anlage.samples.relabel.relabel`."""
    samples = read_parts(table, settings.valid, settings.test, settings.id, settings.where)
    return relabel(samples, settings.relabel)
