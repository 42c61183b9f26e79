"""Shared fixtures. Real data stay outside the repository: their folder is ANLAGE_DATA (default ../shared/data)."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real research data; tests that need it are skipped, saying so, where it is absent."""
    folder = Path(os.environ.get("ANLAGE_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data not found at {folder}: set ANLAGE_DATA")
    return folder
