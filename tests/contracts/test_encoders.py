"""Every encoder preset keeps the promises of the protocol, for each layout that it declares."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from anlage.encoders import lookup
from anlage.encoders.settings import SIZES, EncoderSettings
from anlage.shapes import ColumnsShape, GridShape, Shape, TokensShape
from anlage.types import Columns, Encoded, Grid, Layout, Tokens

TOLERANCE = 1e-5


def tokens(lengths: list[int], vocabulary: int = 25) -> Tokens:
    """Random sequences of these lengths."""
    offsets = np.cumsum([0, *lengths])
    spans = torch.cat([torch.stack((torch.arange(n), torch.arange(n) + 1), 1) for n in lengths])
    return Tokens(torch.randint(0, vocabulary, (int(offsets[-1]),)), torch.tensor(lengths), spans)


def columns(parts: int, numbers: int, categories: tuple[int, ...]) -> Columns:
    """Random records with missing values among both kinds of column."""
    values = torch.randn(parts, numbers)
    if numbers:
        values[torch.rand(parts, numbers) < 0.3] = float("nan")
    codes = [torch.randint(0, size, (parts, 1)) for size in categories]
    return Columns(values, torch.cat(codes, 1) if codes else torch.zeros(parts, 0, dtype=torch.long))


VARIED = [37, 1, 2, 64, 3, 64, 150, 90, 5, 64]
EXAMPLES: dict[str, list[tuple[Shape, Layout]]] = {
    "Tokens": [
        (TokensShape(vocabulary=25, mask_id=24, max_tokens=200), tokens(VARIED)),
        (TokensShape(vocabulary=25, mask_id=24, max_tokens=60, aligned=60), tokens([60] * 8)),
        (TokensShape(vocabulary=25, mask_id=24, max_tokens=60, aligned=60), tokens(VARIED)),
    ],
    "Grid": [
        (GridShape(channels=1, space=(28, 28)), Grid(torch.randn(5, 1, 28, 28))),
        (GridShape(channels=3, space=(130, 70)), Grid(torch.randn(3, 3, 130, 70))),
        (GridShape(channels=1, space=(12, 10, 8)), Grid(torch.randn(4, 1, 12, 10, 8))),
    ],
    "Columns": [
        (ColumnsShape(numbers=6, categories=(4, 3)), columns(9, 6, (4, 3))),
        (ColumnsShape(numbers=100), columns(9, 100, ())),
        (ColumnsShape(numbers=0, categories=(5,)), columns(9, 0, (5,))),
    ],
}
"""What every encoder of a layout is tried on: a new layout needs examples here."""

TINY = "width=64,layers=2,head_width=32"
"""For presets that are one published model, whatever the size."""
WRAPPED = {
    "Tokens": {"model_type": "roberta", "vocab_size": 30, "hidden_size": 32, "num_hidden_layers": 2,
               "num_attention_heads": 4, "intermediate_size": 64, "max_position_embeddings": 200},
    "Grid": {"model_type": "vit", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
             "intermediate_size": 64, "image_size": 32, "patch_size": 8},
}  # fmt: skip
"""Models of transformers for the encoder that wraps them."""


def fixed_size(preset: str) -> bool:
    """Is the preset one published model?"""
    return "layers" in lookup.families()[lookup.names()[preset]].presets[preset]


def tiny(preset: str, shape: Shape) -> EncoderSettings:
    """The settings that a preset is tried with."""
    if preset != "hub":
        return lookup.parse(f"{preset}:{TINY}" if fixed_size(preset) else f"{preset}-tiny")
    pytest.importorskip("transformers", reason="published models need pip install 'anlage[hub]'")
    ids = json.dumps(list(range(3, 28)))
    wrapped = {"layout": shape.layout, "config": json.dumps(WRAPPED[shape.layout]), "ids": ids, "image_size": (32, 32)}
    return dataclasses.replace(lookup.parse(preset), **wrapped, pooler="no" if shape.layout == "Tokens" else "yes")


def readable(preset: str, shape: Shape) -> bool:
    """Published image models read no volumes."""
    return preset != "hub" or not isinstance(shape, GridShape) or len(shape.space) == 2


CASES = [
    pytest.param(preset, shape, layout, id=f"{preset}-{name}-{i}")
    for preset, family in lookup.names().items()
    for name in sorted(lookup.families()[family].layouts)
    for i, (shape, layout) in enumerate(EXAMPLES.get(name, []))
    if readable(preset, shape)
]


def take(layout: Layout, which: list[int]) -> Layout:
    """Some parts of a layout, in that order."""
    if isinstance(layout, Tokens):
        runs = torch.arange(len(layout.ids)).split(layout.lengths.tolist())
        flat = torch.cat([runs[i] for i in which])
        return Tokens(layout.ids[flat], layout.lengths[which], layout.spans[flat])
    values = {f.name: getattr(layout, f.name)[which] for f in dataclasses.fields(layout)}
    return type(layout)(**values)


def encoder(preset: str, shape: Shape, seed: int = 0) -> torch.nn.Module:
    """The tiny encoder, in eval mode, with weights away from their first values so that no bias is zero."""
    torch.manual_seed(seed)
    module = lookup.build(tiny(preset, shape), shape)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return module.eval()


def elements_by_part(encoded: Encoded) -> list[torch.Tensor] | None:
    return None if encoded.elements is None else list(encoded.elements.split(encoded.lengths.tolist()))


def test_every_layout_has_examples():
    declared = {name for settings in lookup.families().values() for name in settings.layouts}
    assert declared == EXAMPLES.keys(), "give each layout that an encoder declares its examples in EXAMPLES"


def test_every_family_has_a_preset_and_every_preset_runs_here():
    for family, settings in lookup.families().items():
        assert settings.presets, f"{family} has no name for --encoder"
        assert settings.sizes.keys() == set(SIZES), f"{family} lacks a size"
    assert {case.values[0] for case in CASES} == lookup.names().keys()


@pytest.mark.parametrize(("preset", "shape", "layout"), CASES)
def test_shapes(preset, shape, layout):
    module = encoder(preset, shape)
    encoded = module(layout)
    assert type(module).layouts == lookup.layouts(lookup.parse(preset))
    assert encoded.pooled.shape == (len(layout), module.width)
    assert encoded.pooled.dtype == torch.float32
    assert encoded.pooled.isfinite().all()
    if encoded.elements is not None:
        assert encoded.elements.shape == (int(encoded.lengths.sum()), module.width)
        assert len(encoded.lengths) == len(layout)
    if isinstance(layout, Tokens):
        assert torch.equal(encoded.lengths, layout.lengths)
        assert torch.equal(encoded.spans, layout.spans)
    if isinstance(layout, Grid):
        assert int(np.prod(encoded.space)) == int(encoded.lengths[0])


@pytest.mark.parametrize(("preset", "shape", "layout"), CASES)
def test_no_vector_depends_on_batch_mates(preset, shape, layout):
    module = encoder(preset, shape)
    n = len(layout)
    with torch.no_grad():
        together = module(layout)
        vectors = elements_by_part(together)
        companies = [[i] for i in range(n)] + [list(reversed(range(n))), list(range(1, n)), list(range(0, n, 2))]
        for company in companies:
            apart = module(take(layout, company))
            torch.testing.assert_close(apart.pooled, together.pooled[company], atol=TOLERANCE, rtol=TOLERANCE)
            if vectors is not None:
                for i, own in zip(company, elements_by_part(apart), strict=True):
                    torch.testing.assert_close(own, vectors[i], atol=TOLERANCE, rtol=TOLERANCE)


@pytest.mark.parametrize(("preset", "shape", "layout"), CASES)
def test_no_gradient_reaches_batch_mates(preset, shape, layout):
    if not isinstance(layout, Tokens):
        pytest.skip("parts of other layouts lie in rows of their own")
    module = encoder(preset, shape)
    captured = []
    embedding = module.model.get_input_embeddings() if preset == "hub" else module.embedding
    embedding.register_forward_hook(lambda _m, _i, out: captured.append(out) or out.retain_grad())
    which = 6
    module(layout).pooled[which].square().sum().backward()
    if preset == "hub":  # groups of padded rows: one row is reached, and in it no padding
        rows = torch.cat([(out.grad.abs().sum(2) > 0).sum(1) for out in captured])
        assert rows[rows > 0].tolist() == [layout.lengths[which]]
        return
    owner = torch.repeat_interleave(layout.lengths)
    reached = captured[0].grad.abs().sum(1) > 0
    assert set(owner[reached].tolist()) == {which}


@pytest.mark.parametrize(("preset", "shape", "layout"), CASES)
def test_gradients_reach_every_parameter(preset, shape, layout):
    module = encoder(preset, shape).train()
    encoded = module(layout)
    (encoded.pooled * torch.randn_like(encoded.pooled)).sum().backward()
    without = [name for name, p in module.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not without


@pytest.mark.parametrize(("preset", "shape", "layout"), CASES)
def test_blocks_hold_every_parameter_once_and_in_order(preset, shape, layout):
    module = encoder(preset, shape)
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    held = [names[id(parameter)] for block in module.blocks for parameter in block.parameters()]
    assert held == list(names.values())


@pytest.mark.parametrize(("preset", "shape", "layout"), CASES)
def test_weights_follow_from_the_seed_and_travel(preset, shape, layout):
    one, same, other = (encoder(preset, shape, seed) for seed in (3, 3, 4))
    for a, b in zip(one.state_dict().values(), same.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    with torch.no_grad():
        assert not torch.allclose(one(layout).pooled, other(layout).pooled)
        other.load_state_dict(one.state_dict())
        assert torch.equal(one(layout).pooled, other(layout).pooled)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("preset", lookup.names())
def test_settings_travel_as_json(preset, size):
    settings = lookup.parse(f"{preset}-{size}")
    assert lookup.from_json(json.loads(json.dumps(lookup.to_json(settings)))) == settings


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("preset", lookup.names())
def test_sizes_grow_as_documented(preset, size):
    settings = lookup.parse(f"{preset}-{size}")
    if "Tokens" not in settings.layouts or fixed_size(preset) or preset == "hub":
        pytest.skip("the sizes in millions of weights are promised for our own encoders of sequences")
    with torch.device("meta"):
        module = lookup.build(settings, EXAMPLES["Tokens"][0][0])
    millions = sum(p.numel() for p in module.parameters()) / 1e6
    about = dict(zip(SIZES, (0.1, 1, 8, 35), strict=True))[size]
    assert about / 3 < millions < about * 1.5
