"""Dropout hides the fraction asked for and keeps the mean."""

import pytest
import torch

from anlage.layers.dropout import Dropout, add_dropout, dropout


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.5, 0.9])
def test_fraction_and_mean(fraction):
    torch.manual_seed(0)
    x = torch.ones(301, 307)
    dropped = dropout(x, fraction, training=True)
    assert abs((dropped == 0).float().mean().item() - fraction) < 0.01
    assert abs(dropped.mean().item() - 1) < 0.03
    assert len(dropped.unique()) == 2


def test_what_is_hidden_gets_no_gradient_and_neighbours_are_independent():
    torch.manual_seed(0)
    x = torch.ones(100_000, requires_grad=True)
    dropped = dropout(x, 0.5, training=True)
    dropped.sum().backward()
    assert torch.equal(x.grad, dropped.detach())
    hidden = (dropped == 0).float()
    for distance in (1, 2, 7, 8):
        both = (hidden[:-distance] * hidden[distance:]).mean().item()
        assert abs(both - 0.25) < 0.01


def test_nothing_happens_outside_training():
    x = torch.randn(9)
    assert Dropout(0.5).eval()(x) is x
    assert dropout(x, 0.0, training=True) is x


def test_adding_in_one_pass_equals_two_steps():
    x, added = torch.randn(40, 9), torch.randn(40, 9)
    torch.manual_seed(1)
    two_steps = x + dropout(added, 0.3, training=True)
    torch.manual_seed(1)
    torch.testing.assert_close(add_dropout(x, added, 0.3, training=True), two_steps)
    assert torch.equal(add_dropout(x, added, 0.3, training=False), x + added)
