"""Small bundles of several kinds, fitted once, and a published checkpoint."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import anlage

ESM = ["<cls>", "<pad>", "<eos>", "<unk>", *"LAGVSERTIDPKQNFYMHWCXBUZO.-", "<null_1>", "<mask>"]
FAST: dict[str, Any] = {"epochs": 1, "baseline_budget": "1s", "resamples": 20, "say": lambda line: None}


def proteins(rows: int, seed: int = 0) -> pd.DataFrame:
    """Simulated proteins of 20 to 120 residues; the one in the middle stands twice, under two ids."""
    random = np.random.default_rng(seed)
    texts = ["".join(random.choice(list("ACDEFGHIKLMNPQRSTVWY"), random.integers(20, 120))) for _ in range(rows)]
    texts[-1] = texts[rows // 2]
    size = random.normal(size=rows)
    return pd.DataFrame({"sequence": texts, "size": size, "place": np.where(size > 0, "in", "out")},
                        index=pd.Index([f"p{i}" for i in range(rows)], name="id"))  # fmt: skip


@pytest.fixture(scope="session")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> anlage.Run:
    """Attention pooling over a convolution; sequences of more than 60 residues are cropped."""
    return anlage.fit(proteins(60), target="place", input=("sequence",), column=("sequence=protein:max_length=60",),
                      out=tmp_path_factory.mktemp("fit") / "run", encoder="cnn-tiny", **FAST)  # fmt: skip


@pytest.fixture(scope="session")
def fused(tmp_path_factory: pytest.TempPathFactory) -> anlage.Run:
    """A sequence and a number."""
    return anlage.fit(proteins(60), target="place", input=("sequence", "size"), encoder=("cnn-tiny", "mlp-tiny"),
                      out=tmp_path_factory.mktemp("fused") / "run", **FAST)  # fmt: skip


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> anlage.Run:
    """A transformer that has seen masked proteins."""
    out, encoder = tmp_path_factory.mktemp("pretrain") / "run", "transformer-tiny:dropout=0,token_dropout=0"
    return anlage.pretrain(proteins(60)[["sequence"]], out=out, encoder=encoder, epochs=1, say=lambda line: None)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[anlage.Run, pd.DataFrame]:
    """An image model and its 40 images of 16 x 16."""
    random = np.random.default_rng(0)
    table = pd.DataFrame({"image": [random.integers(0, 255, (16, 16), dtype=np.uint8) for _ in range(40)]})
    table["bright"] = [str(image.mean() > 127) for image in table["image"]]
    run = anlage.fit(
        table, target="bright", out=tmp_path_factory.mktemp("image") / "run", encoder="resnet-tiny", **FAST
    )
    return run, table


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def vectors_of(tmp_path: Path, said: list[str]) -> Any:
    """``embed`` and read: a frame with ids as index."""

    def embed(source: Any, table: Any, name: str = "v.parquet", **options: Any) -> pd.DataFrame:
        path = anlage.embed(source, table, out=tmp_path / name, overwrite=True, say=said.append, **options)
        return pd.read_parquet(path).set_index("id")

    return embed


@pytest.fixture(scope="session", name="proteins")
def _proteins() -> Any:
    return proteins


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small ESM-2 with random weights, as transformers writes it."""
    transformers = pytest.importorskip("transformers", reason="published models need pip install 'anlage[hub]'")
    import torch

    torch.manual_seed(0)
    config = transformers.EsmConfig(
        vocab_size=len(ESM), mask_token_id=ESM.index("<mask>"), pad_token_id=1, hidden_size=32, num_hidden_layers=2,
        num_attention_heads=2, intermediate_size=64, position_embedding_type="rotary", token_dropout=True,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("esm")
    model = transformers.EsmModel(config, add_pooling_layer=False).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.3)
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(ESM) + "\n")
    return folder


@pytest.fixture(scope="session")
def reference(checkpoint: Path) -> Any:
    """text → [residues, width]: what transformers makes of it."""
    import torch
    import transformers

    model = transformers.EsmModel.from_pretrained(checkpoint, add_pooling_layer=False).eval()

    def vectors(text: str) -> np.ndarray:
        ids = torch.tensor([[0, *map(ESM.index, text), 2]])
        with torch.no_grad():
            return model(ids).last_hidden_state[0, 1:-1].numpy()

    return vectors
