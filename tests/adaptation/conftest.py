"""A pretrained encoder for these tests, and a cache of their own."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import anlage
from anlage.simulator import simulate_promoters


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Vectors are kept in a folder of the test's own."""
    monkeypatch.setenv("ANLAGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def fast() -> dict[str, Any]:
    """Options of small fits."""
    return {"baseline_budget": "0.1s", "resamples": 200, "batch_samples": 32, "valid_fraction": 0.3,
            "learning_rate": 0.005, "epochs": 8, "say": lambda line: None}  # fmt: skip


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory: pytest.TempPathFactory, fast: dict[str, Any]) -> str:
    """The folder of a small encoder that was trained for some steps on simulated promoters."""
    out = tmp_path_factory.mktemp("pretrained") / "run"
    encoder = "cnn-tiny:width=32,layers=3,dropout=0"
    anlage.fit(simulate_promoters(300), target="element", encoder=encoder, out=out, **fast | {"epochs": 3})
    return str(out)


@pytest.fixture
def promoters() -> pd.DataFrame:
    """Other promoters, and a number that they were not pretrained for."""
    frame = simulate_promoters(300, seed=1)
    return frame.assign(gc=[text.count("G") + text.count("C") for text in frame.sequence])
