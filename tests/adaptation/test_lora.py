"""Small matrices beside the weights: what they add, what is left alone, and what is left when they are merged."""

import pytest
import torch
from torch import nn

from anlage.adaptation import lora
from anlage.adaptation.lora import ALPHA, LowRank
from anlage.adaptation.protocol import Unsuitable, depths
from anlage.adaptation.settings import AdaptationSettings
from anlage.errors import AnlageError

LAYERS = [
    (nn.Linear(6, 5), (3, 6)),
    (nn.Linear(6, 5, bias=False), (2, 3, 6)),
    (nn.Conv1d(4, 6, 5, padding=4, dilation=2), (2, 4, 11)),
    (nn.Conv1d(4, 6, 3, padding="same", padding_mode="circular"), (2, 4, 11)),
    (nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=False), (2, 4, 9, 7)),
    (nn.Conv3d(2, 3, (3, 1, 2)), (2, 2, 5, 4, 6)),
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS)
def test_it_computes_what_one_layer_with_its_weight_computes(layer: nn.Module, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    holder = nn.Sequential(layer)
    x, before = torch.randn(shape), layer(torch.zeros(shape))
    wrapped = LowRank(layer, rank=2)  # type: ignore[arg-type]
    holder[0] = wrapped
    assert torch.equal(wrapped(x), layer(x)), "up is zero at first"
    with torch.no_grad():
        wrapped.up.weight.normal_()
        added = wrapped(x) - layer(x)
        assert added.abs().max() > 0.1
        torch.testing.assert_close(added, wrapped.up(wrapped.down(x)) * ALPHA / 2, atol=1e-5, rtol=1e-5)
        assert torch.equal(wrapped(torch.zeros(shape)), before), "no bias is added"
        y = wrapped(x)
        lora.merge(holder)
        assert holder[0] is layer
        torch.testing.assert_close(holder(x), y, atol=1e-5, rtol=1e-5)


class Small(nn.Module):
    """A layer of each kind, and one that reads another's weight."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 8)
        self.first = nn.Linear(8, 8)
        self.norm = nn.BatchNorm1d(8)
        self.grouped = nn.Conv1d(8, 8, 3, padding=1, groups=8)
        self.attention = nn.MultiheadAttention(8, 2)
        self.pooling = nn.Linear(8, 8)

    @property
    def blocks(self) -> list[nn.Module]:
        return [self.embedding, self.first, self.norm, self.grouped, self.attention, self.pooling]

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.norm(nn.functional.linear(self.embedding(ids), self.first.weight, self.first.bias))
        x = self.grouped(x.T[None])[0].T
        return self.pooling(self.attention(x, x, x)[0])


def test_only_plain_layers_get_matrices_and_running_means_rest() -> None:
    module = Small()
    adapted = lora.adapt(module, module.blocks, frozenset(), AdaptationSettings(rank=2))
    wrapped = {name for name, child in module.named_modules() if isinstance(child, LowRank)}
    assert wrapped == {"first", "pooling"}
    assert adapted.resting == [module.norm]
    module.train()
    module.norm.eval()
    ids = torch.arange(7)
    module(ids).sum().backward()
    assert module.first.up.weight.grad is not None, "whoever reads the layer's weight reads what it has learned"


def test_a_fresh_pooling_is_not_wrapped() -> None:
    module = Small()
    lora.adapt(module, module.blocks, {"pooling.weight", "pooling.bias"}, AdaptationSettings())
    assert type(module.pooling) is nn.Linear and module.pooling.weight.requires_grad


def test_where_there_is_nothing_to_wrap_it_says_what_to_do() -> None:
    module = nn.Sequential(nn.Embedding(5, 3), nn.LSTM(3, 3))
    with pytest.raises(Unsuitable, match="recurrent.*partial or full"):
        lora.adapt(module, list(module), frozenset(), AdaptationSettings())
    bare = nn.Sequential(nn.Embedding(5, 3))
    with pytest.raises(AnlageError, match="no linear or convolutional"):
        lora.adapt(bare, list(bare), frozenset(), AdaptationSettings())


def test_norms_belong_to_the_layer_below_them() -> None:
    module = Small()
    assert depths(module, module.blocks, frozenset()) == [4, 3, 3, 2, 1, 0]
    assert depths(module, module.blocks, {"pooling.weight", "pooling.bias"}) == [3, 2, 2, 1, 0, 0]
