"""Parts become samples; missing inputs become learned vectors."""

import torch

from anlage.layers.fusion import Fusion
from anlage.types import Encoded


def test_one_input_passes_through_with_its_elements():
    fusion = Fusion({"sequence": 4})
    parts = Encoded(torch.randn(2, 4), torch.randn(5, 4), torch.tensor([2, 3]), spans=torch.zeros(5, 2))
    fused = fusion({"sequence": (parts, torch.tensor([0, 1]))})
    assert torch.equal(fused.pooled, parts.pooled)
    assert fused.elements is parts.elements and fused.spans is parts.spans and fused.lengths is parts.lengths
    repeated = fusion({"sequence": (parts, torch.tensor([1, 0, 1]))})
    assert torch.equal(repeated.pooled, parts.pooled[[1, 0, 1]])
    assert torch.equal(repeated.elements, parts.elements[[2, 3, 4, 0, 1, 2, 3, 4]])
    assert repeated.lengths.tolist() == [3, 2, 3] and len(repeated.spans) == 8
    partly = fusion({"sequence": (parts, torch.tensor([-1, 1]))})
    assert partly.lengths.tolist() == [0, 3] and torch.equal(partly.elements, parts.elements[2:])


def test_missing_inputs_become_learned_vectors():
    fusion = Fusion({"drug.smiles": 4, "image": 6})
    assert fusion.width == 6
    with torch.no_grad():
        fusion.missing[1].fill_(0.5)
    drug, image = Encoded(torch.randn(1, 4)), Encoded(torch.randn(2, 6))
    fused = fusion({"drug.smiles": (drug, torch.tensor([0, 0, -1])), "image": (image, torch.tensor([1, -1, 0]))})
    assert fused.pooled.shape == (3, 6)
    by_hand = fusion.project(torch.cat((drug.pooled[0], torch.full((6,), 0.5)))[None])
    torch.testing.assert_close(fused.pooled[1:2], by_hand)
    fused.pooled.square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in fusion.missing)


def test_an_input_missing_in_the_whole_batch():
    fusion = Fusion({"a": 3})
    fused = fusion({"a": (Encoded(torch.zeros(0, 3)), torch.tensor([-1, -1]))})
    assert fused.pooled.shape == (2, 3)
