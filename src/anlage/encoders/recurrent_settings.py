"""Settings of the recurrent encoder."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from anlage.encoders.settings import EncoderSettings


@dataclass(frozen=True)
class RecurrentSettings(EncoderSettings):
    """Bidirectional RNN, LSTM or GRU over sequences."""

    layouts: ClassVar[frozenset[str]] = frozenset({"Tokens"})
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "rnn": {"cell": "rnn"},
        "lstm": {"cell": "lstm"},
        "gru": {"cell": "gru"},
    }
    sizes: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {"width": 96, "layers": 1},
        "small": {"width": 256, "layers": 2},
        "medium": {"width": 768, "layers": 2},
        "large": {"width": 1280, "layers": 3},
    }

    cell: Literal["rnn", "lstm", "gru"] = "lstm"
    """The recurrent unit."""
    width: int = 256
    """Length of each token's vector: half from the left, half from the right (even)."""
    layers: int = 2
    """Bidirectional layers."""
    dropout: float = 0.1
    """Fraction of each vector hidden between layers."""
    token_dropout: float = 0.05
    """Fraction of tokens hidden in training; more for small data. Like dropout, 0 with aligned pooling."""
    pooling: Literal["auto", "attention", "mean", "max", "aligned"] = "auto"
    """How one vector is made of all tokens; auto = aligned for variants of one parent, else attention."""
