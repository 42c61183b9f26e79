"""Transformer blocks over packed runs: linear layers see no padding, attention next to none.

Unless their style says so, linear layers have no bias (as in PaLM and ModernBERT): on CPUs that saves a twentieth of
the time.

T tokens of all parts, W width, H heads, D width of a head, F feed-forward width; M members of a group, L the longest.
"""

import contextlib
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Complex, Float, Int
from torch import Tensor, nn

from anlage.errors import AnlageError
from anlage.layers.dropout import add_dropout
from anlage.layers.packing import Grouped

WASTE = 0.02
"""Padding allowed inside attention groups: a hundred groups an epoch cost less than the squares of longer rows."""


@dataclass(frozen=True)
class Style:
    """In what published transformers differ, beside their sizes."""

    post_norm: bool = False
    """Norms after each sum (BERT) instead of before each layer."""
    bias: bool = False
    """Bias in linear layers."""
    epsilon: float = 1e-5
    """Added to the variance in norms."""
    tanh: bool = False
    """GELU by its tanh approximation."""
    causal: bool = False
    """Tokens see themselves and what stands before them in their part."""


PLAIN = Style()


def frequencies(head_width: int, rounded: bool = False) -> Float[Tensor, " half"]:
    """Radians by which each pair of features turns from one token to the next (Su 2021), base 10,000.

    ``rounded`` to 16 bits, as checkpoints that were trained in half precision have them.
    """
    exact = 10_000.0 ** (-torch.arange(0, head_width, 2) / head_width)
    return exact.half().float() if rounded else exact


def rotations(
    positions: Int[Tensor, " tokens"], head_width: int, rounded: bool = False
) -> Complex[Tensor, "tokens 3 1 half"]:
    """Rotary positions (Su 2021, eq. 34) as complex numbers: one multiplication turns a pair of features.

    Queries and keys are turned; values are multiplied by one, which is cheaper than to cut them off and put them back.
    """
    frequency = frequencies(head_width, rounded).to(positions.device)
    angle = (positions[:, None] * frequency)[:, None].repeat(1, 3, 1)
    angle[:, 2] = 0
    return torch.polar(torch.ones_like(angle), angle)[:, :, None]


def _turn(qkv: Float[Tensor, "T 3 H D"], by: Complex[Tensor, "T 3 1 half"]) -> Float[Tensor, "T 3 H D"]:
    pairs = torch.view_as_complex(qkv.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * by).flatten(-2).type_as(qkv)


class Attention(nn.Module):
    """Multi-head self-attention in which tokens see the tokens of their own part and no others."""

    def __init__(self, width: int, head_width: int, style: Style = PLAIN):
        super().__init__()
        if width % head_width or head_width % 2:
            raise AnlageError(f"width={width} must be a multiple of head_width={head_width}, and that an even number")
        self.heads, self.causal = width // head_width, style.causal
        self.qkv = nn.Linear(width, 3 * width, bias=style.bias)
        self.out = nn.Linear(width, width, bias=style.bias)

    def forward(
        self, x_TW: Float[Tensor, "T W"], grouped: Grouped, turns: Complex[Tensor, "T 3 1 half"] | None
    ) -> Float[Tensor, "T W"]:
        qkv = self.qkv(x_TW).unflatten(1, (3, self.heads, -1))
        if turns is not None:
            qkv = _turn(qkv, turns)
        # on CPUs the backward pass of attention is slower in 16 bits than in 32
        exact = x_TW.device.type == "cpu" and torch.is_grad_enabled()
        with torch.autocast("cpu", enabled=False) if exact else contextlib.nullcontext():
            answers = self._attend(qkv.float() if exact else qkv, grouped)
        return self.out(answers)

    def _attend(self, qkv: Float[Tensor, "T 3 H D"], grouped: Grouped) -> Float[Tensor, "T W"]:
        answers = []
        for group, rows in zip(grouped.groups, grouped.split(qkv.flatten(1)), strict=True):
            q_MHLD, k_MHLD, v_MHLD = rows.unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
            # padding comes last in its row: where tokens look back only, none can see it
            mask = None if group.valid is None or self.causal else group.valid[:, None, None, :]
            answer = F.scaled_dot_product_attention(q_MHLD, k_MHLD, v_MHLD, attn_mask=mask, is_causal=self.causal)
            answers.append(answer.transpose(1, 2).flatten(2))
        return grouped.join(answers)


class FeedForward(nn.Module):
    """GELU(xA)B, or SwiGLU: (silu(xA) * xC)B (Shazeer 2020)."""

    def __init__(self, width: int, hidden: int, gated: bool, style: Style = PLAIN):
        super().__init__()
        self.gated, self.approximate = gated, "tanh" if style.tanh else "none"
        self.rise = nn.Linear(width, hidden * 2 if gated else hidden, bias=style.bias)
        self.fall = nn.Linear(hidden, width, bias=style.bias)

    def forward(self, x: Float[Tensor, "T W"]) -> Float[Tensor, "T W"]:
        h = self.rise(x)
        if self.gated:
            gate, h = h.chunk(2, -1)
            return self.fall(F.silu(gate) * h)
        return self.fall(F.gelu(h, approximate=self.approximate))


class TransformerBlock(nn.Module):
    """x + attention(norm(x)), then x + feed-forward(norm(x)); post-norm: norm(x + attention(x)), then likewise."""

    def __init__(self, width: int, head_width: int, hidden: int, gated: bool, dropout: float, style: Style = PLAIN):
        super().__init__()
        self.attention_norm = nn.LayerNorm(width, eps=style.epsilon)
        self.attention = Attention(width, head_width, style)
        self.feed_norm = nn.LayerNorm(width, eps=style.epsilon)
        self.feed = FeedForward(width, hidden, gated, style)
        self.dropout, self.post_norm = dropout, style.post_norm

    def forward(
        self, x: Float[Tensor, "T W"], grouped: Grouped, turns: Complex[Tensor, "T 3 1 half"] | None
    ) -> Float[Tensor, "T W"]:
        if self.post_norm:
            x = self.attention_norm(self._add(x, self.attention(x, grouped, turns)))
            return self.feed_norm(self._add(x, self.feed(x)))
        x = self._add(x, self.attention(self.attention_norm(x), grouped, turns))
        return self._add(x, self.feed(self.feed_norm(x)))

    def _add(self, x: Float[Tensor, "T W"], added: Float[Tensor, "T W"]) -> Float[Tensor, "T W"]:
        return add_dropout(x, added, self.dropout, self.training)
