"""Rows that stand on both sides: equal samples, near ones, and groups that straddle."""

from collections.abc import Callable

import numpy as np

from anlage.auditing.findings import Audit, Finding, Severity, share
from anlage.auditing.kin import Kin, comparisons, part_rows, partners
from anlage.modalities.protocol import Nearest

NAMES = {"train": "training", "valid": "validation", "test": "test"}
REMEMBERED = "the metric may say how well rows are remembered, not how well new ones are predicted"
_STOPPED = "training may stop, and thresholds be chosen, by rows that are remembered"
_SEVERITY: dict[str, Severity] = {"test": "leak", "valid": "warning"}
_EFFECT = {"test": REMEMBERED, "valid": _STOPPED}
_LEVELS = (0.3, 0.5, 0.7, 0.9, 0.95, 0.99)


def within(kin: Kin, found: Audit) -> None:
    """Equal samples within one part: they weigh twice."""
    for part in ("train", "test"):
        rows = part_rows(kin.plan, part)
        rows = rows[kin.samples[rows] >= 0]
        codes, first = np.unique(kin.samples[rows], return_index=True)
        again = np.delete(np.arange(len(rows)), first)
        name = NAMES[part]
        found.checked.append(f"equal samples within the {name} rows: {len(again) or 'none'}")
        if not len(again):
            continue
        text = f"{share(len(again), len(rows))} {name} rows repeat another {name} row ({len(codes):,} are distinct)"
        effect = "repeated samples weigh more in " + ("training" if part == "train" else "the metric")
        others = partners(kin.samples, rows[again], rows[first])
        found.add(Finding("repeated rows", "note", text, len(again), len(rows), part, effect, rows[again], others))


def same(kin: Kin, found: Audit) -> None:
    """Test and validation rows that equal a training row in every input."""
    for part, (rows, others, _) in _gathered(kin, _by(kin.samples)).items():
        _tell(kin, found, "duplicates", part, rows, others, None, "equal a training row in all that the model reads")


def near(kin: Kin, found: Audit) -> None:
    """Test and validation rows that come near a training row."""
    what = "near duplicates across parts"
    compared = [item for item in kin.inputs if kin.compares(item)]
    if not compared:
        names = ", ".join(sorted({item.modality.name for item in kin.inputs}))
        found.skip(what, f"of {names} only equality can be told")
        return
    for item in compared:
        if kin.library(item):
            unit, least = item.modality.similarity, kin.least(item)
            text = (
                f"{item.name} is a variant library or a single family: most training rows come near one another "
                f"({unit} of {least:g} or more), so near rows tell nothing; equal ones were looked for"
            )
            effect = "the metric holds for further variants like these, not for other families"
            train = len(part_rows(kin.plan, "train"))
            found.add(Finding("variant library", "note", text, train, train, "train", effect))
    if len(kin.inputs) == 1 and kin.library(kin.inputs[0]):
        found.skip(what, "it is a variant library or a single family")
        return
    for part, (rows, others, similarity) in _gathered(kin, kin.near).items():
        equal = partners_of(kin, part, rows)
        keep = ~equal
        rows, others, similarity = rows[keep], others[keep], similarity[keep]
        how = " and ".join(
            f"{item.modality.similarity} of {kin.least(item):g} or more"
            + (f" for {item.name}" if len(kin.inputs) > 1 else "")
            for item in compared
        )
        words = f"come near a training row ({how}) without being equal to one"
        _tell(kin, found, "near duplicates", part, rows, others, similarity, words + _spread(similarity))


def partners_of(kin: Kin, part: str, rows: np.ndarray) -> np.ndarray:
    """[len(rows)] bool: rows that equal a training row of their fold."""
    equal = np.zeros(len(kin.samples), dtype=bool)
    for name, mine, train in comparisons(kin.plan):
        if name == part:
            equal[mine[kin.same(mine, train) >= 0]] = True
    return equal[rows]


def _spread(similarity: np.ndarray) -> str:
    """How near, in a few steps: "; 40 at 0.9 or more"."""
    known = similarity[~np.isnan(similarity)]
    steps = [(step, int((known >= step).sum())) for step in _LEVELS if len(known) and step > known.min()]
    told = [f"{count:,} at {step:g} or more" for step, count in steps if count][-2:]
    return f"; {', '.join(told)}" if told else ""


def shared(kin: Kin, found: Audit) -> None:
    """Samples of several inputs: how many test rows share a single one with training. A fact, no leak."""
    if len(kin.inputs) < 2:
        return
    for item in kin.inputs:
        codes = kin.equal[item.name]
        for part, (rows, others, _) in _gathered(kin, _by(codes)).items():
            if part != "test" or not len(rows):
                continue
            of = len(part_rows(kin.plan, part))
            text = f"{share(len(rows), of)} test rows have a {item.name} that training rows have as well"
            effect = f"the metric holds for known values of {item.name}, and not for new ones, as far as these rows go"
            found.add(Finding("shared input", "note", text, len(rows), of, part, effect, rows, others))
    found.checked.append("single inputs that test and training rows share")


def groups(kin: Kin, found: Audit) -> None:
    """Groups that stand on both sides: the group column, and columns of repeating ids that nobody named."""
    if not kin.groups:
        found.checked.append("columns of repeating ids (patient, donor, slide, document): none")
    for column, codes in kin.groups.items():
        named = column == kin.plan.settings.split.group
        for part, (rows, others, _) in _gathered(kin, _by(codes)).items():
            words = f"share their {column} with a training row"
            if not named and len(rows):
                words += f"; --group {column} keeps them together where the split is drawn"
            _tell(kin, found, "straddling groups", part, rows, others, None, words)


Look = Callable[[np.ndarray, np.ndarray], Nearest]


def _by(codes: np.ndarray) -> Look:
    """Partners by equal numbers of ``codes`` [table rows]."""
    return lambda rows, others: Nearest(partners(codes, rows, others), np.ones(len(rows)))


def _gathered(kin: Kin, look: Look) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Part → (rows that have a partner among their fold's training rows, the partners, how near), over all folds."""
    pieces: dict[str, list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = {}
    for part, rows, train in comparisons(kin.plan):
        others, similarity = look(rows, train)
        hit = others >= 0
        pieces.setdefault(part, []).append((rows[hit], others[hit], np.asarray(similarity)[hit]))
    result = {}
    for part, some in pieces.items():
        rows, others, similarity = (np.concatenate([piece[i] for piece in some]) for i in range(3))
        result[part] = rows, others, similarity
    return result


def _tell(
    kin: Kin, found: Audit, kind: str, part: str, rows: np.ndarray, others: np.ndarray,
    similarity: np.ndarray | None, words: str,
) -> None:  # fmt: skip
    """A finding of rows that have a partner in training, if there are any."""
    of, name = len(part_rows(kin.plan, part)), NAMES[part]
    looked = words.split(";")[0]
    found.checked.append(f"{name} rows that {looked}: {f'{len(rows):,}' if len(rows) else 'none'}")
    if len(rows):
        text = f"{share(len(rows), of)} {name} rows {words}"
        found.add(Finding(kind, _SEVERITY[part], text, len(rows), of, part, _EFFECT[part], rows, others, similarity))
        found.compromise(part, rows)
