"""Report views of simulated models: binary, ten classes, several targets of different tasks."""

import numpy as np
from sklearn.metrics import accuracy_score, f1_score, r2_score, roc_auc_score

from anlage.errors import Problem
from anlage.report.view import InputView, ReportView, SplitView, TargetView

PROVENANCE = {
    "anlage": "0.1.0",
    "versions": {"python": "3.11.9", "torch": "2.13.0", "scikit-learn": "1.7.2"},
    "created": "2025-01-31T12:00:00+00:00",
    "seed": 0,
}


def cells(rng: np.random.Generator, scores: dict[str, float], n: int, width: float = 0.02) -> dict:
    """Scores with intervals about ``width`` to either side."""
    return {
        name: {
            "value": float(value),
            "low": float(value - width * rng.uniform(0.8, 1.2)),
            "high": float(value + width * rng.uniform(0.8, 1.2)),
            "n": n,
            "n_groups": n - n // 20,
        }
        for name, value in scores.items()
    }


def entry(rng, task: str, scores: dict[str, float], n: int, outcome: str, text: str, shift: float) -> dict:
    """One target of metrics.json; the baselines lie ``shift`` below the model."""
    best = {name: value - shift for name, value in scores.items()}
    plain = {name: value * 0.6 for name, value in scores.items()}
    primary = next(iter(scores))
    return {
        "task": task,
        "primary": primary,
        "verdict": {
            "text": text,
            "outcome": outcome,
            "baseline": "lightgbm",
            "difference": {"value": shift, "low": shift - 0.01, "high": shift + 0.01},
        },
        "model": {"valid": cells(rng, scores, n // 2), "test": cells(rng, scores, n)},
        "baselines": {
            "majority": {"valid": cells(rng, plain, n // 2), "test": cells(rng, plain, n), "settings": {}, "note": ""},
            "logistic regression": {
                "valid": cells(rng, best, n // 2),
                "test": cells(rng, best, n),
                "settings": {"C": 0.1},
                "seconds": 3.2,
            },
            "lightgbm": {
                "valid": cells(rng, best, n // 2),
                "test": cells(rng, best, n),
                "settings": {"leaves": 31, "rounds": 120},
                "seconds": 21.4,
                "note": "stopped at the time bound",
            },
        },
        "differences": {
            name: {"test": cells(rng, {metric: shift for metric in scores}, n, 0.01)}
            for name in ("logistic regression", "lightgbm")
        },
    }


def document(verdict: str, targets: dict) -> dict:
    """A whole metrics.json."""
    return {
        "schema": 1,
        "verdict": verdict,
        "targets": targets,
        "resampled": "groups",
        "level": 0.95,
        "resamples": 2000,
        "seed": 0,
        "split_hash": "9f2c51d0aa17",
        "data_hash": "51be03aa90c4",
        "training": {"epochs": 12, "steps": 2400, "seconds": 312.5, "device": "cpu", "precision": "32-true"},
    }


def history(epochs: int, *targets: str) -> list[dict]:
    """Curves that overfit a little."""
    steps = np.arange(1, epochs + 1)
    return [
        {
            "epoch": int(e),
            "step": int(200 * e),
            "train_loss": float(1.6 * np.exp(-e / 4) + 0.1),
            "valid_loss": float(1.5 * np.exp(-e / 4) + 0.35 + 0.006 * e),
            "valid": {t: float(0.8 - 0.1 * i - 0.5 * np.exp(-e / 3) - 0.004 * e) for i, t in enumerate(targets)},
            "seconds": float(26.0 * e),
        }
        for e in steps
    ]


def counts(labels: list[str], truth: np.ndarray) -> dict[str, dict[str, int]]:
    """Label counts of three parts, in the proportions of the test part."""
    return {
        label: {"train": 7 * int((truth == i).sum()), "valid": int((truth == i).sum()), "test": int((truth == i).sum())}
        for i, label in enumerate(labels)
    }


def binary(show_rows: bool = False) -> ReportView:
    """Clinical records → diagnosis: no better than the baseline. Names that HTML could take for its own."""
    rng = np.random.default_rng(0)
    n = 569
    truth = (rng.random(n) < 0.37).astype(float)
    score = 1 / (1 + np.exp(-(4 * truth - 2 + rng.normal(0, 1.4, n))))
    labels = ["benign", "<b>malignant</b> & co"]
    scores = {"auroc": roc_auc_score(truth, score), "auprc": 0.93, "accuracy": accuracy_score(truth, score > 0.5)}
    text = "no better than lightgbm: auroc differs by 0.002 [-0.008, 0.012]"
    return ReportView(
        title="breast_cancer.csv → diagnosis",
        metrics=document(text, {"diagnosis": entry(rng, "classification", scores, n, "no better", text, 0.002)}),
        targets=[
            TargetView(
                "diagnosis",
                "classification",
                labels,
                "test",
                np.array([f"patient-{i}" for i in range(n)]),
                truth[:, None],
                np.stack([1 - score, score], axis=1),
            )
        ],
        inputs=[InputView("record", "record", "30 columns of numbers", "ft-transformer-small", 84_210)],
        left_out={"patient": "unique in every row: an id", "notes": "free text"},
        notes=["312 missing values were read as missing", "loss weights from the training labels: 0.8, 1.3"],
        problems=[Problem(f"patient-{i}", "radius", f"'secret-{i}' is not a number", fatal=False) for i in range(14)],
        split=SplitView(
            "random by groups of duplicates, stratified by label (seed 0)",
            "9f2c51d0aa17",
            {"train": 3983, "valid": n, "test": n},
            labels={"diagnosis": counts(labels, truth)},
        ),
        history=history(12, "diagnosis"),
        settings={"data": {"table": "breast_cancer.csv", "target": ["diagnosis"]}, "seed": 0},
        command="anlage fit breast_cancer.csv --target diagnosis --out runs/breast --seed 0",
        recipe='seed = 0\n\n[data]\ntable = "breast_cancer.csv"\ntarget = ["diagnosis"]\n',
        provenance=PROVENANCE,
        show_rows=show_rows,
    )


def ten_classes(show_rows: bool = False) -> ReportView:
    """Protein sequences → ten locations: better than the baseline."""
    rng = np.random.default_rng(1)
    labels = ["Nucleus", "Cytoplasm", "Extracellular", "Mitochondrion", "Cell membrane", "Endoplasmic reticulum"]
    labels += ["Plastid", "Golgi apparatus", "Lysosome/Vacuole", "Peroxisome"]
    n = 2768
    truth = rng.choice(10, n, p=[0.29, 0.21, 0.14, 0.11, 0.1, 0.06, 0.05, 0.02, 0.01, 0.01])
    logits = rng.normal(0, 1.3, (n, 10)) + 2.6 * np.eye(10)[truth] + np.linspace(1, 0, 10)
    values = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    best = values.argmax(axis=1)
    scores = {
        "accuracy": accuracy_score(truth, best),
        "macro_f1": f1_score(truth, best, average="macro"),
        "mcc": 0.57,
        "auroc": 0.91,
        "log_loss": 1.02,
    }
    text = "better than the baseline (lightgbm) by 0.041 [0.022, 0.060] accuracy on 2,768 test rows"
    return ReportView(
        title="deeploc.csv.gz → location",
        metrics=document(text, {"location": entry(rng, "classification", scores, n, "better", text, 0.041)}),
        targets=[
            TargetView(
                "location",
                "classification",
                labels,
                "test",
                np.array([f"P{10000 + i}" for i in range(n)]),
                truth[:, None].astype(float),
                values,
            )
        ],
        inputs=[
            InputView("sequence", "protein", "200 of 200 values use only amino-acid letters", "cnn-small", 1_203_456)
        ],
        split=SplitView(
            "given by column split",
            "ab12",
            {"train": 9693, "valid": 1385, "test": n},
            labels={"location": counts(labels, truth)},
            notes=["23 test rows have a sequence that also stands in the training rows"],
        ),
        history=history(15, "location"),
        command="anlage fit deeploc.csv.gz --target location --out runs/loc",
        provenance=PROVENANCE,
        show_rows=show_rows,
    )


def several(show_rows: bool = False) -> ReportView:
    """Sequence and image → activity (regression, worse) and tags (multilabel, better)."""
    rng = np.random.default_rng(2)
    n = 1400
    ids = np.array([f"s{i}" for i in range(n)])
    truth = rng.normal(3, 1, n)
    value = 0.7 * truth + 0.9 + rng.normal(0, 0.4, n)
    truth[:25] = np.nan
    seen = np.isfinite(truth)
    tags = [f"hallmark {i}" for i in range(8)]
    chosen = (rng.random((n, 8)) < np.linspace(0.4, 0.03, 8)).astype(float)
    probabilities = np.clip(0.6 * chosen + rng.normal(0.2, 0.15, (n, 8)), 0.001, 0.999)
    scores = {"spearman": 0.86, "pearson": 0.87, "r2": r2_score(truth[seen], value[seen]), "rmse": 0.00042}
    worse = "worse than the baseline (ridge regression) by 0.020 [0.010, 0.030] spearman"
    better = "better than the baseline (logistic regression) by 0.100 [0.090, 0.110] macro_auroc"
    targets = {
        "activity": entry(rng, "regression", scores, n, "worse", worse, -0.02),
        "tags": entry(rng, "multilabel", {"macro_auroc": 0.97, "micro_f1": 0.8}, n, "better", better, 0.1),
    }
    return ReportView(
        title="assay.parquet → activity, tags",
        metrics=document("1 of 2 targets better than the baseline: activity worse, tags better", targets),
        targets=[
            TargetView("activity", "regression", ["activity"], "test", ids, truth[:, None], value[:, None]),
            TargetView("tags", "multilabel", tags, "test", ids, chosen, probabilities),
        ],
        inputs=[
            InputView("promoter", "dna", "200 of 200 values use only A, C, G, T, N", "transformer-small", 901_120),
            InputView("scan", "image", "file names end with .png", "resnet-small", 2_801_000),
        ],
        split=SplitView(
            "column donor keeps together what belongs together",
            "cd34",
            {"train": 9000, "valid": 700, "test": n},
            labels={"tags": {tag: {"train": 100 - i, "valid": 9, "test": 12} for i, tag in enumerate(tags)}},
            quantiles={"activity": {p: {"5 %": 1.2, "50 %": 3.01, "95 %": 4.9} for p in ("train", "valid", "test")}},
        ),
        history=history(6, "activity", "tags"),
        command="anlage fit assay.parquet --target activity tags --out runs/assay",
        provenance=PROVENANCE,
        show_rows=show_rows,
    )


ALL = {"binary": binary, "ten_classes": ten_classes, "several": several}
