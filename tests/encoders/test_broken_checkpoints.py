"""A checkpoint is a stranger's file: whatever is wrong with it is one clear line, and nothing in it runs."""

import json
import pickle
import sys

import pytest
import torch
from encoders import published
from encoders.published import BERT, ESM, OURS
from safetensors.torch import load_file, save_file

from anlage.encoders.checkpoints import load as loading
from anlage.errors import AnlageError

QUERY = "esm.encoder.layer.1.attention.self.query.weight"


@pytest.fixture
def esm(tmp_path):
    return published.write(published.transformers().EsmForMaskedLM(published.esm_config()), tmp_path / "esm", ESM)


@pytest.fixture
def bert(tmp_path):
    return published.write(published.transformers().BertModel(published.bert_config()), tmp_path / "bert", BERT)


def refused(source, *words, tokens=OURS):
    with pytest.raises(AnlageError) as error:
        loading.load(source, tokens)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


def change(folder, **values):
    """config.json with other values; None takes one away."""
    path = folder / "config.json"
    data = {**json.loads(path.read_text()), **values}
    path.write_text(json.dumps({key: value for key, value in data.items() if value is not None}))


def rewrite(folder, change_weights):
    path = folder / "model.safetensors"
    weights = load_file(path)
    change_weights(weights)
    save_file(weights, path)


def test_a_sound_checkpoint_loads(esm, bert):
    assert loading.load(esm, OURS).weights and loading.load(str(bert), OURS).weights


def test_folders_that_are_none(tmp_path):
    refused(tmp_path / "absent", "no such folder", "hf:ORG/NAME")
    refused(tmp_path, "config.json")


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "not valid JSON"), ("[" * 100_000, "not valid JSON"), ("[]", "JSON object"), ("{}", "model_type"),
     (" " * (2**20 + 1), "at most"), ('{"model_type": 7}', "model_type is 7")],
)  # fmt: skip
def test_configs_that_are_none(esm, text, words):
    (esm / "config.json").write_text(text)
    refused(esm, "config.json", words)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"hidden_size": 10**9}, "hidden_size is 1000000000"),
        ({"hidden_size": True}, "hidden_size is true"),
        ({"hidden_size": None}, "hidden_size is missing"),
        ({"hidden_size": 64}, "hidden_size 64"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers"),
        ({"num_hidden_layers": 0}, "num_hidden_layers"),
        ({"num_hidden_layers": 2}, "layer.2"),
        ({"num_hidden_layers": 4}, "layer.3"),
        ({"num_attention_heads": 5}, "num_attention_heads is 5"),
        ({"intermediate_size": 100}, "intermediate_size is 100"),
        ({"intermediate_size": 48}, "is 96 x 48, but config.json says 48 x 48"),
        ({"layer_norm_eps": -1}, "layer_norm_eps"),
        ({"hidden_dropout_prob": "much"}, "hidden_dropout_prob"),
        ({"vocab_size": 40}, "33 tokens, but config.json says vocab_size 40"),
        ({"position_embedding_type": "absolute"}, "position_embedding_type"),
        ({"position_embedding_type": None}, "position_embedding_type"),
        ({"is_folding_model": True}, "is_folding_model"),
        ({"rope_theta": 500.0}, "rope_theta"),
        ({"is_decoder": True}, "is_decoder"),
        ({"add_cross_attention": True}, "add_cross_attention"),
        ({"mask_token_id": 4}, "mask_token_id"),
        ({"token_dropout": "yes"}, "token_dropout"),
        ({"emb_layer_norm_before": True}, "embeddings.layer_norm"),
    ],
)
def test_configs_that_do_not_fit(esm, values, words):
    change(esm, **values)
    refused(esm, words)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"position_embedding_type": "relative_key"}, "position_embedding_type"),
        ({"hidden_act": "relu"}, "hidden_act"),
        ({"hidden_act": 3}, "hidden_act"),
        ({"max_position_embeddings": 512}, "position_embeddings"),
        ({"max_position_embeddings": 2**40}, "max_position_embeddings"),
        ({"type_vocab_size": 3}, "token_type_embeddings"),
    ],
)
def test_bert_configs_that_do_not_fit(bert, values, words):
    change(bert, **values)
    refused(bert, words)


def test_tensors_that_do_not_fit(esm):
    original = (esm / "model.safetensors").read_bytes()
    changes = {
        "attention.self.query.weight is missing": lambda w: w.pop(QUERY),
        "esm.extra": lambda w: w.update({"esm.extra": torch.zeros(2)}),
        "is 48 x 47": lambda w: w.update({QUERY: torch.zeros(48, 47)}),
        "is one number": lambda w: w.update({QUERY: torch.tensor(1.0)}),
        "not finite": lambda w: w.update({QUERY: torch.full((48, 48), float("nan"))}),
        "I64": lambda w: w.update({QUERY: torch.zeros(48, 48, dtype=torch.long)}),
        "F8_E4M3": lambda w: w.update({QUERY: torch.zeros(48, 48).to(torch.float8_e4m3fn)}),
        "rotary frequencies": lambda w: w.update(
            {"esm.encoder.layer.0.attention.self.rotary_embeddings.inv_freq": torch.ones(8)}
        ),
        # the encoder twice: with and without the prefix
        QUERY.removeprefix("esm."): lambda w: w.update({QUERY.removeprefix("esm."): torch.zeros(48, 48)}),
    }
    for words, changed in changes.items():
        (esm / "model.safetensors").write_bytes(original)
        rewrite(esm, changed)
        refused(esm, words)


@pytest.mark.parametrize("cut", [0, 4, 100, 20_000])
def test_truncated_files(esm, cut):
    path = esm / "model.safetensors"
    path.write_bytes(path.read_bytes()[:cut])
    refused(esm, "model.safetensors", "not a whole safetensors file")


def test_headers_that_promise_more_than_the_file(esm):
    path = esm / "model.safetensors"
    header = json.dumps({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    refused(esm, "not a whole safetensors file")
    path.write_bytes((2**62).to_bytes(8, "little") + header)
    refused(esm, "not a whole safetensors file")


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt"])
def test_pickles_are_never_opened(esm, tmp_path, name):
    (esm / name).write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    assert loading.load(esm, OURS).weights
    (esm / "model.safetensors").unlink()
    refused(esm, "model.safetensors", "can run code")
    (esm / name).unlink()
    refused(esm, "model.safetensors", "no weights")
    assert not (tmp_path / "ran").exists()


def test_shards_that_do_not_fit(esm):
    weights = load_file(esm / "model.safetensors")
    (esm / "model.safetensors").unlink()
    names = sorted(weights)
    save_file({name: weights[name] for name in names[:20]}, esm / "a.safetensors")
    save_file({name: weights[name] for name in names[20:]}, esm / "b.safetensors")
    index = esm / "model.safetensors.index.json"
    right = {name: "a.safetensors" if i < 20 else "b.safetensors" for i, name in enumerate(names)}

    def write(mapping):
        index.write_text(json.dumps({"weight_map": mapping}))

    write(right)
    assert loading.load(esm, OURS).weights
    for wrong in ({**right, "x": "../../a.safetensors"}, {**right, "x": "/etc/passwd"}, {**right, "x": 3}, {}, []):
        write(wrong)
        refused(esm, index.name, "weight_map")
    write({**right, "x": "c.safetensors"})
    refused(esm, "c.safetensors is missing")
    write({**right, "x": "a.safetensors"})
    refused(esm, "disagree on x")
    write({**right, names[0]: "b.safetensors"})
    refused(esm, f"disagree on {names[0]}")
    write(right)
    save_file({name: weights[name] for name in names[:21]}, esm / "a.safetensors")
    refused(esm, f"{names[20]} is also in a.safetensors")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([*ESM[:-1], "AAAAAA"], "'AAAAAA' are longer than one letter"),
        ([*ESM[:-1], "##A"], "longer than one letter"),
        (ESM[:-1], "32 tokens, but config.json says vocab_size 33"),
        ([*ESM, "J"], "34 tokens"),
        ([*ESM[:-1], "A"], "more than one line"),
        ([f"<{i}>" for i in range(33)], "none of the letters"),
        ([text.replace("<unk>", "<else>") for text in ESM], "no token for <unknown>"),
    ],
)
def test_vocabularies_that_do_not_fit(esm, lines, words):
    (esm / "vocab.txt").write_text("\n".join(lines))
    refused(esm, "vocab.txt", words)


@pytest.mark.parametrize(
    "data",
    [{}, {"model": 3}, {"model": {"vocab": {}}}, {"model": {"vocab": {"A": "B"}}}, {"model": {"vocab": {"A": -1}}},
     {"model": {"vocab": {"A": 1, "C": 1}}}, {"model": {"vocab": [[["A"], 0], 7]}}, {"model": {"vocab": {"A": True}}}],
)  # fmt: skip
def test_tokenizers_that_are_none(esm, data):
    (esm / "vocab.txt").unlink()
    refused(esm, "neither vocab.txt nor tokenizer.json")
    (esm / "tokenizer.json").write_text(json.dumps(data))
    refused(esm, "tokenizer.json", "no vocabulary")


def test_vocabularies_that_are_no_text_or_endless(esm, monkeypatch):
    (esm / "vocab.txt").write_bytes(b"\xff\xfe\x00")
    refused(esm, "UTF-8")
    monkeypatch.setattr("anlage.encoders.checkpoints.vocabulary._BYTES", 2)
    refused(esm, "vocab.txt", "at most 2")


def test_a_sequence_model_for_images(esm):
    refused(esm, "esm models read sequences", tokens=())


def test_hub_names(monkeypatch, tmp_path):
    hub = pytest.importorskip("huggingface_hub", reason="hf: needs pip install 'anlage[hub]'")
    refused("hf:nonsense", "hf:ORG/NAME")
    refused("hf:../../etc", "hf:ORG/NAME")
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    refused("hf:facebook/esm2_t6_8M_UR50D", "hf:facebook/esm2_t6_8M_UR50D", "not in the cache")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    refused("hf:facebook/esm2_t6_8M_UR50D", "pip install 'anlage[hub]'")


def test_a_cached_hub_model_needs_no_network(esm, monkeypatch, tmp_path):
    hub = pytest.importorskip("huggingface_hub", reason="hf: needs pip install 'anlage[hub]'")
    commit = "0123456789012345678901234567890123456789"
    cached = tmp_path / "cache" / "models--lab--small"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text(commit)
    (cached / "snapshots").mkdir()
    esm.rename(cached / "snapshots" / commit)
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    assert loading.load("hf:lab/small", OURS).settings.width == 48
