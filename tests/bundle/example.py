"""A small but whole bundle, with everything that is hard to store: NaN in fitted state, tied weights, Unicode."""

from pathlib import Path

import pandas as pd
import torch
from report.views import binary

from anlage.bundle.card import model_card
from anlage.bundle.contents import Contents
from anlage.bundle.write import write


def contents() -> Contents:
    table = torch.arange(12, dtype=torch.float32).reshape(4, 3)
    record = {"modality": "record", "settings": {}, "state": {"medians": [1.5, float("nan")], "names": ["Größe", "b"]}}
    return Contents(
        settings={"data": {"table": "/home/someone/patients.csv", "target": ["diagnosis"]}, "seed": 3},
        inputs=[{"name": "record", "columns": ["Größe", "b"], "modality": record, "shape": {}, "encoder": {}}],
        targets=[{"task": "classification", "target": "diagnosis", "columns": ["diagnosis"], "state": {}}],
        provenance={
            "anlage": "0.1.0",
            "versions": {"torch": "2.13.0"},
            "created": "2025-01-31",
            "sources": ["/home/someone/patients.csv"],
            "data_hash": "51be",
            "split_hash": "9f2c",
            "split": "random, stratified",
            "seed": 3,
            "rows": {"train": 3983, "valid": 569, "test": 569},
        },
        metrics=dict(binary().metrics),
        history=[{"step": 10, "epoch": 1, "train_loss": float("nan"), "valid": {"diagnosis": 0.9}}],
        weights={"encoder.table": table, "head.tied": table, "head.half": torch.ones(2, dtype=torch.bfloat16)},
    )


def rows() -> dict[str, pd.DataFrame]:
    ids = pd.Index(["007", "NA"], name="id")
    return {
        "predictions.parquet": pd.DataFrame({"diagnosis": ["a", "b"], "diagnosis_probability": [0.75, 0.5]}, index=ids),
        "split.csv": pd.DataFrame({"part": ["train", "test"]}, index=ids),
    }


def make(folder: Path, overwrite: bool = False) -> Path:
    held = contents()
    files = {"report.html": "<!DOCTYPE html>", "MODEL_CARD.md": model_card("diagnosis", held)}
    return write(folder, held, rows(), files, overwrite)
