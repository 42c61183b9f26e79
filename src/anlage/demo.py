"""Three small studies from start to end, without network: records, images, and DNA that is simulated.

The records and images come with scikit-learn: the breast cancer data (Street, Wolberg & Mangasarian 1993, 569 biopsies)
and the optical digits (Alpaydin & Kaynak 1998, 1,797 images of 8 x 8 pixels). The promoters are simulated
(:mod:`anlage.simulator`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from anlage import api
from anlage.simulator import simulate_promoters


@dataclass(frozen=True)
class Study:
    """A table, its target, and the options of ``fit`` that keep the whole demo under three minutes on two cores."""

    title: str
    table: Callable[[], pd.DataFrame]
    target: str
    options: dict[str, Any] = field(default_factory=dict)


def breast_cancer() -> pd.DataFrame:
    """569 biopsies: 30 measurements of cell nuclei, and the diagnosis (malignant or benign)."""
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer(as_frame=True)
    return data.data.assign(diagnosis=data.target_names[data.target])


def digits() -> pd.DataFrame:
    """1,797 images of handwritten digits: 8 x 8 pixels, 17 levels of grey, one array a cell."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return pd.DataFrame({"image": list(data.images.astype(np.uint8)), "digit": data.target.astype(str)})


def promoters() -> pd.DataFrame:
    """3,000 simulated DNA sequences, half of them promoters."""
    return simulate_promoters(3000)


STUDIES = {
    "breast-cancer": Study(
        "breast cancer: records → diagnosis", breast_cancer, "diagnosis", {"epochs": 40, "patience": 15}
    ),
    "digits": Study(
        "digits: images → digit", digits, "digit", {"epochs": 15, "learning_rate": 0.003, "baseline_budget": "20s"}
    ),
    "promoters": Study(
        "SIMULATED promoters: DNA → element",
        promoters,
        "element",
        {"encoder": "cnn-tiny", "epochs": 12, "baseline_budget": "20s"},
    ),
}


def run_demo(out: Path, overwrite: bool = False) -> None:
    """Fit, judge and report each study under ``out``; print the verdicts and where the reports lie."""
    runs = {}
    with _one_thread():
        for name, study in STUDIES.items():
            print(f"\n=== {study.title}\n", flush=True)
            runs[name] = api.fit(
                study.table(), out=out / name, target=study.target, overwrite=overwrite, **study.options
            )
    print("\n=== verdicts\n")
    for name, run in runs.items():
        print(f"{STUDIES[name].title}\n  {run.verdict}\n  report: {run.report_path}")


@contextmanager
def _one_thread() -> Iterator[None]:
    """In models this small, threads wait for one another longer than they work (tenfold on a busy machine)."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
