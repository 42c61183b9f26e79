"""What the settings of the transformer promise, beyond the conformance suite and the published families."""

import pytest
import torch
from encoders.published import MASK, OURS, parts

from anlage.encoders import lookup
from anlage.errors import AnlageError
from anlage.layers.attention import TransformerBlock
from anlage.shapes import TokensShape
from anlage.types import Tokens

SHAPE = TokensShape(vocabulary=len(OURS), mask_id=MASK, max_tokens=200)
SMALL = "transformer-tiny:pooling=mean"


def encoder(options: str = "", shape: TokensShape = SHAPE):
    torch.manual_seed(0)
    return lookup.build(lookup.parse(f"{SMALL},{options}"), shape)


def test_the_plain_transformer_has_the_tensors_that_bundles_hold():
    module = encoder()
    names = [name for name in module.state_dict() if ".1." not in name]
    attention = ["attention_norm.weight", "attention_norm.bias", "attention.qkv.weight", "attention.out.weight"]
    feed = ["feed_norm.weight", "feed_norm.bias", "feed.rise.weight", "feed.fall.weight"]
    block = [f"layers.0.{part}" for part in attention + feed]
    assert names == ["embedding.ids.weight", *block, "norm.weight", "norm.bias"]


def test_causal_tokens_see_nothing_that_follows():
    module = encoder("attention=causal").eval()
    layout = parts([40, 3, 41, 1], masks=0)
    changed = layout.ids.clone()
    changed[[10, 43, 60]] = 4  # in the first part, the second and the third
    with torch.no_grad():
        before, after = module(layout), module(Tokens(changed, layout.lengths, layout.spans))
    same = (before.elements - after.elements).abs().amax(1) < 1e-6
    first = {0: 10, 42: 43, 47: 60, 90: 93}  # start of each part → its first changed token (none in the last)
    for start, from_here in first.items():
        length = int(layout.lengths[list(first).index(start)])
        assert same[start : min(from_here, start + length)].all()
        assert not same[from_here : start + length].any()


def test_full_attention_sees_what_follows():
    module = encoder().eval()
    layout = parts([40], masks=0)
    changed = layout.ids.clone()
    changed[30] = 4
    with torch.no_grad():
        moved = (module(layout).elements - module(Tokens(changed, layout.lengths, layout.spans)).elements).abs()
    assert (moved.amax(1) > 1e-6).all()


def test_recomputed_activations_change_neither_outputs_nor_gradients(monkeypatch):
    layout = parts([40, 3, 17])
    runs = []
    whole = TransformerBlock.forward
    monkeypatch.setattr(TransformerBlock, "forward", lambda self, *a: runs.append(self) or whole(self, *a))
    results = {}
    for kind in ("kept", "recomputed"):
        module = encoder(f"activations={kind},dropout=0.3,token-dropout=0.2").train()
        runs.clear()
        torch.manual_seed(1)
        pooled = module(layout).pooled
        pooled.square().sum().backward()
        results[kind] = (pooled, {name: p.grad for name, p in module.named_parameters()}, len(runs))
        runs.clear()
        module.eval()(layout)
        with torch.no_grad():
            module.train()(layout)
        assert len(runs) == 2 * len(module.layers)
    assert torch.equal(results["kept"][0], results["recomputed"][0])
    for name, gradient in results["kept"][1].items():
        assert torch.equal(gradient, results["recomputed"][1][name]), name
    assert results["recomputed"][2] == 2 * results["kept"][2]


def test_recomputed_activations_take_less_memory():
    layout = parts([150] * 8)
    held = {}
    for kind in ("kept", "recomputed"):
        module = encoder(f"activations={kind},layers=6").train()
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, s=sizes: s.append(t.numel()) or t, lambda t: t):
            module(layout).pooled.sum()
        held[kind] = sum(sizes)
    assert held["recomputed"] < held["kept"] / 5


def test_learned_positions_tell_order_and_take_gradients():
    module = encoder("positions=learned,position_limit=30,norm=post,embedding_norm=yes,bias=yes").eval()
    layout = parts([12], masks=0)
    turned = Tokens(layout.ids.flip(0), layout.lengths, layout.spans)
    assert not torch.allclose(module(layout).elements.flip(0), module(turned).elements, atol=1e-3)
    module(layout).pooled.sum().backward()
    assert (module.embedding.places.grad.abs().sum(1) > 0).tolist() == [True] * 14 + [False] * 16


def test_windows_reach_every_token_with_a_gradient():
    module = encoder("positions=learned,position_limit=16")
    layout = parts([100, 3])
    captured = []
    module.embedding.register_forward_hook(lambda _m, _i, out: captured.append(out) or out.retain_grad())
    module(layout).pooled.square().sum().backward()
    assert len(captured[0]) > len(layout.ids) and (captured[0].grad.abs().sum(1) > 0).all()


def test_a_limit_must_leave_room_for_letters():
    with pytest.raises(AnlageError, match="position_limit is 3"):
        encoder("positions=learned,position_limit=3")


def test_zeroed_masks_neither_learn_nor_shift_the_scale():
    module = encoder("masked=zero").eval()
    layout = parts([50, 20], masks=0.3)
    module(layout).pooled.square().sum().backward()
    assert (module.embedding.ids.weight.grad[MASK] == 0).all()
    share = (layout.ids[:52] == MASK).float().mean()
    vectors = module.embedding(layout.ids, layout.lengths)[:52]
    seen = layout.ids[:52] != MASK
    torch.testing.assert_close(vectors[seen], module.embedding.ids(layout.ids[:52][seen]) * 0.88 / (1 - share))
    assert (vectors[~seen] == 0).all()
