"""Settings of the transformer encoder."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from anlage.encoders.settings import EncoderSettings

_ESM2: dict[str, Any] = {"bias": "yes", "masked": "zero", "dropout": 0.0, "token_dropout": 0.0}
_BERT: dict[str, Any] = {
    "norm": "post",
    "positions": "learned",
    "position_limit": 512,
    "bias": "yes",
    "embedding_norm": "yes",
    "epsilon": 1e-12,
    "token_dropout": 0.0,
}


@dataclass(frozen=True)
class TransformerSettings(EncoderSettings):
    """Transformer over packed sequences: no padding in any linear layer. Pre-norm and rotary unless set otherwise."""

    layouts: ClassVar[frozenset[str]] = frozenset({"Tokens"})
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "transformer": {},
        "esm2-8m": {**_ESM2, "width": 320, "layers": 6, "head_width": 16},
        "esm2-35m": {**_ESM2, "width": 480, "layers": 12, "head_width": 24},
        "esm2-150m": {**_ESM2, "width": 640, "layers": 30, "head_width": 32},
        "esm2-650m": {**_ESM2, "width": 1280, "layers": 33, "head_width": 64},
        "bert-base": {**_BERT, "width": 768, "layers": 12, "head_width": 64},
    }
    sizes: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {"width": 64, "layers": 2, "head_width": 32},
        "small": {"width": 128, "layers": 5, "head_width": 64},
        "medium": {"width": 320, "layers": 6, "head_width": 64},
        "large": {"width": 512, "layers": 11, "head_width": 64},
    }

    width: int = 128
    """Length of each token's vector."""
    layers: int = 5
    """Blocks of attention and feed-forward layers."""
    head_width: int = 64
    """Length of the vectors that one attention head compares (even; the width is a multiple of it)."""
    expansion: int = 4
    """Feed-forward width as a multiple of ``width``."""
    activation: Literal["gelu", "gelu-tanh", "swiglu"] = "gelu"
    """Feed-forward kind; swiglu is two thirds as wide, so that both have equally many weights."""
    dropout: float = 0.1
    """Fraction hidden of what each layer adds."""
    token_dropout: float = 0.05
    """Fraction of tokens hidden in training; more for small data. Like dropout, 0 with aligned pooling."""
    pooling: Literal["auto", "attention", "mean", "max", "aligned"] = "auto"
    """How one vector is made of all tokens; auto = aligned for variants of one parent, else attention."""
    attention: Literal["full", "causal"] = "full"
    """What a token sees: all tokens of its sequence, or itself and those before it (next-token objectives)."""
    activations: Literal["kept", "recomputed"] = "kept"
    """recomputed = each block runs again in the backward pass: far less memory, a third more time."""
    norm: Literal["pre", "post"] = "pre"
    """Where a block normalises: before each layer (and once at the end), or after each sum (BERT)."""
    positions: Literal["rotary", "learned"] = "rotary"
    """How order is told: rotations of queries and keys, for any length, or a learned vector for each position."""
    rotary: Literal["exact", "half"] = "exact"
    """Rotary frequencies in full, or rounded to 16 bits, as in some published checkpoints."""
    position_limit: int = 1024
    """Learned positions; longer sequences are read in overlapping windows of this many tokens."""
    bias: Literal["no", "yes"] = "no"
    """Bias in linear layers."""
    embedding_norm: Literal["no", "yes"] = "no"
    """Normalise the embeddings (BERT)."""
    epsilon: float = 1e-5
    """Added to the variance in every norm."""
    masked: Literal["token", "zero"] = "token"
    """A hidden token: a learned vector, or zeros, with the other vectors scaled to 0.88 of the usual sum (ESM-2)."""
