"""The protocol of an encoder: an nn.Module from a layout to :class:`Encoded`.

An encoder is two files in ``encoders/``: ``<family>_settings.py`` (torch-free: a subclass of
:class:`EncoderSettings`, whose ``presets`` are the names for ``--encoder`` and whose docstrings are the help) and
``<family>.py`` with one subclass of :class:`Encoder`. Both are found by file name.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import nn

from anlage.encoders.settings import EncoderSettings
from anlage.shapes import Shape
from anlage.types import Encoded


class Encoder(nn.Module, ABC):
    """From a layout to vectors. A vector never depends on the batch-mates (1e-5), whatever their number or order.

    ``layouts``: names of the layouts that it reads. ``width``: length of its vectors. ``blocks``: its layers from
    input to output, which freezing, LoRA, layer-wise learning rates, pruning and distillation work on from outside.
    """

    layouts: ClassVar[frozenset[str]]
    width: int

    @abstractmethod
    def __init__(self, settings: EncoderSettings, shape: Shape):
        """Build for the layout that ``shape`` describes. Random numbers come from torch's global generator."""
        super().__init__()

    @property
    @abstractmethod
    def blocks(self) -> list[nn.Module]:
        """Ordered from input (embedding) to output; together they hold every parameter."""

    @abstractmethod
    def forward(self, layout: Any) -> Encoded:
        """Vectors for each element and one pooled vector for each part. ``layout`` is one of those in ``layouts``."""
