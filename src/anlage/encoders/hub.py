"""The encoder that wraps a model of transformers, unchanged, for sequences or images."""

import inspect
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from anlage.encoders.hub_model import config_of, encoding_part, model_class, model_options, parsed, quiet, short
from anlage.encoders.hub_settings import HubSettings
from anlage.encoders.protocol import Encoder
from anlage.errors import AnlageError
from anlage.layers.packing import grouped
from anlage.layers.pooling import Pooling
from anlage.layers.windows import windowed
from anlage.shapes import GridShape, Shape, TokensShape
from anlage.types import Encoded, Grid, Tokens

WASTE = 0.1
"""Padding allowed in a group of sequences; none where the model cannot be told what is padding."""
SHORTEST_LIMIT = 4
_POSITIONS = ("position_embeddings", "position_embedding", "embed_positions", "wpe")
"""What models call their table of learned positions."""


class Hub(Encoder):
    """``model``: what was loaded; left out, it is built from the settings with fresh weights.

    Sequences run in groups of like length, padded with an attention mask; longer ones than the model has learned
    positions for (``limit``) are read in windows. Pooled is the mean over the tokens of the source. Images are resized,
    and grey ones repeated over the model's channels; elements are its cells or patches, row by row. No vector depends
    on the batch-mates, except in training where the model has batch norm.
    """

    layouts: ClassVar[frozenset[str]] = frozenset({"Tokens", "Grid"})
    ids: Tensor

    def __init__(self, settings: HubSettings, shape: Shape, model: nn.Module | None = None):
        super().__init__(settings, shape)
        if not settings.config:
            raise AnlageError("encoder hub wraps a published model: name that instead, a folder or hf:ORG/NAME")
        if shape.layout != settings.layout:
            raise AnlageError(f"this published model reads {settings.layout}, not {shape.layout}")
        config = config_of(settings.config)
        width = getattr(config, "hidden_size", None) or (getattr(config, "hidden_sizes", None) or [None])[-1]
        if not isinstance(width, int):
            raise AnlageError(f"{config.model_type} models do not say the length of their vectors: not supported")
        self.width = width
        if model is None:
            try:
                with quiet():
                    model = encoding_part(model_class(config)(config, **model_options(config, settings.pooler)))
            except Exception as error:  # whatever a stranger's config may break in transformers
                raise AnlageError(f"transformers cannot build this {config.model_type}: {short(error)}") from None
        self.model = model
        self.image_size, self.own_pooler = tuple(settings.image_size), settings.pooler == "yes"
        if isinstance(shape, TokensShape):
            ids = parsed(settings.ids, list)
            if len(ids) != shape.vocabulary:
                raise AnlageError(f"this model was prepared for {len(ids)} tokens; the input sends {shape.vocabulary}")
            self.register_buffer("ids", torch.tensor(ids), persistent=False)
            self.padding = getattr(config, "pad_token_id", None) or 0
            self.masks = "attention_mask" in inspect.signature(self.model.forward).parameters
            self.limit = _limit(self.model)
            self.pooling = Pooling(self.width, "mean", shape)
        elif isinstance(shape, GridShape):
            self.channels, self.patch = getattr(config, "num_channels", 3), getattr(config, "patch_size", None)
            if len(shape.space) != 2 or shape.channels not in (1, self.channels):
                able = f"2-D images of 1 or {self.channels} channels"
                raise AnlageError(f"this model reads {able}, not {shape.channels} channels of {len(shape.space)}-D")

    @property
    def blocks(self) -> list[nn.Module]:
        return _blocks(self.model)

    def forward(self, layout: Tokens | Grid) -> Encoded:
        if isinstance(layout, Grid):
            return self._images(layout)
        windows = None if self.limit is None else windowed(layout, self.limit)
        x = self._tokens(layout) if windows is None else windows.collect(self._tokens(windows.layout))
        return Encoded(self.pooling(x, layout), x, layout.lengths, spans=layout.spans)

    def _tokens(self, layout: Tokens) -> Float[Tensor, "tokens width"]:
        rows = grouped(layout.lengths, WASTE if self.masks else 0.0)
        placed = self.ids[layout.ids][rows.source].split([g.members * g.longest for g in rows.groups])
        answers = []
        for group, flat in zip(rows.groups, placed, strict=True):
            ids = flat.view(group.members, group.longest)
            valid = torch.ones_like(ids, dtype=torch.bool) if group.valid is None else group.valid
            ids = torch.where(valid, ids, self.padding)
            told = {"attention_mask": valid.long()} if self.masks else {}
            answers.append(self.model(input_ids=ids, **told).last_hidden_state)
        return rows.join(answers)

    def _images(self, layout: Grid) -> Encoded:
        pixels = layout.pixels.expand(-1, self.channels, -1, -1)
        if tuple(pixels.shape[2:]) != self.image_size:
            pixels = F.interpolate(pixels, self.image_size, mode="bilinear", antialias=True)
        output = self.model(pixel_values=pixels)
        hidden = output.last_hidden_state
        space: tuple[int, ...] | None
        if hidden.ndim == 4:
            space, cells = tuple(hidden.shape[2:]), hidden.flatten(2).transpose(1, 2)
        else:
            space = _patches(hidden.shape[1], self.image_size, self.patch)
            cells = hidden if space is None else hidden[:, hidden.shape[1] - space[0] * space[1] :]
        pooled = output.pooler_output.flatten(1) if self.own_pooler else cells.mean(1)
        if space is None:
            return Encoded(pooled)
        lengths = torch.full((len(cells),), cells.shape[1], dtype=torch.long, device=cells.device)
        return Encoded(pooled, cells.flatten(0, 1), lengths, space=space)


def _limit(model: nn.Module) -> int | None:
    """Tokens that the model has learned positions for; None where it has none, or too few for windows."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding) and name.rpartition(".")[2] in _POSITIONS:
            # RoBERTa counts from behind its padding id, BART from an offset of two
            padding = -1 if module.padding_idx is None else module.padding_idx
            limit = module.num_embeddings - max(padding + 1, getattr(module, "offset", 0))
            return limit if limit >= SHORTEST_LIMIT else None
    return None


def _patches(vectors: int, image: tuple[int, ...], patch: object) -> tuple[int, ...] | None:
    """Rows and columns of the patches, which come last among a model's vectors; None where they are no grid."""
    if isinstance(patch, int) and vectors >= (image[0] // patch) * (image[1] // patch) > 0:
        return image[0] // patch, image[1] // patch
    side = round(vectors**0.5)
    return (side, side) if side * side == vectors else None


def _blocks(model: nn.Module) -> list[nn.Module]:
    """What comes before the longest list of layers, the layers, and the rest, in the order of the parameters."""
    lists = {name: module for name, module in model.named_modules() if isinstance(module, nn.ModuleList)}
    if not lists:
        return [model]
    name = max(lists, key=lambda found: len(lists[found]))
    before: list[nn.Module] = []
    after: list[nn.Module] = []
    parent = model
    for step in name.split("."):
        if own := list(parent.parameters(recurse=False)):
            before.append(nn.ParameterList(own))
        children = list(parent.named_children())
        at = [child for child, _ in children].index(step)
        before += [module for _, module in children[:at]]
        after = [module for _, module in children[at + 1 :]] + after
        parent = children[at][1]
    held = [*before, *lists[name], *after]
    return [module for module in held if next(module.parameters(), None) is not None]
