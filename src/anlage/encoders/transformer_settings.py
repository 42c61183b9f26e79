"""Settings of the transformer encoder."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from anlage.encoders.settings import EncoderSettings


@dataclass(frozen=True)
class TransformerSettings(EncoderSettings):
    """Pre-norm transformer with rotary positions over packed sequences: no padding in any linear layer."""

    layouts: ClassVar[frozenset[str]] = frozenset({"Tokens"})
    presets: ClassVar[dict[str, dict[str, Any]]] = {"transformer": {}}
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
    activation: Literal["gelu", "swiglu"] = "gelu"
    """Feed-forward kind; swiglu is two thirds as wide, so that both have equally many weights."""
    dropout: float = 0.1
    """Fraction hidden of what each layer adds."""
    token_dropout: float = 0.05
    """Fraction of tokens hidden in training; more for small data. Like dropout, 0 with aligned pooling."""
    pooling: Literal["auto", "attention", "mean", "max", "aligned"] = "auto"
    """How one vector is made of all tokens; auto = aligned for variants of one parent, else attention."""
