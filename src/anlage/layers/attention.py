"""Pre-norm transformer blocks over packed runs: linear layers see no padding, attention next to none.

Linear layers have no bias (as in PaLM and ModernBERT): on CPUs that saves a twentieth of the time.

T tokens of all parts, W width, H heads, D width of a head, F feed-forward width; M members of a group, L the longest.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Complex, Float, Int
from torch import Tensor, nn

from anlage.errors import AnlageError
from anlage.layers.dropout import add_dropout
from anlage.layers.packing import Grouped

WASTE = 0.02
"""Padding allowed inside attention groups: a hundred groups an epoch cost less than the squares of longer rows."""


def rotations(positions: Int[Tensor, " tokens"], head_width: int) -> Complex[Tensor, "tokens 3 1 half"]:
    """Rotary positions (Su 2021, eq. 34) as complex numbers: one multiplication turns a pair of features.

    Queries and keys are turned; values are multiplied by one, which is cheaper than to cut them off and put them back.
    """
    frequency = 10_000.0 ** (-torch.arange(0, head_width, 2, device=positions.device) / head_width)
    angle = (positions[:, None] * frequency)[:, None].repeat(1, 3, 1)
    angle[:, 2] = 0
    return torch.polar(torch.ones_like(angle), angle)[:, :, None]


def _turn(qkv: Float[Tensor, "T 3 H D"], by: Complex[Tensor, "T 3 1 half"]) -> Float[Tensor, "T 3 H D"]:
    pairs = torch.view_as_complex(qkv.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * by).flatten(-2).type_as(qkv)


class Attention(nn.Module):
    """Multi-head self-attention in which tokens see all tokens of their own part and no others."""

    def __init__(self, width: int, head_width: int):
        super().__init__()
        if width % head_width or head_width % 2:
            raise AnlageError(f"width={width} must be a multiple of head_width={head_width}, and that an even number")
        self.heads = width // head_width
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(
        self, x_TW: Float[Tensor, "T W"], grouped: Grouped, turns: Complex[Tensor, "T 3 1 half"] | None
    ) -> Float[Tensor, "T W"]:
        qkv = self.qkv(x_TW).unflatten(1, (3, self.heads, -1))
        if turns is not None:
            qkv = _turn(qkv, turns)
        answers = []
        for group, rows in zip(grouped.groups, grouped.split(qkv.flatten(1)), strict=True):
            q_MHLD, k_MHLD, v_MHLD = rows.unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
            mask = None if group.valid is None else group.valid[:, None, None, :]
            answer = F.scaled_dot_product_attention(q_MHLD, k_MHLD, v_MHLD, attn_mask=mask)
            answers.append(answer.transpose(1, 2).flatten(2))
        return self.out(grouped.join(answers))


class FeedForward(nn.Module):
    """GELU(xA)B, or SwiGLU: (silu(xA) * xC)B (Shazeer 2020)."""

    def __init__(self, width: int, hidden: int, gated: bool):
        super().__init__()
        self.gated = gated
        self.rise = nn.Linear(width, hidden * 2 if gated else hidden, bias=False)
        self.fall = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Float[Tensor, "T W"]) -> Float[Tensor, "T W"]:
        h = self.rise(x)
        if self.gated:
            gate, h = h.chunk(2, -1)
            return self.fall(F.silu(gate) * h)
        return self.fall(F.gelu(h))


class TransformerBlock(nn.Module):
    """x + attention(norm(x)), then x + feed-forward(norm(x))."""

    def __init__(self, width: int, head_width: int, hidden: int, gated: bool, dropout: float):
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, head_width)
        self.feed_norm = nn.LayerNorm(width)
        self.feed = FeedForward(width, hidden, gated)
        self.dropout = dropout

    def forward(
        self, x: Float[Tensor, "T W"], grouped: Grouped, turns: Complex[Tensor, "T 3 1 half"] | None
    ) -> Float[Tensor, "T W"]:
        attended = self.attention(self.attention_norm(x), grouped, turns)
        x = add_dropout(x, attended, self.dropout, self.training)
        return add_dropout(x, self.feed(self.feed_norm(x)), self.dropout, self.training)
