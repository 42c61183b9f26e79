"""Settings of the FT-transformer."""

from dataclasses import dataclass
from typing import Any, ClassVar

from anlage.encoders.settings import EncoderSettings


@dataclass(frozen=True)
class ColumnAttentionSettings(EncoderSettings):
    """FT-transformer: every column becomes a vector, and the columns attend to one another."""

    layouts: ClassVar[frozenset[str]] = frozenset({"Columns"})
    presets: ClassVar[dict[str, dict[str, Any]]] = {"ft-transformer": {}}
    sizes: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {"width": 64, "layers": 2, "head_width": 32},
        "small": {"width": 128, "layers": 5, "head_width": 32},
        "medium": {"width": 320, "layers": 6, "head_width": 64},
        "large": {"width": 512, "layers": 11, "head_width": 64},
    }

    width: int = 128
    """Length of each column's vector."""
    layers: int = 5
    """Blocks of attention and feed-forward layers."""
    head_width: int = 32
    """Length of the vectors that one attention head compares (the width is a multiple of it)."""
    dropout: float = 0.1
    """Fraction hidden of what each layer adds."""
