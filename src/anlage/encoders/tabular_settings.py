"""Settings of the tabular encoders' MLP."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from anlage.encoders.settings import EncoderSettings


@dataclass(frozen=True)
class TabularSettings(EncoderSettings):
    """Multi-layer perceptron over numbers and categories."""

    layouts: ClassVar[frozenset[str]] = frozenset({"Columns"})
    presets: ClassVar[dict[str, dict[str, Any]]] = {"mlp": {}}
    sizes: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {"width": 64, "layers": 2},
        "small": {"width": 256, "layers": 3},
        "medium": {"width": 768, "layers": 4},
        "large": {"width": 2048, "layers": 6},
    }

    width: int = 256
    """Length of each hidden vector."""
    layers: int = 3
    """Hidden layers."""
    numbers: Literal["auto", "periodic", "plain"] = "auto"
    """How a number enters: as sines and cosines of learned frequencies, or as it is; auto = plain above 64 columns."""
    dropout: float = 0.2
    """Fraction of each hidden vector hidden."""
    input_dropout: float = 0.3
    """Fraction of plain columns hidden in training."""
