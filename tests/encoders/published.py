"""Small checkpoints of published families, written by transformers itself with every tensor random."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from anlage.types import Tokens

OURS = ("<pad>", "<mask>", "<start>", "<end>", "<unknown>", *"ACDEFGHIKLMNPQRSTVWYBZXJUO*")
"""What a protein modality sends: special tokens, then letters."""
MASK, START, END, FIRST_LETTER = 1, 2, 3, 5
ESM = ["<cls>", "<pad>", "<eos>", "<unk>", *"LAGVSERTIDPKQNFYMHWCXBUZO.-", "<null_1>", "<mask>"]
BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"LAGVESIKRDTPNQFYMHCWXUBZO"]
ESM_NAMES = {"<start>": "<cls>", "<end>": "<eos>", "<unknown>": "<unk>"}
BERT_NAMES = {"<pad>": "[PAD]", "<mask>": "[MASK]", "<start>": "[CLS]", "<end>": "[SEP]", "<unknown>": "[UNK]"}
SIZES = {"hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 3, "intermediate_size": 96}


def transformers() -> Any:
    """The package, or the test is skipped."""
    return pytest.importorskip("transformers", reason="published models need pip install 'anlage[hub]'")


def esm_config(**changes: Any) -> Any:
    given: dict[str, Any] = {
        "vocab_size": len(ESM), "mask_token_id": ESM.index("<mask>"), "pad_token_id": 1, "layer_norm_eps": 1e-5,
        "position_embedding_type": "rotary", "token_dropout": True, "emb_layer_norm_before": False,
    }  # fmt: skip
    return transformers().EsmConfig(**{**SIZES, **given, **changes})


def bert_config(**changes: Any) -> Any:
    return transformers().BertConfig(**{**SIZES, "vocab_size": len(BERT), "max_position_embeddings": 160, **changes})


def randomised(model: torch.nn.Module, seed: int = 0) -> Any:
    """Every parameter random, biases and norms included; queries and keys so large that attention is far from even."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=draw)
            if parameter.ndim < 2:
                parameter.copy_(noise * 0.3 + (1.0 if "norm" in name.lower() and name.endswith("weight") else 0.0))
            else:
                sharp = 2.0 if ".query." in name or ".key." in name else 0.8
                parameter.copy_(noise * (0.5 if "embeddings" in name else sharp / math.sqrt(parameter.shape[1])))
    return model.eval()


def write(model: Any, folder: Path, vocabulary: list[str]) -> Path:
    """The checkpoint as transformers writes it, with vocab.txt."""
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    return folder


def parts(letters: list[int], seed: int = 1, masks: float = 0.1) -> Tokens:
    """``<start> letters <end>`` for each number of letters; a share of the letters is hidden."""
    draw = torch.Generator().manual_seed(seed)
    ids, spans = [], []
    for count in letters:
        inside = torch.randint(FIRST_LETTER, len(OURS), (count,), generator=draw)
        inside[torch.rand(count, generator=draw) < masks] = MASK
        ids.append(torch.cat((torch.tensor([START]), inside, torch.tensor([END]))))
        first = torch.arange(count)
        middle = torch.stack((first, first + 1), 1)
        spans.append(torch.cat((torch.zeros(1, 2), middle, torch.zeros(1, 2))).long())
    return Tokens(torch.cat(ids), torch.tensor(letters) + 2, torch.cat(spans))


def theirs(layout: Tokens, vocabulary: list[str], names: dict[str, str], unknown: str) -> list[Tensor]:
    """The ids of each part in the checkpoint's own vocabulary, found text by text."""
    number = {text: i for i, text in enumerate(vocabulary)}
    texts = [names.get(OURS[i], OURS[i]) for i in layout.ids.tolist()]
    ids = torch.tensor([number.get(text, number[unknown]) for text in texts])
    return list(ids.split(layout.lengths.tolist()))


def vectors(model: Any, ids: list[Tensor]) -> Tensor:
    """last_hidden_state of each part, alone in its batch, one after the other."""
    with torch.no_grad():
        return torch.cat([model(part[None]).last_hidden_state[0] for part in ids])


def evenness(model: Any, ids: Tensor) -> float:
    """Entropy of the attention weights over that of even ones, meaned over layers, heads and tokens."""
    model.set_attn_implementation("eager")
    with torch.no_grad():
        weights = torch.cat(model(ids[None], output_attentions=True).attentions)
    model.set_attn_implementation("sdpa")
    return float(-(weights * weights.clamp(min=1e-30).log()).sum(-1).mean() / math.log(len(ids)))
