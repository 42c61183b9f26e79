"""Every adaptation keeps its promises on every encoder: what may change changes, all else stays bit for bit."""

import copy
from collections.abc import Collection
from typing import get_args

import pytest
import torch
from contracts.test_encoders import CASES as PRESETS
from contracts.test_encoders import TOLERANCE, encoder
from torch import Tensor, nn

from anlage.adaptation import lora
from anlage.adaptation.lookup import adaptations
from anlage.adaptation.protocol import Adapted, Unsuitable
from anlage.adaptation.settings import Adaptation, AdaptationSettings
from anlage.encoders import lookup
from anlage.shapes import Shape
from anlage.training.schedule import optimiser
from anlage.types import Layout

SETTINGS = AdaptationSettings(top_blocks=1, rank=3)
POOLING = "pooling."


def everything(module: nn.Module) -> set[str]:
    """Names of all tensors that a bundle keeps."""
    return set(module.state_dict())


def nothing(module: nn.Module) -> set[str]:
    """No name."""
    return set()


def top(module: nn.Module) -> set[str]:
    """Names of the tensors of the last block that holds a matrix and of those after it."""
    kept = []
    for block in reversed(module.blocks):
        kept.append(block)
        if any(parameter.ndim > 1 for parameter in block.parameters()):
            break
    held = {id(tensor) for block in kept for tensor in block.state_dict(keep_vars=True).values()}
    return {name for name, tensor in module.state_dict(keep_vars=True).items() if id(tensor) in held}


PROMISES = {"frozen": nothing, "partial": top, "lora": nothing, "full": everything}
"""For each adaptation, which of the encoder's own tensors may change in training."""
UNSUITED = {("lora", "recurrent")}
"""(adaptation, family): what cannot be, and says so."""

FIRST = {family: preset for preset, family in reversed(lookup.names().items())}
"""A preset of each family: the others differ in sizes and options alone."""
CASES = [case for case in PRESETS if case.values[0] in FIRST.values()]
EVERY = [
    pytest.param(name, *case.values, id=f"{name}-{case.id}")
    for name in PROMISES
    for case in CASES
    if (name, lookup.names()[case.values[0]]) not in UNSUITED
]


LORA = [pytest.param(*case.values[1:], id=case.id) for case in EVERY if case.values[0] == "lora"]

POOLED = [case for case in EVERY if "-Tokens-" in str(case.id) and "-hub-" not in str(case.id)]
"""Encoders whose pooling learns (that of published models is a plain mean)."""


def adapt(name: str, module: nn.Module, fresh: Collection[str] = ()) -> Adapted:
    """The encoder adapted, with parameters' names of what is fresh."""
    return adaptations()[name](module, list(module.blocks), frozenset(fresh), SETTINGS)


def learn(module: nn.Module, adapted: Adapted, layout: Layout, steps: int = 3) -> None:
    """A few large steps to any target, as the training loop makes them."""
    learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimizer = optimiser(module, 1e-2, 0.01, adapted.factors) if learning else None
    target = torch.randn(len(layout), module.width)
    train_mode(module, adapted)
    for _ in range(steps):
        loss = (module(layout).pooled - target).square().sum()
        if optimizer is not None:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    module.eval()


def train_mode(module: nn.Module, adapted: Adapted) -> None:
    """As :meth:`Model.train`."""
    module.train()
    for resting in adapted.resting:
        resting.eval()


def base_name(name: str) -> str:
    """The plain name of a tensor whose layer has small matrices beside it."""
    return name.replace(".base.", ".")


def changed(before: dict[str, Tensor], module: nn.Module) -> set[str]:
    """Names of the encoder's own tensors that are not as they were."""
    now = {base_name(name): tensor for name, tensor in module.state_dict().items()}
    assert before.keys() <= now.keys()
    return {name for name, tensor in before.items() if not torch.equal(tensor, now[name])}


def test_every_adaptation_is_here_and_can_be_asked_for():
    assert PROMISES.keys() == adaptations().keys() == set(get_args(Adaptation))


@pytest.mark.parametrize(("name", "preset", "shape", "layout"), EVERY)
def test_what_may_change_changes_and_nothing_else(name: str, preset: str, shape: Shape, layout: Layout):
    module = encoder(preset, shape)
    before = copy.deepcopy(module.state_dict())
    may = PROMISES[name](module)
    adapted = adapt(name, module)
    learn(module, adapted, layout)
    does = changed(before, module)
    assert does <= may
    parameters = {base_name(parameter) for parameter, _ in module.named_parameters()}
    assert does >= may & parameters
    learning = {base_name(n) for n, parameter in module.named_parameters() if parameter.requires_grad}
    assert learning & before.keys() == may & parameters


@pytest.mark.parametrize(
    ("name", "preset", "shape", "layout"), [c for c in EVERY if c.values[0] in ("frozen", "partial")]
)
def test_blocks_that_do_not_learn_rest(name: str, preset: str, shape: Shape, layout: Layout):
    module = encoder(preset, shape)
    train_mode(module, adapt(name, module))
    for block in module.blocks:
        if parameters := list(block.parameters()):
            assert block.training == any(parameter.requires_grad for parameter in parameters)


def test_every_family_is_here():
    assert {lookup.names()[case.values[0]] for case in CASES} == lookup.families().keys()


@pytest.mark.parametrize(("preset", "shape", "layout"), LORA)
def test_lora_begins_without_effect_and_learns_beside_the_weights(preset: str, shape: Shape, layout: Layout):
    module = encoder(preset, shape)
    with torch.no_grad():
        before = module(layout).pooled
        adapted = adapt("lora", module)
        torch.testing.assert_close(module.eval()(layout).pooled, before, atol=1e-6, rtol=1e-6)
    learn(module, adapted, layout)
    small = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    assert small and all(name.endswith((".up.weight", ".down.weight")) for name in small)
    with torch.no_grad():
        assert not torch.allclose(module(layout).pooled, before, atol=1e-3)


@pytest.mark.parametrize(("preset", "shape", "layout"), LORA)
def test_lora_merged_is_the_plain_encoder_and_computes_the_same(preset: str, shape: Shape, layout: Layout):
    module, plain = encoder(preset, shape), encoder(preset, shape, seed=5)
    learn(module, adapt("lora", module), layout)
    with torch.no_grad():
        adapted = module(layout).pooled
        lora.merge(module)
        plain.load_state_dict(module.state_dict())
        torch.testing.assert_close(plain(layout).pooled, adapted, atol=TOLERANCE, rtol=TOLERANCE)


@pytest.mark.parametrize(("name", "preset", "shape", "layout"), POOLED)
def test_fresh_pooling_learns_at_the_full_rate_except_where_the_encoder_rests(
    name: str, preset: str, shape: Shape, layout: Layout
):
    module = encoder(preset, shape)
    fresh = {n for n in module.state_dict() if n.startswith(POOLING)}
    before = copy.deepcopy(module.state_dict())
    adapted = adapt(name, module, fresh)
    assert not fresh & adapted.factors.keys()
    learn(module, adapted, layout)
    assert (changed(before, module) & fresh == fresh) == (name != "frozen")
    if name in ("partial", "lora"):  # a fresh pooling is none of the blocks that were trained before
        assert changed(before, module) - fresh == (top_below(module) if name == "partial" else set())


def top_below(module: nn.Module) -> set[str]:
    """As :func:`top`, of the blocks below the pooling."""
    kept = []
    for block in reversed(module.blocks[:-1]):
        kept.append(block)
        if any(parameter.ndim > 1 for parameter in block.parameters()):
            break
    held = {id(parameter) for block in kept for parameter in block.parameters()}
    return {name for name, parameter in module.named_parameters() if id(parameter) in held}


@pytest.mark.parametrize(("preset", "shape", "layout"), CASES)
def test_full_learns_the_more_slowly_the_lower(preset: str, shape: Shape, layout: Layout):
    module = encoder(preset, shape)
    adapted = adapt("full", module)
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    rates = [{adapted.factors[names[id(p)]] for p in block.parameters()} for block in module.blocks]
    assert all(len(rate) <= 1 for rate in rates)
    rising = [rate.pop() for rate in rates if rate]
    assert rising == sorted(rising) and rising[-1] < 1 and (len(rising) == 1 or rising[0] < rising[-1])


@pytest.mark.parametrize(("name", "family"), sorted(UNSUITED))
def test_what_cannot_be_adapted_so_says_what_can(name: str, family: str):
    for preset, shape, _ in (case.values for case in CASES if lookup.names()[case.values[0]] == family):
        module = encoder(preset, shape)
        with pytest.raises(Unsuitable, match="use partial or full"):
            adapt(name, module)
        assert all(parameter.requires_grad for parameter in module.parameters())
