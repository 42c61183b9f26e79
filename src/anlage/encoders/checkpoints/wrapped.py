"""A checkpoint of any other family: its model in transformers, unchanged, inside the encoder ``hub``."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from anlage.encoders.checkpoints.config import CONFIG_BYTES, Config, read_json
from anlage.encoders.checkpoints.tensors import Tensors
from anlage.encoders.checkpoints.vocabulary import ids_of
from anlage.encoders.hub import Hub
from anlage.encoders.hub_model import cleaned, config_of, encoding_part, model_class, model_options, quiet, short
from anlage.encoders.hub_settings import HubSettings
from anlage.errors import AnlageError
from anlage.shapes import GridShape, TokensShape
from anlage.types import Encoded, Grid, Tokens

_ROOM = 2
"""A model may have so many times the numbers of its file: poolers and tied weights are not stored."""
_INPUTS = {"input_ids": "Tokens", "pixel_values": "Grid"}
_IMAGE_SIZE = (224, 224)


def wrap(config: Config, tensors: Tensors, tokens: Sequence[str]) -> tuple[HubSettings, dict[str, Tensor], list[str]]:
    """Settings, weights and notes. Raises AnlageError where transformers does not know the model, where it reads
    neither token ids nor pixels alone, and where the files do not hold its weights."""
    known = config_of(json.dumps(config.data))
    wanted = "Tokens" if tokens else "Grid"
    text = json.dumps(cleaned(config.data))
    settings = HubSettings(layout=wanted, config=text, pooler="no" if tokens else "yes")  # type: ignore[arg-type]
    _check_size(config, known, tensors)
    reads = _INPUTS.get(model_class(known).main_input_name)
    if reads != wanted:
        names = {"Tokens": "sequences", "Grid": "images", None: "neither sequences nor images"}
        raise AnlageError(f"{config.path}: {known.model_type} models read {names[reads]}, not {names[wanted]}")
    notes: list[str] = []
    if tokens:
        size = config.whole("vocab_size", 2**24, default=getattr(known, "vocab_size", None))
        ids, notes = ids_of(config.path.parent, tokens, size, exact=False)
        settings = replace(settings, ids=json.dumps(list(ids.values())))
    else:
        settings = replace(settings, image_size=_image_size(config, known))
    model, missing, dropped = _loaded(config, known, tensors, settings)
    if missing and settings.pooler == "yes":
        settings = replace(settings, pooler="no")
        model, missing, dropped = _loaded(config, known, tensors, settings)
    if missing:
        raise AnlageError(f"{tensors.folder}: {missing[0]} is missing from the weights that config.json describes")
    settings = _tried(config, settings, model, len(tokens))
    if dropped:
        notes.append(f"dropped from the checkpoint: {', '.join(dropped)}")
    return settings, {f"model.{name}": tensor for name, tensor in model.state_dict().items()}, notes


def _check_size(config: Config, known: Any, tensors: Tensors) -> None:
    """A config may promise more than the file holds: told apart before memory is taken for it."""
    try:
        with torch.device("meta"), quiet():
            numbers = sum(p.numel() for p in encoding_part(model_class(known)(known)).parameters())
    except Exception as error:  # whatever a stranger's config may break in transformers
        raise AnlageError(f"{config.path}: transformers cannot build this model: {short(error)}") from None
    if numbers > _ROOM * tensors.numbers():
        raise AnlageError(
            f"{config.path} describes a model of {numbers:,} numbers; its weight files hold {tensors.numbers():,}"
        )


def _loaded(
    config: Config, known: Any, tensors: Tensors, settings: HubSettings
) -> tuple[nn.Module, list[str], list[str]]:
    """The model in transformers' own reading of the tensors, names that it misses, and heads that it left out."""
    weights = {name: tensors.read(name, floats_only=False) for name in tensors.shapes}
    cls, options = model_class(known), model_options(known, settings.pooler)
    try:
        with quiet():
            model, report = cls.from_pretrained(
                None, config=known, state_dict=weights, dtype=torch.float32, output_loading_info=True, **options
            )
    except Exception as error:  # shapes that do not fit, and whatever else
        raise AnlageError(f"{tensors.folder}: transformers cannot load these weights: {short(error)}") from None
    part = encoding_part(model)
    used = {id(tensor) for tensor in part.state_dict(keep_vars=True).values()}
    own = model.state_dict(keep_vars=True)
    needed = settings.pooler == "yes"
    missing = [n for n in sorted(report["missing_keys"]) if id(own[n]) in used and (needed or "pooler." not in n)]
    patterns = {re.sub(r"\d+", "#", name) for name in own}
    for name in sorted(report["unexpected_keys"]):
        plain = name.removeprefix(f"{cls.base_model_prefix}.")
        if re.sub(r"\d+", "#", plain) in patterns:
            raise AnlageError(
                f"{tensors.folder}: tensor {name:.100} has no place in the model that config.json describes"
            )
    return part, missing, sorted({name.partition(".")[0] for name in report["unexpected_keys"]})


def _image_size(config: Config, known: Any) -> tuple[int, int]:
    """What the model was trained on: its config, else its preprocessor, else 224 x 224."""
    wish: Any = getattr(known, "image_size", None)
    path = config.path.with_name("preprocessor_config.json")
    if wish is None and path.is_file():
        data = read_json(path, CONFIG_BYTES)
        wish = data.get("crop_size") or data.get("size")
    if isinstance(wish, dict):
        side = wish.get("shortest_edge")
        wish = [wish.get("height", side), wish.get("width", side)]
    sides = list(wish) if isinstance(wish, list | tuple) else [wish, wish]
    if len(sides) == 2 and all(isinstance(side, int) and 1 <= side <= 4096 for side in sides):
        return sides[0], sides[1]
    return _IMAGE_SIZE


def _tried(config: Config, settings: HubSettings, model: nn.Module, vocabulary: int) -> HubSettings:
    """Run the model once on next to nothing: settings that do, or AnlageError."""
    model.eval()
    try:
        with torch.no_grad(), quiet():
            if settings.layout == "Tokens":
                encoder = Hub(settings, TokensShape(vocabulary, 0, 3), model)
                spans = torch.ones(3, 2, dtype=torch.long).cumsum(1)
                found: Encoded = encoder(Tokens(torch.zeros(3, dtype=torch.long), torch.tensor([2, 1]), spans))
            else:
                pixels = torch.zeros(1, 1, *settings.image_size)
                channels = getattr(model.config, "num_channels", 3)
                output = model(pixel_values=pixels.expand(-1, channels, -1, -1))
                if getattr(output, "pooler_output", None) is None:
                    settings = replace(settings, pooler="no")
                encoder = Hub(settings, GridShape(1, settings.image_size), model)
                found = encoder(Grid(pixels))
    except AnlageError:
        raise
    except Exception as error:  # models that need more than token ids or pixels
        raise AnlageError(
            f"{config.path}: this model does not run on {settings.layout} alone: {short(error)}"
        ) from None
    if found.pooled.shape[1] != encoder.width:
        raise AnlageError(f"{config.path}: the model's vectors are not as long as its config says: not supported")
    return settings
