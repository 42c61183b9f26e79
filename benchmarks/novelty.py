"""Are foreign samples flagged as unlike the training rows, and usual ones left in peace?

    ANLAGE_DATA=path/to/data python benchmarks/novelty.py runs/recipes > benchmarks/novelty.md

Takes the bundles of benchmarks/recipes.py (seed 0), learns what is usual on their own training and validation rows, and
shows them their test rows and samples that they were never meant for. The recipe for breast cancer is a
cross-validation, whose bundle has seen all rows: one more small model is fitted on a plain split. Prints Markdown: the
share of rows that is flagged, by which check; and the AUROC (foreign against test rows) of several distances.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.covariance import LedoitWolf
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

import anlage
from anlage.bundle.read import read_rows
from anlage.evaluation.distance import Distance
from anlage.evaluation.novelty import Novelty
from anlage.run import Run
from anlage.samples.read import read
from anlage.training.pooled import predict_pooled

DATA = Path(os.environ.get("ANLAGE_DATA", "data"))
MOST = {"train": 6000, "valid": 2000, "test": 1000}
RESIDUES, BASES = list("ACDEFGHIKLMNPQRSTVWY"), list("ACGT")
CODONS = {"A": "GCC", "C": "TGC", "D": "GAC", "E": "GAG", "F": "TTC", "G": "GGC", "H": "CAC", "I": "ATC", "K": "AAG",
          "L": "CTG", "M": "ATG", "N": "AAC", "P": "CCC", "Q": "CAG", "R": "CGG", "S": "AGC", "T": "ACC", "V": "GTG",
          "W": "TGG", "Y": "TAC"}  # fmt: skip
"""The commonest human codon of each residue."""
Foreign = Callable[[pd.DataFrame, list[str], np.random.Generator], dict[str, pd.DataFrame]]


def column(name: str, cells: list) -> pd.DataFrame:
    """A table of one column."""
    return pd.DataFrame({name: pd.Series(cells, index=[str(i) for i in range(len(cells))], dtype=object)})


def foreign_images(test: pd.DataFrame, columns: list[str], rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    """Other pictures, and X-rays turned, inverted and darkened."""
    from skimage.transform import resize
    from sklearn.datasets import load_digits, load_sample_images

    patches = []
    for picture in load_sample_images().images:
        grey = picture.mean(2) / 255
        for _ in range(100):
            side = int(rng.integers(28, 120))
            y, x = (int(rng.integers(0, size - side)) for size in grey.shape)
            patches.append(resize(grey[y : y + side, x : x + side], (28, 28), anti_aliasing=True))
    patches = [(255 * patch).astype(np.uint8) for patch in patches]
    digits = [(255 * resize(d / 16, (28, 28), order=1)).astype(np.uint8) for d in load_digits().images[:300]]
    own = list(test[columns[0]])
    sets = {
        "patches of photographs": patches, "digits": digits,
        "noise": list(rng.integers(0, 256, (200, 28, 28), dtype=np.uint8)),
        "inverted": [255 - x for x in own], "turned by 90°": [np.rot90(x).copy() for x in own],
        "upside down": [x[::-1].copy() for x in own], "half as bright": [x // 2 for x in own],
    }  # fmt: skip
    return {name: column(columns[0], cells) for name, cells in sets.items()}


def foreign_proteins(test: pd.DataFrame, columns: list[str], rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    """Random, repetitive, foreign and variant sequences."""
    own = list(test[columns[0]].dropna().iloc[:300])

    def some(file: str) -> list[str]:
        texts = pd.read_csv(DATA / "proteins" / file)["sequence"].sample(300, random_state=0)
        return list(texts.str.replace("*", "", regex=False))

    few = partial(rng.choice, RESIDUES, 2, replace=False)
    sets = {
        "own, shuffled": ["".join(rng.permutation(list(t))) for t in own],
        "own, reversed": [t[::-1] for t in own],
        "residues drawn evenly": ["".join(rng.choice(RESIDUES, len(t))) for t in own],
        "two kinds of residues": ["".join(rng.choice(few(), len(t))) for t in own],
        "DNA": ["".join(rng.choice(BASES, len(t))) for t in own],
        "designed miniproteins": some("tape_stability.csv.gz"),
        "variants of GFP": some("tape_fluorescence.csv.gz"),
        "whole proteins": some("deeploc1.csv.gz"),
    }
    if max(map(len, own)) > 200:  # trained on whole proteins
        del sets["whole proteins"]
        sets["first 70 residues"] = some("signalp5_binary.csv.gz")
    return {name: column(columns[0], cells) for name, cells in sets.items()}


def foreign_dna(test: pd.DataFrame, columns: list[str], rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    """Random and coding sequence, other promoters, the other strand."""
    own = list(test[columns[0]].iloc[:500])
    proteins = pd.read_csv(DATA / "proteins" / "deeploc1.csv.gz")["sequence"]
    proteins = proteins[proteins.str.len() > 100].sample(500, random_state=0)
    yeast = list(
        pd.read_csv(DATA / "dna" / "yeast_promoter_expression.csv.gz")["sequence_110"].sample(600, random_state=0)
    )
    enhancers = pd.read_csv(DATA / "dna" / "ienhancer2l.csv.gz")["sequence"].sample(500, random_state=0)
    other = str.maketrans("ACGT", "TGCA")
    few = partial(rng.choice, BASES, 2, replace=False)
    sets = {
        "own, shuffled": ["".join(rng.permutation(list(t))) for t in own],
        "own, other strand": [t[::-1].translate(other) for t in own],
        "bases drawn evenly": ["".join(rng.choice(BASES, len(t))) for t in own],
        "two kinds of bases": ["".join(rng.choice(few(), len(t))) for t in own],
        "coding sequence": ["".join(CODONS.get(c, "NNN") for c in t[:100]) for t in proteins],
        "yeast promoters, 110 bp": yeast,
        "yeast promoters, joined to 300 bp": ["".join(yeast[i : i + 3])[:300] for i in range(0, 597, 3)],
        "human enhancers, 200 bp": list(enhancers),
    }
    return {name: column(columns[0], cells) for name, cells in sets.items()}


def foreign_records(test: pd.DataFrame, columns: list[str], rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    """Other units, columns in another order, values of other rows, lost values."""
    own = test[columns].astype(float)
    mixed = own.apply(lambda values: rng.permutation(values.to_numpy()))
    swapped = own[rng.permutation(columns)].set_axis(columns, axis=1)
    one = own.copy()
    one[columns[0]] *= 100
    return {
        "all numbers times 10": own * 10, "first column times 100": one, "columns permuted": swapped,
        "each column from other rows": mixed, "half of the cells missing": own.mask(rng.random(own.shape) < 0.5),
        "all zero": own * 0,
    }  # fmt: skip


def breast_cancer() -> tuple[Run, pd.DataFrame, np.ndarray]:
    """A model fitted on a plain split of the table that comes with scikit-learn."""
    from sklearn.datasets import load_breast_cancer

    table = load_breast_cancer(as_frame=True).frame
    names = np.repeat(["train", "valid", "test"], [379, 75, 115])
    table["part"] = names[np.random.default_rng(0).permutation(len(table))]
    out = tempfile.mkdtemp(prefix="novelty-")
    run = anlage.fit(
        table, target="target", split="part", encoder="mlp-tiny:numbers=plain", out=out, overwrite=True,
        baseline_budget="1s", resamples=10, say=lambda line: None,
    )  # fmt: skip
    return run, table.set_index(table.index.astype(str)), table["part"].to_numpy()


def recipe(folder: Path, name: str) -> tuple[Run, pd.DataFrame, np.ndarray]:
    """A bundle, its table and the part of each row."""
    run = Run(folder / f"{name}-0")
    frame = read(run.fit_settings.data.table, where=run.fit_settings.data.where).frame
    frame.index = frame.index.astype(str)
    split = read_rows(run.path, "split.csv")
    assert split is not None, f"{run.path} was shared without its rows"
    return run, frame, split["part"].rename(index=str).reindex(frame.index).to_numpy()


def variants(train: np.ndarray, labels: np.ndarray) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Distances of vectors [rows, width] from the training rows, by name."""
    mean = train.mean(0)
    whiten = _whitening(LedoitWolf().fit(train - mean).covariance_)
    own = Distance.fit(train)
    assert own is not None
    near = NearestNeighbors(n_neighbors=10).fit((train - mean) @ whiten)
    found: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "Mahalanobis, probabilistic PCA": own,
        "Mahalanobis, Ledoit-Wolf": lambda x: np.linalg.norm((x - mean) @ whiten, axis=1),
        "Euclidean": lambda x: np.linalg.norm(x - mean, axis=1),
        "10th neighbour, whitened": lambda x: near.kneighbors((x - mean) @ whiten)[0][:, -1],
    }
    known = np.unique(labels[~np.isnan(labels)])
    centres = np.stack([train[labels == label].mean(0) for label in known])
    within = train[~np.isnan(labels)] - centres[np.searchsorted(known, labels[~np.isnan(labels)])]
    tied = _whitening(LedoitWolf(assume_centered=True).fit(within).covariance_)

    def of_class(x: np.ndarray) -> np.ndarray:
        return np.min([np.linalg.norm((x - centre) @ tied, axis=1) for centre in centres], axis=0)

    common = found["Mahalanobis, Ledoit-Wolf"]
    found["Mahalanobis, by class (Lee 2018)"] = of_class
    found["Mahalanobis, relative (Ren 2021)"] = lambda x: of_class(x) ** 2 - common(x) ** 2
    return found


def _whitening(covariance: np.ndarray) -> np.ndarray:
    values, directions = np.linalg.eigh(covariance)
    return directions / np.sqrt(np.maximum(values, 1e-9 * values.max()))


def judge(name: str, run: Run, frame: pd.DataFrame, part: np.ndarray, foreign: Foreign) -> tuple[list[str], dict]:
    """Rows of the table of flags, and the mean AUROC of each distance over the foreign sets."""
    rng, preparation = np.random.default_rng(0), run.preparation
    (item,) = preparation.inputs
    own = {}
    for which, most in MOST.items():
        rows = frame[part == which]
        own[which] = rows.iloc[np.sort(rng.permutation(len(rows))[:most])]
    checked: dict[str, pd.DataFrame] = {}
    vectors: dict[str, np.ndarray] = {}
    for which, table in {**own, **foreign(own["test"], item.columns, rng)}.items():
        found = preparation.check(table)
        usable = found.take(np.flatnonzero(found.usable))
        prepared = preparation.table(usable)
        checked[which] = usable[item.name]
        vectors[which] = predict_pooled(run.model, [], prepared, np.arange(len(prepared)))[1]
        print(f"{name}: {which} {len(prepared):,}", file=sys.stderr)
    known = {item.name: pd.concat([checked["train"], checked["valid"]])}
    together = np.concatenate([vectors["train"], vectors["valid"]])
    first, last = len(checked["train"]), len(together)
    novelty = Novelty.fit(preparation, known, np.arange(first), np.arange(first, last), lambda rows: together[rows])
    assert novelty is not None
    lines, far = [], {}
    for which, table in checked.items():
        far[which] = novelty.distances(preparation, {item.name: table}, vectors[which])
        if which != "train":
            over = {c: of > max(novelty.limits[c], c.startswith("range")) for c, of in far[which].items()}
            shares = [np.mean(of) for of in over.values()]
            every = np.mean(np.any(list(over.values()), axis=0))
            values = " | ".join(f"{100 * s:.1f} %" for s in (every, *shares))
            lines.append(f"| {name} | {which} | {len(table):,} | {values} |")
    (task,) = preparation.tasks
    labels = task.encode(own["train"].loc[checked["train"].index][task.columns])[:, 0]
    scores = {}
    sets = [which for which in checked if which not in own]
    for variant, distance in variants(vectors["train"].astype(np.float64), labels).items():
        scores[f"vector: {variant}"] = _auroc({w: distance(vectors[w].astype(np.float64)) for w in ("test", *sets)})
    for check in ("features", "range"):
        scores[f"{check} (as above)"] = _auroc({w: far[w][f"{check} {item.name}"] for w in ("test", *sets)})
    return lines, scores


def _auroc(distances: dict[str, np.ndarray]) -> float:
    usual = distances["test"]
    found = []
    for which, of in distances.items():
        if which != "test":
            foreign = np.repeat([0, 1], [len(usual), len(of)])
            found.append(roc_auc_score(foreign, np.concatenate([usual, of])))
    return float(np.mean(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="folder of the bundles of benchmarks/recipes.py")
    parser.add_argument("--only", nargs="*", help="names of models")
    arguments = parser.parse_args()
    models: dict[str, tuple[Callable[[], tuple[Run, pd.DataFrame, np.ndarray]], Foreign]] = {
        "breast_cancer": (breast_cancer, foreign_records),
        "tcga_brca": (partial(recipe, arguments.runs, "tcga_brca"), foreign_records),
        "pneumonia": (partial(recipe, arguments.runs, "pneumonia"), foreign_images),
        "signalp5": (partial(recipe, arguments.runs, "signalp5"), foreign_proteins),
        "deeploc": (partial(recipe, arguments.runs, "deeploc"), foreign_proteins),
        "epdnew_tata": (partial(recipe, arguments.runs, "epdnew_tata"), foreign_dna),
    }
    lines, scores = [], {}
    for name, (load, foreign) in models.items():
        if not arguments.only or name in arguments.only:
            more, scores[name] = judge(name, *load(), foreign)
            lines += more
    print("| model | rows | n | flagged | by its vector | by plain features | by ranges |")
    print("|---|---|---|---|---|---|---|")
    print("\n".join(lines))
    print(f"\n| AUROC, mean over foreign sets | {' | '.join(scores)} | mean |\n|{'---|' * (len(scores) + 2)}")
    for variant in next(iter(scores.values())):
        values = [of[variant] for of in scores.values()]
        print(f"| {variant} | {' | '.join(f'{v:.3f}' for v in (*values, np.mean(values)))} |")


if __name__ == "__main__":
    main()
