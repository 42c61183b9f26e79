"""From a user's words to an encoder."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from anlage.encoders import lookup
from anlage.errors import AnlageError
from anlage.shapes import ColumnsShape, GridShape, TokensShape
from anlage.types import Encoded

TOKENS = TokensShape(vocabulary=25, mask_id=24, max_tokens=100)


class Own(nn.Module):
    """A user's encoder that knows nothing of anlage's base class."""

    layouts = frozenset({"Columns"})

    def __init__(self, settings, shape):
        super().__init__()
        self.width = int(settings.options.get("width", 7))
        self.linear = nn.Linear(shape.numbers, self.width)

    @property
    def blocks(self):
        return [self.linear]

    def forward(self, layout):
        return Encoded(self.linear(layout.numbers))


def test_the_seeds_of_the_field_are_there():
    assert {"cnn", "rnn", "lstm", "gru", "transformer", "resnet", "mlp", "ft-transformer"} <= lookup.names().keys()


def test_import_and_parse_leave_torch_alone():
    code = (
        "import sys; from anlage.encoders import lookup; lookup.parse('ft-transformer-tiny:layers=1');"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})


def test_options_are_typed_by_their_field():
    settings = lookup.parse("cnn-tiny:width=48,dilations=1-3-9,token-dropout=0.2,pooling=max")
    assert (settings.width, settings.dilations, settings.token_dropout, settings.pooling) == (48, (1, 3, 9), 0.2, "max")
    assert settings.kernel == lookup.parse("cnn-tiny").kernel
    assert lookup.parse("lstm").cell == "lstm"
    assert lookup.parse("gru:layers=1") == lookup.parse("gru-small:layers=1")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cmn", "bert-base, cnn, esm2-150m"),
        ("cnn-huge", "medium"),
        ("cnn:depth=3", "dilations"),
        ("cnn:width", "option=value"),
        ("cnn:width=wide", "a whole number"),
        ("cnn:width=0", "from 1 up"),
        ("cnn:layers=-2", "from 1 up"),
        ("cnn:dilations=1-x", "1-2-4"),
        ("cnn:dropout=1.0", "below 1"),
        ("cnn:dropout=nan", "below 1"),
        ("cnn:pooling=sum", "attention"),
        ("lstm:cell=elman", "gru"),
    ],
)
def test_mistakes_get_one_line_that_lists_what_exists(text, words):
    with pytest.raises(AnlageError) as error:
        lookup.parse(text)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("cnn:kernel=4", TOKENS),
        ("cnn:pooling=aligned", TOKENS),
        ("transformer:width=100", TOKENS),
        ("lstm:width=66", TOKENS),
        ("resnet", TOKENS),
        ("cnn", GridShape(1, (8, 8))),
        ("resnet", GridShape(1, (8,))),
        ("mlp", ColumnsShape(0)),
        ("ft-transformer", ColumnsShape(0)),
    ],
)
def test_parts_that_do_not_fit_are_named_before_anything_runs(text, shape):
    with pytest.raises(AnlageError):
        lookup.build(lookup.parse(text), shape)


@pytest.mark.parametrize("shape", [TOKENS, GridShape(1, (8, 8)), ColumnsShape(3)])
def test_every_shape_has_a_default(shape):
    assert shape.layout in lookup.layouts(lookup.parse(lookup.default_name(shape)))


def test_a_class_from_python_is_an_encoder():
    settings = lookup.from_class(Own)
    assert lookup.layouts(settings) == {"Columns"}
    module = lookup.build(settings, ColumnsShape(3))
    assert module.width == 7
    stored = lookup.to_json(settings)
    assert lookup.from_json(stored, {"Own": Own}) == settings
    with pytest.raises(AnlageError, match="never|not part of anlage"):
        lookup.from_json(stored)
    with pytest.raises(AnlageError, match="cannot read Tokens"):
        lookup.build(settings, TOKENS)


def test_a_custom_name_takes_options():
    settings = lookup.parse("own:width=5", {"own": Own})
    assert lookup.build(settings, ColumnsShape(3)).width == 5


def test_a_class_without_the_protocol_is_refused():
    with pytest.raises(AnlageError, match="layouts"):
        lookup.from_class(nn.Linear)


def test_an_installed_package_registers_its_encoder(tmp_path, monkeypatch):
    (tmp_path / "theirs.py").write_text("class Theirs:\n    layouts = frozenset({'Columns'})\n")
    info = tmp_path / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[anlage.encoders]\ntheirs = theirs:Theirs\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    settings = lookup.parse("theirs")
    assert settings.cls.__name__ == "Theirs"
    assert lookup.from_json(lookup.to_json(settings)) == settings


def test_bundles_from_a_newer_version_are_named():
    with pytest.raises(AnlageError, match="upgrade"):
        lookup.from_json({"encoder": "mamba", "options": {}})
    stored = lookup.to_json(lookup.parse("cnn"))
    stored["options"]["magic"] = 1
    with pytest.raises(AnlageError, match="magic"):
        lookup.from_json(stored)


def test_token_dropout_hides_tokens_in_training_only():
    from anlage.types import Tokens

    torch.manual_seed(0)
    module = lookup.build(lookup.parse("cnn-tiny:dropout=0,token-dropout=0.5"), TOKENS)
    layout = Tokens(torch.randint(0, 24, (50,)), torch.tensor([20, 30]), torch.zeros(50, 2, dtype=torch.long))
    assert not torch.equal(module(layout).pooled, module(layout).pooled)
    module.eval()
    assert torch.equal(module(layout).pooled, module(layout).pooled)


def test_mlp_takes_wide_tables():
    from anlage.types import Columns

    module = lookup.build(lookup.parse("mlp-small"), ColumnsShape(7_129))
    numbers = torch.randn(38, 7_129)
    assert module(Columns(numbers, torch.zeros(38, 0, dtype=torch.long))).pooled.shape == (38, 256)
