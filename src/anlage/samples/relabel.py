"""Labels merged or renamed on reading: weak and strong enhancers become enhancers."""

from collections.abc import Sequence
from dataclasses import replace

from anlage.errors import AnlageError
from anlage.samples.read import spelled
from anlage.samples.samples import Samples


def relabel(samples: Samples, rules: Sequence[str], whole: bool = True) -> Samples:
    """Other labels in place of some. ``rules``: COLUMN:VALUE=LABEL[,VALUE=LABEL]; values that no rule names stay.

    ``whole``: the table is the one that the rules were written for, so that a value which no row has is an error.

    Raises:
        AnlageError: a rule that cannot be read, or names a column or a value that the table lacks.
    """
    for rule in rules:
        column, colon, listed = rule.partition(":")
        merged = dict(entry.partition("=")[::2] for entry in listed.split(","))
        if not colon or not all(merged) or not all(merged.values()):
            raise AnlageError(f"--relabel {rule}: write COLUMN:VALUE=LABEL[,VALUE=LABEL]")
        if column not in samples.frame:
            has = ", ".join(map(str, samples.frame.columns[:20]))
            raise AnlageError(f"--relabel {rule}: no column '{column}'; columns: {has}")
        values = samples.frame[column].map(spelled)
        for value in merged:
            if whole and not (values == value).any():
                has = ", ".join(sorted(set(values))[:20])
                raise AnlageError(f"--relabel {rule}: no row has '{value}'; {column} holds {has}")
        changed = values.isin(list(merged)).to_numpy()
        column_now = samples.frame[column].astype(object).where(~changed, values.map(merged))
        notes = [*samples.notes, f"{column}: {changed.sum():,} of {len(values):,} rows relabelled ({listed})"]
        samples = replace(samples, frame=samples.frame.assign(**{column: column_now}), notes=notes)
    return samples
