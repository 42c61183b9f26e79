"""What the families have in common that are converted to our transformer: names, checks, and the blocks themselves."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from anlage.encoders.checkpoints.config import Config
from anlage.encoders.checkpoints.tensors import Tensors
from anlage.encoders.transformer_settings import TransformerSettings
from anlage.errors import AnlageError

MOST_LAYERS = 1000
WIDEST = 2**16
_OLD_NAMES = {".gamma": ".weight", ".beta": ".bias"}
"""What norms were called in TensorFlow; transformers still writes it."""
_LINEAR = {
    "attention.self.query": (1, 1),
    "attention.self.key": (1, 1),
    "attention.self.value": (1, 1),
    "attention.output.dense": (1, 1),
    "intermediate.dense": (0, 1),
    "output.dense": (1, 0),
}
"""Linear layers of a block: rows and columns are the width (1) or the feed-forward width (0)."""

Take = Callable[[str], Tensor]


class Family(ABC):
    """One published family. Its file is called after the ``model_type`` in config.json."""

    prefix: ClassVar[str]
    """What stands before the names of the encoder's tensors where a head was stored beside it."""
    dropped: ClassVar[dict[str, str]]
    """Patterns of tensors that are left behind, and what they are, for the user ("" = nothing worth saying)."""
    norms: ClassVar[tuple[str, str]]
    """What a block calls the norm of its attention and that of its feed-forward layer."""

    @abstractmethod
    def settings(self, config: Config, ids: Mapping[str, int], shared: dict[str, Any]) -> TransformerSettings:
        """Our settings for that config. ``ids``: our tokens → the checkpoint's ids; ``shared``: the settings that every
        family has. AnlageError where the config asks for something that is not supported."""

    @abstractmethod
    def ends(self, config: Config) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the tensors before and after the blocks."""

    @abstractmethod
    def convert_ends(self, take: Take, rows: list[int], settings: TransformerSettings) -> dict[str, Tensor]:
        """Our tensors before and after the blocks; ``rows`` are the checkpoint's ids of our tokens."""

    def adjusted(self, settings: TransformerSettings, left: dict[str, str], tensors: Tensors) -> TransformerSettings:
        """Settings that follow from tensors which are left behind (our name → name in the file)."""
        return settings

    def convert(
        self, config: Config, tensors: Tensors, ids: Mapping[str, int]
    ) -> tuple[TransformerSettings, dict[str, Tensor], list[str]]:
        """Settings, weights and notes. AnlageError names the first tensor that is missing, left over or misshapen."""
        settings = self.settings(config, ids, _sizes(config))
        names, left = self._names(tensors)
        self._check(config, settings, tensors, names)
        settings = self.adjusted(settings, left, tensors)

        def take(name: str) -> Tensor:
            return tensors.read(names[name])

        weights = self.convert_ends(take, list(ids.values()), settings)
        for layer in range(settings.layers):
            weights |= self._block(take, layer, settings)
        said = dict.fromkeys(what for pattern, what in self.dropped.items() if what and _any(pattern, left))
        return settings, weights, [f"dropped from the checkpoint: {', '.join(said)}"] if said else []

    def _names(self, tensors: Tensors) -> tuple[dict[str, str], dict[str, str]]:
        """The encoder's tensors and those that are left behind: plain name → name in the file."""
        headed = any(name.startswith(self.prefix) for name in tensors.shapes)
        names: dict[str, str] = {}
        left: dict[str, str] = {}
        for full in sorted(tensors.shapes):
            own = full.startswith(self.prefix) or not headed
            plain = full.removeprefix(self.prefix)
            for old, new in _OLD_NAMES.items():
                plain = plain.removesuffix(old) + new if plain.endswith(old) else plain
            if any(re.fullmatch(pattern, plain) for pattern in self.dropped):
                left[plain] = full
            elif not own or plain in names:
                raise _tensor_error(tensors, full, "has no place in this model")
            else:
                names[plain] = full
        return names, left

    def _check(self, config: Config, settings: TransformerSettings, tensors: Tensors, names: dict[str, str]) -> None:
        width, feed = settings.width, settings.width * settings.expansion
        expected = self.ends(config)
        for layer in range(settings.layers):
            for part, axes in _LINEAR.items():
                sides = tuple(width if axis else feed for axis in axes)
                expected |= {_at(layer, f"{part}.weight"): sides, _at(layer, f"{part}.bias"): sides[:1]}
            for norm in self.norms:
                expected |= {_at(layer, f"{norm}.weight"): (width,), _at(layer, f"{norm}.bias"): (width,)}
        for name, shape in expected.items():
            if name not in names:
                raise AnlageError(f"{tensors.folder}: {name} is missing from the weights that config.json describes")
            if tensors.shapes[names[name]] != shape:
                stored = _times(tensors.shapes[names[name]])
                raise _tensor_error(tensors, names[name], f"is {stored}, but config.json says {_times(shape)}")
        for name in names.keys() - expected.keys():
            raise _tensor_error(tensors, names[name], "has no place in the model that config.json describes")

    def _block(self, take: Take, layer: int, settings: TransformerSettings) -> dict[str, Tensor]:
        weights: dict[str, Tensor] = {}
        for kind in ("weight", "bias"):
            q, k, v = (take(_at(layer, f"attention.self.{part}.{kind}")) for part in ("query", "key", "value"))
            if settings.positions == "rotary":
                q, k = interleaved(q, settings.head_width), interleaved(k, settings.head_width)
            weights |= {
                f"attention_norm.{kind}": take(_at(layer, f"{self.norms[0]}.{kind}")),
                f"attention.qkv.{kind}": torch.cat((q, k, v)),
                f"attention.out.{kind}": take(_at(layer, f"attention.output.dense.{kind}")),
                f"feed_norm.{kind}": take(_at(layer, f"{self.norms[1]}.{kind}")),
                f"feed.rise.{kind}": take(_at(layer, f"intermediate.dense.{kind}")),
                f"feed.fall.{kind}": take(_at(layer, f"output.dense.{kind}")),
            }
        return {f"layers.{layer}.{name}": tensor for name, tensor in weights.items()}


def interleaved(rows: Float[Tensor, "rows ..."], head_width: int) -> Float[Tensor, "rows ..."]:
    """Rows of a query or key projection, so that features which turn together stand side by side.

    Published models turn feature i of a head with feature i + D/2 (GPT-NeoX), ours 2i with 2i + 1 (Su 2021).
    """
    return rows.unflatten(0, (-1, 2, head_width // 2)).transpose(1, 2).flatten(0, 2)


def _sizes(config: Config) -> dict[str, Any]:
    width, heads = config.whole("hidden_size", WIDEST), config.whole("num_attention_heads", WIDEST)
    feed = config.whole("intermediate_size", 16 * WIDEST)
    if width % heads or width // heads % 2:
        raise config.wrong("num_attention_heads", f"hidden_size {width} must be an even multiple of it")
    if feed % width:
        raise config.wrong("intermediate_size", f"only multiples of hidden_size {width} are supported")
    config.refuse("is_decoder", unless=False, default=False)
    config.refuse("add_cross_attention", unless=False, default=False)
    return {
        "width": width,
        "layers": config.whole("num_hidden_layers", MOST_LAYERS),
        "head_width": width // heads,
        "expansion": feed // width,
        "bias": "yes",
        "epsilon": config.fraction("layer_norm_eps", 1e-12),
        "dropout": config.fraction("hidden_dropout_prob", 0.1),
        "token_dropout": 0.0,
        "pooling": "mean",
    }


def _at(layer: int, name: str) -> str:
    return f"encoder.layer.{layer}.{name}"


def _any(pattern: str, names: dict[str, str]) -> bool:
    return any(re.fullmatch(pattern, name) for name in names)


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "one number"


def _tensor_error(tensors: Tensors, name: str, what: str) -> AnlageError:
    return AnlageError(f"{tensors.folder}: tensor {name:.100} {what}")
