"""Shared fixtures. Real data stay outside the repository: their folder is ANLAGE_DATA (default ../shared/data)."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Corpora and vectors that tests keep do not reach the cache of whoever runs them."""
    os.environ["ANLAGE_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real research data; tests that need it are skipped, saying so, where it is absent."""
    folder = Path(os.environ.get("ANLAGE_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data not found at {folder}: set ANLAGE_DATA")
    return folder
