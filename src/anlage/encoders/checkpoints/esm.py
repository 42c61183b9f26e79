"""ESM-2 (Lin 2023, doi:10.1126/science.ade2574) as transformers stores it: EsmModel and EsmForMaskedLM."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from anlage.encoders.checkpoints.config import Config
from anlage.encoders.checkpoints.family import WIDEST, Family, Take
from anlage.encoders.checkpoints.tensors import Tensors
from anlage.encoders.transformer_settings import TransformerSettings
from anlage.errors import AnlageError
from anlage.layers.attention import frequencies

_TURNS = "rotary_embeddings.inv_freq"


class Esm(Family):
    """Pre-norm, rotary positions; hidden tokens are zeros and the others scaled (token_dropout)."""

    prefix: ClassVar[str] = "esm."
    dropped: ClassVar[dict[str, str]] = {
        r"lm_head\..*": "the masked-token head",
        r"classifier\..*": "a classification head",
        r"pooler\..*": "the pooler",
        r"contact_head\..*": "the contact head",
        r"embeddings\.position_embeddings\.weight": "",  # stored by facebook's files, read by nobody
        r"embeddings\.position_ids": "",
        rf".*{_TURNS}": "",
    }
    norms: ClassVar[tuple[str, str]] = ("attention.LayerNorm", "LayerNorm")

    def settings(self, config: Config, ids: Mapping[str, int], shared: dict[str, Any]) -> TransformerSettings:
        config.refuse("position_embedding_type", unless="rotary", default="absolute")
        config.refuse("is_folding_model", unless=False, default=False)
        config.refuse("rope_theta", unless=10_000.0, default=10_000.0)
        if config.flag("token_dropout") and "<mask>" in ids:
            config.refuse("mask_token_id", unless=ids["<mask>"])
        return TransformerSettings(
            **shared,
            embedding_norm="yes" if config.flag("emb_layer_norm_before") else "no",
            masked="zero" if config.flag("token_dropout") else "token",
        )

    def ends(self, config: Config) -> dict[str, tuple[int, ...]]:
        width = config.whole("hidden_size", WIDEST)
        norms = ["encoder.emb_layer_norm_after"]
        if config.flag("emb_layer_norm_before"):
            norms.append("embeddings.layer_norm")
        shapes: dict[str, tuple[int, ...]] = {
            f"{norm}.{kind}": (width,) for norm in norms for kind in ("weight", "bias")
        }
        return shapes | {"embeddings.word_embeddings.weight": (config.whole("vocab_size", 2**24), width)}

    def convert_ends(self, take: Take, rows: list[int], settings: TransformerSettings) -> dict[str, Tensor]:
        weights = {"embedding.ids.weight": take("embeddings.word_embeddings.weight")[rows]}
        for kind in ("weight", "bias"):
            weights[f"norm.{kind}"] = take(f"encoder.emb_layer_norm_after.{kind}")
            if settings.embedding_norm == "yes":
                weights[f"embedding.norm.{kind}"] = take(f"embeddings.layer_norm.{kind}")
        return weights

    def adjusted(self, settings: TransformerSettings, left: dict[str, str], tensors: Tensors) -> TransformerSettings:
        """Frequencies that were rounded to 16 bits in training stay so: at residue 1,000 that is a tenth of a turn."""
        for full in (full for plain, full in left.items() if plain.endswith(_TURNS)):
            stored = tensors.read(full)
            for kind in ("exact", "half"):
                ours = frequencies(settings.head_width, rounded=kind == "half")
                if stored.shape == ours.shape and torch.allclose(stored, ours, rtol=1e-5, atol=0):
                    settings = replace(settings, rotary=kind)
                    break
            else:
                raise AnlageError(f"{tensors.folder}: {full} holds other rotary frequencies than base 10,000 gives")
        return settings
