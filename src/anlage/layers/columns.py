"""Columns of numbers and categories → vectors, with a learned vector wherever a value is missing."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from anlage.layers.dropout import dropout
from anlage.shapes import ColumnsShape


class PeriodicNumbers(nn.Module):
    """Each number → relu(linear of its sines, cosines and itself): PLR of Gorishniy 2022, eqs. 2-3, with the
    plain value kept beside the periods so that a trend is learned as easily as a period."""

    def __init__(self, numbers: int, width: int, frequencies: int = 16, sigma: float = 0.3):
        super().__init__()
        self.frequency = nn.Parameter(torch.randn(numbers, frequencies) * sigma)
        bound = (2 * frequencies + 1) ** -0.5
        self.weight = nn.Parameter(torch.empty(numbers, 2 * frequencies + 1, width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(numbers, width))
        self.missing = nn.Parameter(torch.randn(numbers, width) * 0.1)

    def forward(self, numbers: Float[Tensor, "parts numbers"]) -> Float[Tensor, "parts numbers width"]:
        absent = numbers.isnan()
        value = numbers.nan_to_num(0.0)[:, :, None]
        angle = 2 * math.pi * self.frequency * value
        features = torch.cat((angle.sin(), angle.cos(), value), -1)
        vectors = F.relu(torch.einsum("pnf,nfw->pnw", features, self.weight) + self.bias)
        return torch.where(absent[:, :, None], self.missing, vectors)


class LinearNumbers(nn.Module):
    """Each number times a learned vector plus another (Gorishniy 2021, feature tokenizer)."""

    def __init__(self, numbers: int, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(numbers, width) * width**-0.5)
        self.bias = nn.Parameter(torch.randn(numbers, width) * width**-0.5)
        self.missing = nn.Parameter(torch.randn(numbers, width) * width**-0.5)

    def forward(self, numbers: Float[Tensor, "parts numbers"]) -> Float[Tensor, "parts numbers width"]:
        vectors = numbers.nan_to_num(0.0)[:, :, None] * self.weight + self.bias
        return torch.where(numbers.isnan()[:, :, None], self.missing, vectors)


class PlainNumbers(nn.Module):
    """Numbers as they are, with a learned value in place of each missing one: for wide tables.

    ``dropout``: fraction of columns hidden in training.
    """

    def __init__(self, numbers: int, dropout: float):
        super().__init__()
        self.missing = nn.Parameter(torch.zeros(numbers))
        self.dropout = dropout

    def forward(self, numbers: Float[Tensor, "parts numbers"]) -> Float[Tensor, "parts numbers"]:
        return dropout(torch.where(numbers.isnan(), self.missing, numbers), self.dropout, self.training)


class Categories(nn.Module):
    """A learned vector for each code of each categorical column; code 0 (missing or never seen) has one as well."""

    def __init__(self, shape: ColumnsShape, width: int):
        super().__init__()
        sizes = torch.tensor(shape.categories)
        self.first: Tensor
        self.register_buffer("first", torch.cumsum(sizes, 0) - sizes, persistent=False)
        self.codes = nn.Embedding(int(sizes.sum()), width)
        nn.init.normal_(self.codes.weight, std=width**-0.5)

    def forward(self, categories: Int[Tensor, "parts categories"]) -> Float[Tensor, "parts categories width"]:
        return self.codes(categories + self.first)
