"""BERT (Devlin 2019, arXiv:1810.04805) as transformers stores it: BertModel, BertForMaskedLM; ProtBERT is one."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from anlage.encoders.checkpoints.config import Config
from anlage.encoders.checkpoints.family import WIDEST, Family, Take
from anlage.encoders.transformer_settings import TransformerSettings

_ACTIVATIONS: dict[str, Any] = {"gelu": "gelu", "gelu_new": "gelu-tanh", "gelu_pytorch_tanh": "gelu-tanh"}
_MOST_POSITIONS = 2**20


class Bert(Family):
    """Post-norm, learned positions. A sequence is one sentence: the vector of token type 0 is added to every token's.

    Dropout works on what each layer adds; that of embeddings and of attention weights is left out.
    """

    prefix: ClassVar[str] = "bert."
    dropped: ClassVar[dict[str, str]] = {
        r"cls\..*": "the heads of its pretraining",
        r"classifier\..*|qa_outputs\..*": "a head of its fine-tuning",
        r"pooler\..*": "the pooler",
        r"embeddings\.position_ids": "",
    }
    norms: ClassVar[tuple[str, str]] = ("attention.output.LayerNorm", "output.LayerNorm")

    def settings(self, config: Config, ids: Mapping[str, int], shared: dict[str, Any]) -> TransformerSettings:
        config.refuse("position_embedding_type", unless="absolute", default="absolute")
        activation = _ACTIVATIONS.get(config.word("hidden_act", "gelu"))
        if activation is None:
            raise config.wrong("hidden_act", f"only {', '.join(_ACTIVATIONS)} are supported")
        return TransformerSettings(
            **shared,
            activation=activation,
            norm="post",
            positions="learned",
            position_limit=config.whole("max_position_embeddings", _MOST_POSITIONS),
            embedding_norm="yes",
        )

    def ends(self, config: Config) -> dict[str, tuple[int, ...]]:
        width = config.whole("hidden_size", WIDEST)
        rows = {
            "word": config.whole("vocab_size", 2**24),
            "position": config.whole("max_position_embeddings", _MOST_POSITIONS),
            "token_type": config.whole("type_vocab_size", 2**10, default=2),
        }
        shapes: dict[str, tuple[int, ...]] = {f"embeddings.{k}_embeddings.weight": (n, width) for k, n in rows.items()}
        return shapes | {f"embeddings.LayerNorm.{kind}": (width,) for kind in ("weight", "bias")}

    def convert_ends(self, take: Take, rows: list[int], settings: TransformerSettings) -> dict[str, Tensor]:
        first_type = take("embeddings.token_type_embeddings.weight")[0]
        weights = {
            "embedding.places": take("embeddings.position_embeddings.weight"),
            "embedding.ids.weight": take("embeddings.word_embeddings.weight")[rows] + first_type,
        }
        return weights | {f"embedding.norm.{kind}": take(f"embeddings.LayerNorm.{kind}") for kind in ("weight", "bias")}
