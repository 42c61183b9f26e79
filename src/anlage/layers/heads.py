"""Heads: from an encoding to the raw output of a task."""

from jaxtyping import Float
from torch import Tensor, nn

from anlage.types import Encoded


class PooledHead(nn.Module):
    """LayerNorm → Linear → GELU → Dropout → Linear on the pooled vector: [samples, width] → [samples, outputs]."""

    def __init__(self, width: int, outputs: int, dropout: float = 0.1):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.hidden = nn.Linear(width, width)
        self.activation = nn.GELU()
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(width, outputs)

    def forward(self, encoded: Encoded) -> Float[Tensor, "samples outputs"]:
        """The raw output of each sample."""
        hidden = self.activation(self.hidden(self.norm(encoded.pooled)))
        return self.output(self.dropout(hidden))
