"""Settings of the residual image encoder."""

from dataclasses import dataclass
from typing import Any, ClassVar

from anlage.encoders.settings import EncoderSettings


@dataclass(frozen=True)
class ResidualSettings(EncoderSettings):
    """ResNet for images (2-D) and volumes (3-D); small images keep their resolution in the first layers."""

    layouts: ClassVar[frozenset[str]] = frozenset({"Grid"})
    presets: ClassVar[dict[str, dict[str, Any]]] = {"resnet": {}}
    sizes: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {"channels": 8, "depths": (1, 1, 1)},
        "small": {"channels": 24, "depths": (2, 2, 2)},
        "medium": {"channels": 56, "depths": (2, 2, 2, 2)},
        "large": {"channels": 96, "depths": (3, 4, 4, 2)},
    }

    channels: int = 24
    """Channels of the first stage; every later stage doubles them and halves the resolution."""
    depths: tuple[int, ...] = (2, 2, 2)
    """Residual blocks of each stage."""
    dropout: float = 0.1
    """Fraction of the pooled vector hidden."""
