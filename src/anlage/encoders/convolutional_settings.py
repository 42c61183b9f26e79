"""Settings of the convolutional encoder."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from anlage.encoders.settings import EncoderSettings


@dataclass(frozen=True)
class ConvolutionalSettings(EncoderSettings):
    """1-D residual, dilated convolutions over sequences. Fast, strong on motifs, good with little data."""

    layouts: ClassVar[frozenset[str]] = frozenset({"Tokens"})
    presets: ClassVar[dict[str, dict[str, Any]]] = {"cnn": {}}
    sizes: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {"width": 64, "layers": 4, "kernel": 5},
        "small": {"width": 128, "layers": 8, "kernel": 7},
        "medium": {"width": 320, "layers": 11, "kernel": 7},
        "large": {"width": 640, "layers": 12, "kernel": 7},
    }

    width: int = 128
    """Channels of every layer."""
    layers: int = 8
    """Residual blocks, each with one convolution."""
    kernel: int = 7
    """Tokens that one convolution sees (odd)."""
    dilations: tuple[int, ...] = (1, 2, 4)
    """Distance between the tokens that a convolution sees, layer after layer, over and over."""
    stride: int = 4
    """The layers after the second work on means of this many tokens; 1 = every layer on every token."""
    dropout: float = 0.1
    """Fraction of channels hidden in each block, and of the pooled vector."""
    token_dropout: float = 0.05
    """Fraction of tokens hidden in training; more for small data. Like dropout, 0 with aligned pooling."""
    pooling: Literal["auto", "attention", "mean", "max", "aligned"] = "auto"
    """How one vector is made of all tokens; auto = aligned for variants of one parent, else attention."""
