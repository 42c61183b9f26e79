"""From a config of transformers, which a stranger wrote, to its model class, with nothing fetched and no code run."""

import inspect
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from anlage.errors import AnlageError

_FOREIGN = re.compile(
    r"auto_map|quantization_config|_?attn_implementation.*|_?experts_implementation.*|(torch_)?dtype|fusion_config|"
    r"kernel_config|transformers_weights|_name_or_path|trust_remote_code"
)
"""Keys that lead to code, kernels, number formats or files from elsewhere: never followed."""
_BOUNDS = {r"(?!.*(size|dim|width)).*(layer|depth|block|group).*": 1000, r".*position.*": 2**21}
"""The largest numbers under such keys: lists of layers and tables of positions are built before any weight is read."""


def config_of(text: str) -> Any:
    """The transformers config in a JSON text. Raises AnlageError where transformers knows no such model."""
    try:
        from transformers import CONFIG_MAPPING, MODEL_MAPPING
    except ImportError:
        raise AnlageError("this encoder wraps a model of transformers: pip install 'anlage[hub]'") from None
    data = cleaned(parsed(text, dict))
    kind = data.pop("model_type", None)
    if not isinstance(kind, str) or kind not in CONFIG_MAPPING or CONFIG_MAPPING[kind] not in MODEL_MAPPING:
        raise AnlageError(f"model_type {kind!r}: transformers has no such model, and code of others is never run")
    try:
        with quiet():
            config = CONFIG_MAPPING[kind].from_dict(data)
    except Exception as error:  # whatever a stranger's config may break in transformers
        raise AnlageError(f"transformers cannot read the config of this {kind}: {short(error)}") from None
    config.use_cache = False
    return config


def parsed(text: str, kind: type) -> Any:
    """The JSON value in a setting. AnlageError where it is no ``kind``."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, kind):
        raise AnlageError(f"encoder hub: {text!r:.40} is no JSON {'object' if kind is dict else 'list'}")
    return value


def cleaned(data: Any) -> Any:
    """The config without keys that lead elsewhere. AnlageError for another model by name, and for absurd sizes."""
    if isinstance(data, list):
        return [cleaned(entry) for entry in data]
    if not isinstance(data, dict):
        return data
    for key, value in data.items():
        if key == "backbone" and isinstance(value, str):
            raise AnlageError(f"this model is built on another one, {value!r:.60}: name that one instead")
        for pattern, most in _BOUNDS.items():
            numbers = [n for n in (value if isinstance(value, list) else [value]) if isinstance(n, int)]
            if re.fullmatch(pattern, key) and sum(numbers) > most:
                raise AnlageError(f"config.json: {key} is {str(value):.60}: at most {most:,} is built")
    kept = {key: cleaned(value) for key, value in data.items() if not _FOREIGN.fullmatch(key)}
    return kept | {"use_pretrained_backbone": False} if "use_pretrained_backbone" in kept else kept


def model_class(config: Any) -> Any:
    """The bare model of that config. Where there are several, the one that the config names, else the first."""
    from transformers import MODEL_MAPPING

    known: Any = MODEL_MAPPING[type(config)]
    if not isinstance(known, tuple):
        return known
    named = [cls for cls in known if cls.__name__ in (config.architectures or [])]
    return (named or known)[0]


def model_options(config: Any, pooler: str) -> dict[str, bool]:
    """Keyword arguments for the class: its pooling layer is left out where it is not used."""
    poolable = "add_pooling_layer" in inspect.signature(model_class(config).__init__).parameters
    return {"add_pooling_layer": False} if poolable and pooler == "no" else {}


def encoding_part(model: nn.Module) -> nn.Module:
    """The model, or where it is an encoder and a decoder, the encoder."""
    both = hasattr(model, "encoder") and hasattr(model, "decoder")
    return model.encoder if both else model  # type: ignore[return-value]


@contextmanager
def quiet() -> Iterator[None]:
    """transformers without its log lines and progress bars."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def short(error: Exception) -> str:
    """The first line of an error that is not ours."""
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"[:200]
