"""ESM-2 and BERT checkpoints give the vectors that transformers computes, tensor by tensor."""

import json
import re

import pytest
import torch
from encoders import published
from encoders.published import BERT, BERT_NAMES, ESM, ESM_NAMES, OURS
from safetensors.torch import load_file, save_file

from anlage.encoders import lookup
from anlage.encoders.checkpoints.load import families, load
from anlage.layers.windows import windowed
from anlage.shapes import TokensShape

TOLERANCE = 1e-4
SHAPE = TokensShape(vocabulary=len(OURS), mask_id=published.MASK, max_tokens=300)
LAYOUT = published.parts([30, 1, 5, 149, 30, 17, 150, 2])  # the longest lie padded side by side


class Case:
    """One family: its model in transformers, beside ours."""

    def __init__(self, family: str, **changes):
        hf = published.transformers()
        self.family = family
        if family == "esm":
            self.vocabulary, self.names, self.unknown = ESM, ESM_NAMES, "<unk>"
            self.full = published.randomised(hf.EsmForMaskedLM(published.esm_config(**changes)))
            self.bare = self.full.esm
        else:
            self.vocabulary, self.names, self.unknown = BERT, BERT_NAMES, "[UNK]"
            self.full = published.randomised(hf.BertForMaskedLM(published.bert_config(**changes)))
            self.bare = self.full.bert

    def vectors(self, layout=LAYOUT):
        return published.vectors(self.bare, self.ids(layout))

    def ids(self, layout=LAYOUT):
        return published.theirs(layout, self.vocabulary, self.names, self.unknown)

    def written(self, folder):
        return published.write(self.full, folder, self.vocabulary)


def built(checkpoint, shape=SHAPE):
    """The encoder with the checkpoint's weights; only pooling may be missing, and nothing may be left over."""
    encoder = lookup.build(checkpoint.settings, shape)
    missing, unexpected = encoder.load_state_dict(checkpoint.weights, strict=False)
    assert not unexpected
    assert all(name.startswith("pooling.") for name in missing)
    assert all(tensor.dtype == torch.float32 for tensor in checkpoint.weights.values())
    return encoder.eval()


def elements(encoder, layout=LAYOUT):
    with torch.no_grad():
        return encoder(layout).elements


def gap(a, b):
    return float((a - b).abs().max())


FAMILIES = {
    "esm": {},
    "esm, embeddings normalised": {"emb_layer_norm_before": True},
    "esm, mask token": {"token_dropout": False},
    "bert": {},
    "bert, tanh": {"hidden_act": "gelu_new"},
}
CASES = [pytest.param(name.split(",")[0], changes, id=name) for name, changes in FAMILIES.items()]


def test_every_family_is_tried():
    assert families().keys() == {name.split(",")[0] for name in FAMILIES}


@pytest.mark.parametrize(("family", "changes"), CASES)
def test_vectors_equal_those_of_transformers(family, changes, tmp_path):
    case = Case(family, **changes)
    assert published.evenness(case.bare, case.ids()[3]) < 0.75
    checkpoint = load(case.written(tmp_path), OURS)
    ours = elements(built(checkpoint))
    assert case.vectors().std() > 0.3
    assert gap(ours, case.vectors()) < TOLERANCE
    assert any("no token for J *" in note for note in checkpoint.notes)
    assert any("dropped" in note for note in checkpoint.notes)


@pytest.mark.parametrize("family", ["esm", "bert"])
def test_each_tensor_of_theirs_counts(family, tmp_path):
    """Had the converter left one out, the comparison above would have failed: each changes what it compares."""
    case = Case(family)
    before = case.vectors()
    dropped = r"(lm_head|cls|pooler|esm\.contact_head)\..*"
    # a key's bias adds the same to all scores of a query where nothing turns it: softmax does not see it
    unseen = r".*\.key\.bias" if family == "bert" else r".*rotary_embeddings\.inv_freq"
    for name, tensor in case.full.state_dict().items():
        if re.fullmatch(dropped, name) or re.fullmatch(unseen, name):
            continue
        kept = tensor.clone()
        tensor.zero_()
        assert gap(case.vectors(), before) > 30 * TOLERANCE, name
        tensor.copy_(kept)
    assert gap(case.vectors(), before) == 0


@pytest.mark.parametrize("family", ["esm", "bert"])
def test_each_tensor_of_ours_counts(family, tmp_path):
    case = Case(family)
    encoder = built(load(case.written(tmp_path), OURS))
    before = elements(encoder)
    for name, tensor in encoder.state_dict().items():
        kept = tensor.clone()
        tensor.zero_()
        assert gap(elements(encoder), before) > 30 * TOLERANCE, name
        tensor.copy_(kept)


def test_the_bias_of_keys_is_taken_over_though_no_output_shows_it(tmp_path):
    case = Case("bert")
    weights = load(case.written(tmp_path), OURS).weights
    for layer, theirs in enumerate(case.bare.encoder.layer):
        bias = weights[f"layers.{layer}.attention.qkv.bias"].chunk(3)[1]
        assert torch.equal(bias, theirs.attention.self.key.bias)


@pytest.mark.parametrize("family", ["esm", "bert"])
def test_no_vector_depends_on_batch_mates(family, tmp_path):
    encoder = built(load(Case(family, **({"max_position_embeddings": 24} if family == "bert" else {}))
                         .written(tmp_path), OURS))  # fmt: skip
    together = elements(encoder).split(LAYOUT.lengths.tolist())
    counts = (LAYOUT.lengths - 2).tolist()
    runs = torch.arange(len(LAYOUT.ids)).split(LAYOUT.lengths.tolist())
    for company in [[i] for i in range(len(counts))] + [[7, 6, 5, 4, 3, 2, 1, 0], [3, 1], [1, 3, 6]]:
        flat = torch.cat([runs[i] for i in company])
        some = type(LAYOUT)(LAYOUT.ids[flat], LAYOUT.lengths[company], LAYOUT.spans[flat])
        for i, own in zip(company, elements(encoder, some).split(some.lengths.tolist()), strict=True):
            torch.testing.assert_close(own, together[i], atol=1e-5, rtol=1e-5)


def test_hidden_tokens_rescale_their_own_part_alone(tmp_path):
    """ESM-2: parts with no, some and only hidden tokens, each as transformers has it alone."""
    case = Case("esm")
    layout = published.parts([12, 12, 12, 7], masks=0.0)
    layout.ids[15:20] = published.MASK
    layout.ids[29:41] = published.MASK
    encoder = built(load(case.written(tmp_path), OURS))
    assert gap(elements(encoder, layout), case.vectors(layout)) < TOLERANCE
    alone = published.parts([3], masks=0.0)
    alone.ids[:] = published.MASK  # no token is left to scale
    assert elements(encoder, alone).isfinite().all()


def test_sequences_over_the_learned_positions_are_read_in_windows(tmp_path):
    case = Case("bert", max_position_embeddings=24)
    encoder = built(load(case.written(tmp_path), OURS))
    assert encoder.limit == 24
    windows = windowed(LAYOUT, 24)
    assert windows is not None and int(windows.layout.lengths.max()) == 24
    expected = case.vectors(windows.layout)[windows.where]
    assert gap(elements(encoder), expected) < TOLERANCE
    short = published.parts([22, 1])
    assert gap(elements(encoder, short), case.vectors(short)) < TOLERANCE


def test_rotary_models_read_any_length_whole(tmp_path):
    case = Case("esm")
    encoder = built(load(case.written(tmp_path), OURS))
    layout = published.parts([1500, 3])
    assert encoder.limit is None
    assert gap(elements(encoder, layout), case.vectors(layout)) < 10 * TOLERANCE


def test_frequencies_rounded_to_16_bits_stay_so(tmp_path):
    case = Case("esm")
    turns = case.bare.rotary_embeddings.inv_freq
    turns.copy_(turns.half())
    checkpoint = load(case.written(tmp_path), OURS)
    assert checkpoint.settings.rotary == "half"
    layout = published.parts([300, 3])
    encoder = built(checkpoint)
    assert gap(elements(encoder, layout), case.vectors(layout)) < TOLERANCE
    encoder.rounded = False
    assert gap(elements(encoder, layout), case.vectors(layout)) > 10 * TOLERANCE


@pytest.mark.parametrize("kind", ["EsmModel", "EsmForTokenClassification", "BertModel", "BertForPreTraining"])
def test_files_with_and_without_heads_are_read(kind, tmp_path):
    hf = published.transformers()
    family = "esm" if kind.startswith("Esm") else "bert"
    case = Case(family)
    config = case.full.config
    case.full = published.randomised(getattr(hf, kind)(config))
    case.bare = getattr(case.full, family, case.full)
    assert gap(elements(built(load(case.written(tmp_path), OURS))), case.vectors()) < TOLERANCE


def test_shards_half_precision_and_old_names_are_read(tmp_path):
    case = Case("bert")
    case.full.half().float()
    expected = case.vectors()
    case.full.half().save_pretrained(tmp_path / "half", max_shard_size="40KB")
    assert len(list((tmp_path / "half").glob("*.safetensors"))) > 2
    (tmp_path / "half" / "vocab.txt").write_text("\n".join(BERT))
    checkpoint = load(tmp_path / "half", OURS)
    assert gap(elements(built(checkpoint)), expected) < TOLERANCE

    whole = case.full.float().state_dict()
    old = {re.sub(r"LayerNorm\.weight", "LayerNorm.gamma", name): tensor for name, tensor in whole.items()}
    old = {re.sub(r"LayerNorm\.bias", "LayerNorm.beta", name): tensor.clone() for name, tensor in old.items()}
    folder = case.written(tmp_path / "old")
    save_file(old, folder / "model.safetensors")
    again = load(folder, OURS)
    assert gap(elements(built(again)), expected) < TOLERANCE
    assert again.digest != checkpoint.digest


def test_the_vocabulary_may_lie_in_tokenizer_json(tmp_path):
    case = Case("esm")
    folder = case.written(tmp_path)
    expected = load(folder, OURS)
    (folder / "vocab.txt").unlink()
    words = {text: i for i, text in enumerate(ESM)}
    special = [{"id": i, "content": text} for text, i in words.items() if text.startswith("<")]
    letters = {text: i for text, i in words.items() if not text.startswith("<")}
    for vocabulary, added in ((words, special), (letters, special), ([[text, 0.0] for text in ESM], [])):
        data = {"added_tokens": added, "model": {"vocab": vocabulary}}
        (folder / "tokenizer.json").write_text(json.dumps(data))
        found = load(folder, OURS)
        assert found.settings == expected.settings and found.digest == expected.digest
        assert all(torch.equal(found.weights[name], tensor) for name, tensor in expected.weights.items())


def test_the_digest_is_that_of_the_file(tmp_path):
    import hashlib

    folder = Case("esm").written(tmp_path)
    assert load(folder, OURS).digest == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert load_file(folder / "model.safetensors")  # it was left as it was


@pytest.mark.parametrize("preset", ["esm2-8m", "esm2-35m", "esm2-150m", "esm2-650m", "bert-base"])
def test_presets_have_the_published_shapes(preset):
    """As many numbers as transformers' model of the published config, but for its contact head and token types."""
    hf = published.transformers()
    sizes = {
        "esm2-8m": (320, 6, 20),
        "esm2-35m": (480, 12, 20),
        "esm2-150m": (640, 30, 20),
        "esm2-650m": (1280, 33, 20),
    }
    with torch.device("meta"):
        if preset == "bert-base":
            model = hf.BertModel(hf.BertConfig(vocab_size=33), add_pooling_layer=False)
            less = model.embeddings.token_type_embeddings.weight.numel()
        else:
            width, layers, heads = sizes[preset]
            config = published.esm_config(hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads,
                                          intermediate_size=4 * width)  # fmt: skip
            model = hf.EsmModel(config, add_pooling_layer=False)
            less = sum(p.numel() for p in model.contact_head.parameters())
        ours = lookup.build(lookup.parse(f"{preset}:pooling=mean"), TokensShape(33, 1, 100))
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in model.parameters()) - less
    assert len(ours.layers) == model.config.num_hidden_layers
    assert ours.layers[0].attention.heads == model.config.num_attention_heads
    assert lookup.parse(f"{preset}-tiny") == lookup.parse(preset)
