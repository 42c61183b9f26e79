"""Models of transformers that we do not convert: wrapped unchanged, kept whole in settings and weights."""

import dataclasses
import json
import shutil

import pytest
import torch
from encoders import published
from encoders.published import BERT, BERT_NAMES, ESM, ESM_NAMES, OURS
from safetensors.torch import load_file, save_file

from anlage.encoders import lookup
from anlage.encoders.checkpoints.load import load
from anlage.errors import AnlageError
from anlage.shapes import ColumnsShape, GridShape, TokensShape
from anlage.types import Grid, Tokens

SHAPE = TokensShape(vocabulary=len(OURS), mask_id=published.MASK, max_tokens=200)
LAYOUT = published.parts([30, 1, 5, 64, 31, 17, 63, 2])  # some lie padded side by side
SIZES = published.SIZES
TEXT = {
    "roberta": {**SIZES, "vocab_size": 40, "max_position_embeddings": 120},
    "distilbert": {"dim": 48, "n_layers": 2, "n_heads": 3, "hidden_dim": 96, "vocab_size": 33},
    "gpt2": {"n_embd": 48, "n_layer": 2, "n_head": 3, "vocab_size": 33, "n_positions": 100},
    "t5": {"d_model": 48, "d_kv": 16, "d_ff": 96, "num_layers": 2, "num_heads": 3, "vocab_size": 33},
    "fnet": {"hidden_size": 48, "num_hidden_layers": 2, "intermediate_size": 96, "vocab_size": 33},
    "electra": {**SIZES, "embedding_size": 32, "vocab_size": 33, "max_position_embeddings": 100},
}
IMAGES = {
    "vit": {**SIZES, "image_size": 32, "patch_size": 8},
    "dinov2": {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3, "image_size": 28, "patch_size": 14},
    "resnet": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"},
    "swin": {
        "image_size": 32,
        "patch_size": 2,
        "embed_dim": 8,
        "depths": [1, 2],
        "num_heads": [2, 2],
        "window_size": 4,
    },
    "convnext": {"hidden_sizes": [8, 16], "depths": [1, 2], "num_stages": 2, "num_channels": 1, "image_size": 32},
}


def model_of(kind, options, auto="AutoModel"):
    hf = published.transformers()
    return published.randomised(getattr(hf, auto).from_config(hf.AutoConfig.for_model(kind, **options)))


def text_folder(tmp_path, kind, auto="AutoModel", **changes):
    model = model_of(kind, {**TEXT[kind], **changes}, auto)
    return model, published.write(model, tmp_path / kind, ESM)


def image_folder(tmp_path, kind, auto="AutoModel", **changes):
    model = model_of(kind, {**IMAGES[kind], **changes}, auto)
    model.save_pretrained(tmp_path / kind)
    return model, tmp_path / kind


def rebuilt(checkpoint, shape):
    """As a bundle does it: from settings as JSON and the weights, with nothing else at hand."""
    settings = lookup.from_json(json.loads(json.dumps(lookup.to_json(checkpoint.settings))))
    encoder = lookup.build(settings, shape)
    encoder.load_state_dict(checkpoint.weights, strict=True)
    return encoder.eval()


@pytest.mark.parametrize("kind", TEXT)
def test_sequences_have_the_vectors_of_the_model_alone(kind, tmp_path):
    model, folder = text_folder(tmp_path, kind)
    checkpoint = load(folder, OURS)
    assert checkpoint.settings.layouts >= {"Tokens"} and checkpoint.settings.layout == "Tokens"
    shutil.rmtree(folder)
    encoder = rebuilt(checkpoint, SHAPE)
    own = published.vectors(getattr(model, "encoder", model) if kind == "t5" else model,
                            published.theirs(LAYOUT, ESM, ESM_NAMES, "<unk>"))  # fmt: skip
    with torch.no_grad():
        encoded = encoder(LAYOUT)
    torch.testing.assert_close(encoded.elements, own, atol=1e-5, rtol=1e-4)
    runs = own.split(LAYOUT.lengths.tolist())
    torch.testing.assert_close(encoded.pooled, torch.stack([run[1:-1].mean(0) for run in runs]), atol=1e-5, rtol=1e-4)
    held = [id(parameter) for block in encoder.blocks for parameter in block.parameters()]
    assert held == [id(parameter) for parameter in encoder.parameters()] and len(encoder.blocks) >= 3


@pytest.mark.parametrize("kind", TEXT)
def test_no_vector_depends_on_batch_mates(kind, tmp_path):
    encoder = rebuilt(load(text_folder(tmp_path, kind)[1], OURS), SHAPE)
    runs = torch.arange(len(LAYOUT.ids)).split(LAYOUT.lengths.tolist())
    with torch.no_grad():
        together = encoder(LAYOUT).elements.split(LAYOUT.lengths.tolist())
        for company in [[i] for i in range(len(runs))] + [[7, 6, 5, 4, 3, 2, 1, 0], [3, 1], [1, 3, 6]]:
            flat = torch.cat([runs[i] for i in company])
            some = Tokens(LAYOUT.ids[flat], LAYOUT.lengths[company], LAYOUT.spans[flat])
            for i, own in zip(company, encoder(some).elements.split(some.lengths.tolist()), strict=True):
                torch.testing.assert_close(own, together[i], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("kind", "limit"), [("roberta", 22), ("gpt2", 24), ("electra", 24), ("t5", None)])
def test_long_sequences_are_read_in_windows_where_positions_are_learned(kind, limit, tmp_path):
    from anlage.layers.windows import windowed

    name = {"gpt2": "n_positions", "t5": "n_positions"}.get(kind, "max_position_embeddings")
    model, folder = text_folder(tmp_path, kind, **{name: 24})
    encoder = rebuilt(load(folder, OURS), SHAPE)
    assert encoder.limit == limit
    if limit is None:
        return
    windows = windowed(LAYOUT, limit)
    own = published.vectors(model, published.theirs(windows.layout, ESM, ESM_NAMES, "<unk>"))[windows.where]
    with torch.no_grad():
        torch.testing.assert_close(encoder(LAYOUT).elements, own, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", IMAGES)
def test_images_have_the_vectors_of_the_model(kind, tmp_path):
    model, folder = image_folder(tmp_path, kind)
    checkpoint = load(folder, ())
    shutil.rmtree(folder)
    size = checkpoint.settings.image_size
    assert size == ((IMAGES[kind]["image_size"],) * 2 if "image_size" in IMAGES[kind] else (224, 224))
    encoder = rebuilt(checkpoint, GridShape(1, (28, 20)))
    pixels = torch.randn(3, 1, 28, 20)
    large = torch.nn.functional.interpolate(pixels, size, mode="bilinear", antialias=True)
    with torch.no_grad():
        encoded = encoder(Grid(pixels))
        own = model(pixel_values=large.repeat(1, model.config.num_channels, 1, 1))
    hidden = own.last_hidden_state
    cells = hidden.flatten(2).transpose(1, 2) if hidden.ndim == 4 else hidden
    rows, columns = encoded.space
    assert torch.equal(encoded.lengths, torch.full((3,), rows * columns))
    assert cells.shape[1] - rows * columns == (1 if kind in ("vit", "dinov2") else 0)
    torch.testing.assert_close(encoded.elements, cells[:, -rows * columns :].flatten(0, 1), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(encoded.pooled, own.pooler_output.flatten(1), atol=1e-5, rtol=1e-4)
    held = [id(parameter) for block in encoder.blocks for parameter in block.parameters()]
    assert held == [id(parameter) for parameter in encoder.parameters()] and len(encoder.blocks) >= 3


def test_a_pooler_that_the_file_lacks_is_not_made_up(tmp_path):
    model, folder = image_folder(tmp_path, "vit", "AutoModelForImageClassification")
    checkpoint = load(folder, ())
    assert checkpoint.settings.pooler == "no"
    assert any("classifier" in note for note in checkpoint.notes)
    encoder = rebuilt(checkpoint, GridShape(3, (32, 32)))
    pixels = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        own = model.vit(pixel_values=pixels).last_hidden_state
        torch.testing.assert_close(encoder(Grid(pixels)).pooled, own[:, 1:].mean(1), atol=1e-5, rtol=1e-4)


def test_the_preprocessor_knows_the_size_where_the_config_does_not(tmp_path):
    folder = image_folder(tmp_path, "resnet")[1]
    path = folder / "preprocessor_config.json"
    for entry, size in (
        ({"size": 64}, (64, 64)),
        ({"size": {"shortest_edge": 96}, "crop_size": {"height": 48, "width": 64}}, (48, 64)),
        ({"size": {"shortest_edge": 96}}, (96, 96)),
        ({"size": {"height": 10**9, "width": 3}}, (224, 224)),
        ({"size": "large"}, (224, 224)),
    ):
        path.write_text(json.dumps(entry))
        assert load(folder, ()).settings.image_size == size


def test_heads_are_dropped_and_a_larger_table_of_ids_is_allowed(tmp_path):
    model, folder = text_folder(tmp_path, "roberta", "AutoModelForMaskedLM")
    checkpoint = load(folder, OURS)
    assert any("lm_head" in note for note in checkpoint.notes)
    assert any("no token for J *" in note for note in checkpoint.notes)
    own = published.vectors(model.roberta, published.theirs(LAYOUT, ESM, ESM_NAMES, "<unk>"))
    with torch.no_grad():
        torch.testing.assert_close(rebuilt(checkpoint, SHAPE)(LAYOUT).elements, own, atol=1e-5, rtol=1e-4)


def refused(source, tokens, *words):
    with pytest.raises(AnlageError) as error:
        load(source, tokens)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"model_type": "mamba9000", "auto_map": {"AutoModel": "evil.Model"}}, "code of others is never run"),
        ({"model_type": "timm_backbone", "backbone": "resnet50"}, "built on another one"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers"),
        ({"num_hidden_layers": 2}, "layer.2"),
        ({"num_hidden_layers": 4}, "layer.3"),
        ({"hidden_size": 4800}, "a model of"),
        ({"hidden_size": 51}, "cannot load"),
        ({"hidden_size": "wide"}, "cannot read the config"),
        ({"num_attention_heads": 7}, "cannot build"),
        ({"max_position_embeddings": 2**40}, "max_position_embeddings"),
        ({"vocab_size": 30}, "33 tokens, but config.json says vocab_size 30"),
    ],
)
def test_configs_that_do_not_fit(values, words, tmp_path):
    folder = text_folder(tmp_path, "roberta")[1]
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    refused(folder, OURS, words)


def test_code_and_pickles_beside_a_known_model_are_left_alone(tmp_path):
    folder = text_folder(tmp_path, "roberta")[1]
    path = folder / "config.json"
    evil = {"auto_map": {"AutoModel": "evil.Model"}, "transformers_weights": "evil.bin", "quantization_config": {},
            "attn_implementation": "someone/kernels", "torch_dtype": "float16"}  # fmt: skip
    path.write_text(json.dumps({**json.loads(path.read_text()), **evil}))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Model: pass\n")
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "someone/else"}')
    checkpoint = load(folder, OURS)
    assert not set(evil) & set(json.loads(checkpoint.settings.config))
    assert {tensor.dtype for tensor in checkpoint.weights.values()} == {torch.float32}
    assert not (tmp_path / "ran").exists()


def test_tensors_that_do_not_fit(tmp_path):
    folder = text_folder(tmp_path, "roberta")[1]
    path = folder / "model.safetensors"
    weights = load_file(path)
    name = "encoder.layer.1.output.dense.weight"
    save_file({key: tensor for key, tensor in weights.items() if key != name}, path)
    refused(folder, OURS, f"{name} is missing")
    save_file({**weights, name: torch.zeros(3, 3)}, path)
    refused(folder, OURS, "cannot load these weights")


def test_the_wrong_kind_of_input(tmp_path):
    text, image = text_folder(tmp_path, "roberta")[1], image_folder(tmp_path, "vit")[1]
    published.write(model_of("clip", {"vision_config": {**SIZES, "image_size": 32, "patch_size": 8},
                                      "text_config": {**SIZES, "vocab_size": 33}, "projection_dim": 8}),
                    tmp_path / "clip", ESM)  # fmt: skip
    refused(text, (), "read sequences, not images")
    refused(image, OURS, "read images, not sequences")
    refused(tmp_path / "clip", OURS, "clip")
    grid = load(image, ()).settings
    for settings, shape, words in (
        (lookup.parse("hub"), SHAPE, "name that instead"),
        (grid, SHAPE, "reads Grid"),
        (grid, ColumnsShape(3), "cannot read Columns"),
        (grid, GridShape(1, (8, 8, 8)), "2-D"),
        (grid, GridShape(5, (8, 8)), "1 or 3 channels"),
        (load(text, OURS).settings, TokensShape(7, 1, 10), "prepared for 32 tokens"),
        (lookup.parse("hub:config={"), SHAPE, "no JSON object"),
        (dataclasses.replace(load(text, OURS).settings, ids="7"), SHAPE, "no JSON list"),
    ):
        with pytest.raises(AnlageError, match=words):
            lookup.build(settings, shape)


def test_without_transformers_one_line_says_what_to_install(tmp_path, monkeypatch):
    import sys

    folder = text_folder(tmp_path, "roberta")[1]
    monkeypatch.setitem(sys.modules, "transformers", None)
    refused(folder, OURS, "pip install 'anlage[hub]'")


def test_brackets_or_angles_a_vocabulary_is_a_vocabulary(tmp_path):
    model = model_of("electra", {**TEXT["electra"], "vocab_size": len(BERT)})
    folder = published.write(model, tmp_path, BERT)
    own = published.vectors(model, published.theirs(LAYOUT, BERT, BERT_NAMES, "[UNK]"))
    with torch.no_grad():
        torch.testing.assert_close(rebuilt(load(folder, OURS), SHAPE)(LAYOUT).elements, own, atol=1e-5, rtol=1e-4)
