"""One small good file of each format, and nothing random but by seed: what suites over all formats start from."""

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

ROWS = 8


def table() -> pd.DataFrame:
    """id, protein, DNA (one of them "NA"), numbers with gaps, categories, booleans."""
    return pd.DataFrame(
        {
            "id": [f"P{i}" for i in range(ROWS)],
            "sequence": ["MKTAYIAKQR" * (i + 1) for i in range(ROWS)],
            "dna": ["ACGT", "NA", "GATTACA", "ACGTN", "TTT", "AC", "GG", "CCC"],
            "age": ["41", "", "23.5", "NA", "70", "1e2", "-3", "8"],
            "sex": ["f", "m", "", "f", "m", "f", "m", "f"],
            "flag": ["True", "False"] * 4,
            "TARGET": ["Nucleus", "Cytoplasm"] * 4,
        }
    )


def write_delimited(folder: Path) -> list[Path]:
    """CSV, semicolons under the name of CSV, TSV, packed CSV."""
    frame, paths = table(), [folder / "a.csv", folder / "b.csv", folder / "c.tsv", folder / "d.csv.gz"]
    for path, delimiter in zip(paths, (",", ";", "\t", ","), strict=True):
        frame.to_csv(path, sep=delimiter, index=False)
    return paths


def write_parquet(folder: Path) -> list[Path]:
    """Typed columns, two row groups."""
    frame = table().assign(age=[41, None, 23.5, None, 70, 100, -3, 8], flag=[True, False] * 4)
    frame.to_parquet(folder / "a.parquet", row_group_size=5, index=False)
    return [folder / "a.parquet"]


def write_jsonlines(folder: Path) -> list[Path]:
    """Plain and packed; absent keys and a list of numbers."""
    rows = [{k: v for k, v in row.items() if v != ""} for row in table().to_dict("records")]
    text = "\n".join(json.dumps(row | {"vector": [0.1, i]}) for i, row in enumerate(rows))
    (folder / "a.jsonl").write_text(text)
    (folder / "b.ndjson.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    return [folder / "a.jsonl", folder / "b.ndjson.gz"]


def write_fasta(folder: Path) -> list[Path]:
    """Broken lines, both separators, a description, a value with ``=``."""
    frame = table()
    entries = [
        f">{r.id} TARGET={r.TARGET}{'; ' if i % 2 else ' '}SET=train;note=a=b some words\n"
        f"{r.sequence[:9]}\n{r.sequence[9:]}"
        for i, r in enumerate(frame.itertuples())
    ]
    text = "\n".join(entries) + "\n"
    (folder / "a.fasta").write_text(text)
    (folder / "b.fa.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    return [folder / "a.fasta", folder / "b.fa.gz"]


def write_images(folder: Path) -> list[Path]:
    """train/cat, train/dog, test/cat, test/dog with two 4 x 4 images each."""
    root, rng = folder / "images", np.random.default_rng(0)
    for part in ("train", "test"):
        for label in ("cat", "dog"):
            (root / part / label).mkdir(parents=True)
            for i in range(2):
                pixels = rng.integers(0, 255, (4, 4), dtype=np.uint8)
                Image.fromarray(pixels).save(root / part / label / f"{i}.png")
    return [root]


def write_npz(folder: Path) -> list[Path]:
    """MedMNIST: three parts, labels of shape [n, 1]."""
    rng = np.random.default_rng(0)
    arrays = {}
    for part, n in (("train", 5), ("val", 1), ("test", 2)):
        arrays[f"{part}_images"] = rng.integers(0, 255, (n, 4, 4), dtype=np.uint8)
        arrays[f"{part}_labels"] = rng.integers(0, 2, (n, 1), dtype=np.uint8)
    np.savez(folder / "a.npz", **arrays)
    return [folder / "a.npz"]


WRITERS = {
    "delimited": write_delimited,
    "parquet": write_parquet,
    "jsonlines": write_jsonlines,
    "fasta": write_fasta,
    "images": write_images,
    "npz": write_npz,
}
"""Format module → writer of its good files (each holds ROWS rows)."""
