"""Tables with known leaks: for each modality a given split whose test rows repeat, resemble and contradict training
rows as written down. Everything is drawn; nothing is real."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
TRAIN, TEST = 90, 60
IDENTITIES = (0.95, 0.7, 0.4)


@dataclass
class Planted:
    """A table and the ids of the rows that were planted in it."""

    frame: pd.DataFrame
    """Columns: id, one or more inputs, label (no, yes), patient_id, split."""
    inputs: list[str]
    duplicates: set[str] = field(default_factory=set)
    """Test rows that equal a training row."""
    conflicts: set[str] = field(default_factory=set)
    """Those of them whose label is the other one."""
    train_conflicts: set[str] = field(default_factory=set)
    """Training rows that equal another training row with the other label, and that other one."""
    straddling: set[str] = field(default_factory=set)
    """Test rows whose patient has a training row."""
    near: dict[str, set[str]] = field(default_factory=dict)
    """How near (identity, "copy") → test rows."""


def planted(modality: str, seed: int = 0, telling_id: bool = False) -> Planted:
    """A table of ``TRAIN`` + ``TEST`` rows of one modality; ``telling_id``: ids say the label by their prefix."""
    random = np.random.default_rng(seed)
    value, copied, nearly = MAKERS[modality]
    cells = [value(random) for _ in range(TRAIN + TEST)]
    labels = random.integers(0, 2, TRAIN + TEST)
    patients = [f"P{i:03d}" for i in range(TRAIN + TEST)]
    test = iter(range(TRAIN, TRAIN + TEST))
    train = iter(random.permutation(TRAIN))
    found = Planted(pd.DataFrame(), [])
    chosen: dict[str, set[int]] = {"duplicates": set(), "conflicts": set(), "straddling": set(), "train": set()}
    for number in range(8):
        row, source = next(test), int(next(train))
        cells[row], labels[row] = copied(cells[source], random), labels[source]
        chosen["duplicates"].add(row)
        if number < 3:
            labels[row] = 1 - labels[source]
            chosen["conflicts"].add(row)
    for _ in range(6):
        row, source = next(test), int(next(train))
        patients[row] = patients[source]
        chosen["straddling"].add(row)
    for _ in range(2):
        row, source = int(next(train)), int(next(train))
        cells[row], labels[row] = cells[source], 1 - labels[source]
        chosen["train"] |= {row, source}
    near: dict[str, set[int]] = {}
    for kind, change in nearly.items():
        for _ in range(5):
            row, source = next(test), int(next(train))
            cells[row], labels[row] = change(cells[source], random), labels[source]
            near.setdefault(kind, set()).add(row)
    order = random.permutation(TRAIN + TEST)
    number = random.permutation(TRAIN + TEST)
    ids = [f"{'case' if telling_id and labels[i] else 'row'}{number[i]:04d}" for i in range(TRAIN + TEST)]
    frame = pd.DataFrame(cells) if isinstance(cells[0], dict) else pd.DataFrame({"x": pd.Series(cells, dtype=object)})
    found.inputs = list(frame.columns)
    frame.insert(0, "id", ids)
    frame["label"] = np.array(["no", "yes"])[labels]
    frame["patient_id"] = patients
    frame["split"] = ["train"] * TRAIN + ["test"] * TEST
    found.frame = frame.iloc[order].reset_index(drop=True)
    found.duplicates, found.conflicts, found.straddling, found.train_conflicts = (
        {ids[i] for i in chosen[kind]} for kind in ("duplicates", "conflicts", "straddling", "train")
    )
    found.near = {kind: {ids[i] for i in rows} for kind, rows in near.items()}
    return found


def mutated(text: str, identity: float, letters: str, random: np.random.Generator) -> str:
    """A sequence of the same length that differs from ``text`` in a share of 1 - ``identity`` of its letters."""
    changed = list(text)
    for place in random.choice(len(text), round((1 - identity) * len(text)), replace=False):
        changed[place] = random.choice([letter for letter in letters if letter != text[place]])
    return "".join(changed)


Maker = tuple[Callable, Callable, dict[str, Callable]]
"""A random value; a copy of it that is equal once it is read; what comes near it, by name."""


def _sequence(letters: str, identities: tuple[float, ...]) -> Maker:
    def value(random: np.random.Generator) -> str:
        return "".join(random.choice(list(letters), random.integers(120, 220)))

    def near(identity: float) -> Callable:
        return lambda text, random: mutated(text, identity, letters, random)

    return value, lambda text, random: text.lower(), {f"{i:.0%}": near(i) for i in identities}


def _record(random: np.random.Generator) -> dict[str, object]:
    measured = {f"m{i}": float(v) for i, v in enumerate(random.normal(10, 3, 24))}
    return measured | {"stage": str(random.choice(["I", "II", "III"]))}


def _noisy(record: dict[str, object], random: np.random.Generator) -> dict[str, object]:
    """As measured again and rounded otherwise; one value in 25 is another one."""
    again = {k: v + 1e-3 * random.normal() if isinstance(v, float) else v for k, v in record.items()}
    return again | {"m0": float(random.normal(10, 3))}


def _image(random: np.random.Generator) -> np.ndarray:
    """Smooth blobs, 40 × 40 grey, on which a shift by some pixels is still the same picture."""
    from scipy.ndimage import gaussian_filter

    field_ = gaussian_filter(random.normal(size=(48, 48)), 2.5)
    low, high = field_.min(), field_.max()
    return (255 * (field_ - low) / (high - low)).astype(np.uint8)[4:44, 4:44]


def _crop(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Moved by up to 4 pixels, the border repeated, and a little brighter."""
    down, right = random.integers(1, 5, 2)
    moved = np.pad(image, ((down, 0), (right, 0)), mode="edge")[: image.shape[0], : image.shape[1]]
    return np.clip(moved.astype(float) * 1.05 + 4, 0, 255).astype(np.uint8)


MAKERS: dict[str, Maker] = {
    "protein": _sequence(AMINO_ACIDS, IDENTITIES),
    "dna": _sequence("ACGT", (0.95,)),
    "rna": _sequence("ACGU", (0.95,)),
    "record": (_record, lambda record, random: dict(record), {"copy": _noisy}),
    "image": (_image, lambda image, random: image.copy(), {"copy": _crop}),
    "vector": (
        lambda random: random.normal(size=32),
        lambda vector, random: vector.copy(),
        {"copy": lambda vector, random: vector + 1e-4 * random.normal(size=32)},
    ),
}
