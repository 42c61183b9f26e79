"""Settings of encoders: the base class, and from a user's words ("lstm-small:width=192") to settings. Torch-free."""

from dataclasses import dataclass
from typing import Any, ClassVar

SIZES = ("tiny", "small", "medium", "large")


@dataclass(frozen=True)
class EncoderSettings:
    """Base of the settings of one encoder family. The fields of a subclass are its options."""

    layouts: ClassVar[frozenset[str]]
    """Names of the layouts that the encoder reads."""
    presets: ClassVar[dict[str, dict[str, Any]]]
    """Names for ``--encoder`` and the options that each of them sets."""
    sizes: ClassVar[dict[str, dict[str, Any]]]
    """The options that each of SIZES sets."""
