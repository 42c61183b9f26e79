"""Settings of the encoder that wraps a published model. Torch-free, and free of transformers."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from anlage.encoders.settings import SIZES, EncoderSettings


@dataclass(frozen=True)
class HubSettings(EncoderSettings):
    """Any other model of transformers, unchanged: name a folder or hf:ORG/NAME, which sets all of these."""

    layouts: ClassVar[frozenset[str]] = frozenset({"Tokens", "Grid"})
    presets: ClassVar[dict[str, dict[str, Any]]] = {"hub": {}}
    sizes: ClassVar[dict[str, dict[str, Any]]] = {size: {} for size in SIZES}

    layout: Literal["Tokens", "Grid"] = "Tokens"
    """What the model reads: sequences or images."""
    config: str = ""
    """The model's own config.json, as text: a bundle builds the model from it, offline."""
    ids: str = ""
    """The model's id for each of our tokens, as a JSON list."""
    image_size: tuple[int, ...] = (224, 224)
    """Height and width to which images are resized."""
    pooler: Literal["no", "yes"] = "no"
    """Take the model's own pooled vector of an image (yes), or the mean of its cells."""
