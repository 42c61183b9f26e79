"""How pretrained encoders are adapted to a target. Torch-free; the docstrings are the help of the command line."""

from dataclasses import dataclass
from typing import Literal

from anlage.errors import require

Adaptation = Literal["frozen", "partial", "lora", "full"]


@dataclass(frozen=True)
class AdaptationSettings:
    """Adaptation of pretrained encoders; fresh encoders are always trained in full."""

    adapt: Literal["auto", "frozen", "partial", "lora", "full"] | None = None
    """frozen: vectors are computed once and kept, only the head learns. partial: the last blocks learn. lora: small
    matrices beside the weights learn. full: all learns, lower blocks more slowly. auto: climbs frozen, lora, full while
    the gain on validation rows pays. Default: auto where an encoder is pretrained."""
    top_blocks: int = 2
    """Last blocks of the encoder that learn in a partial adaptation."""
    rank: int = 8
    """Rank of LoRA's matrices."""
    layer_decay: float = 0.8
    """Full adaptation: the learning rate of each block is this part of the rate of the block above it."""

    def __post_init__(self) -> None:
        require(self.top_blocks >= 1, "top_blocks", self.top_blocks, "1 or more")
        require(self.rank >= 1, "rank", self.rank, "1 or more")
        require(0 < self.layer_decay <= 1, "layer_decay", self.layer_decay, "a number above 0, at most 1")
