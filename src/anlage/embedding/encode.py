"""From a prepared table to vectors: each distinct part once, in batches of like length, longest first."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import nn

from anlage.errors import AnlageError
from anlage.model import Model
from anlage.parts import Parts, Prepared, VectorParts
from anlage.training.batches import PreparedTable, cut
from anlage.training.vectors import encode_parts
from anlage.types import Encoded

BATCH_TOKENS = {"cpu": 8192}
"""Tokens in a batch: on a CPU so few that a layer's activations stay in its caches."""
MOST_TOKENS, BATCH_PARTS = 32_768, 512
PIECE_TOKENS, PIECE_ROWS = 65_536, 256
"""Elements are held in memory for so many tokens and rows at most (a longer row stands alone)."""
FUSED_ROWS = 4096

Done = Callable[[int], None]
"""Is told how many tokens (images, records) were encoded."""


@dataclass
class Elements:
    """The elements of one part that stand for something in its source."""

    vectors: Float[np.ndarray, "elements width"]
    spans: Int[np.ndarray, "elements 2"] | None
    """First and one past the last character; None for images and records."""
    space: tuple[int, ...] | None
    """Height and width of a grid of elements."""


class Coder:
    """A model where it computes, and how precisely. ``precision``: "32-true" or "bf16"; with that, the weights of
    linear and convolution layers are rounded to bfloat16, and norms, recurrent layers and pooling stay in 32 bits."""

    def __init__(self, model: Model, device: str, precision: str):
        self.device, self.half = torch.device(_device(device)), precision == "bf16"
        if self.half:
            for name, module in model.encoders.named_modules():
                if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d) and ".pooling." not in name:
                    module.to(torch.bfloat16)
        self.model = model.eval().to(self.device)
        self.width = model.fusion.width

    def samples(self, table: PreparedTable, done: Done) -> Float[np.ndarray, "rows width"]:
        """One float32 vector for each row: all its inputs, fused."""
        pooled = {}
        for name, prepared in table.inputs.items():
            encoder, parts = self.model.encoder(name), prepared.parts
            vectors = np.zeros((len(parts), int(encoder.width)), dtype=np.float32)  # type: ignore[arg-type]
            for which, values in self._encoded(encoder, parts, np.arange(len(parts)), done):
                vectors[which] = values
            pooled[name] = Prepared(VectorParts(vectors), prepared.index)
        known = PreparedTable(pooled)
        fused = np.zeros((len(known), self.width), dtype=np.float32)
        for start in range(0, len(known), FUSED_ROWS):
            rows = np.arange(start, min(start + FUSED_ROWS, len(known)))
            with torch.inference_mode():
                fused[rows] = self.model.encode(known.batch(rows).to(self.device)).pooled.cpu().numpy()
        return fused

    def elements(self, table: PreparedTable, done: Done) -> Iterator[tuple[Int[np.ndarray, " rows"], list[Elements]]]:
        """Numbers of rows, in order, some at a time as memory allows, and the elements of each. For a model with one
        input, which no row lacks."""
        ((name, prepared),) = table.inputs.items()
        encoder, sizes = self.model.encoder(name), prepared.parts.sizes[prepared.index]
        last: list[Encoded] = []
        hook = encoder.register_forward_hook(lambda module, layouts, encoded: last.append(encoded))
        try:
            for rows in cut(np.arange(len(sizes)), sizes, PIECE_TOKENS, PIECE_ROWS):
                found: dict[int, Elements] = {}
                for which, _ in self._encoded(encoder, prepared.parts, np.unique(prepared.index[rows]), done):
                    found |= zip(which.tolist(), _elements(last.pop()), strict=True)
                yield rows, [found[part] for part in prepared.index[rows].tolist()]
        finally:
            hook.remove()

    def _encoded(
        self, encoder: nn.Module, parts: Parts, which: np.ndarray, done: Done
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        tokens, sizes = BATCH_TOKENS.get(self.device.type, MOST_TOKENS), parts.sizes
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            for batch, pooled in encode_parts(encoder, parts, which, tokens, BATCH_PARTS):
                yield batch, pooled
                done(int(sizes[batch].sum()))


def _elements(encoded: Encoded) -> list[Elements]:
    if encoded.elements is None or encoded.lengths is None:
        raise AnlageError("--level element: this encoder makes no vectors of elements, only of samples")
    cuts = np.cumsum(encoded.lengths.cpu().numpy())[:-1]
    vectors = np.split(encoded.elements.float().cpu().numpy(), cuts)
    if encoded.spans is None:
        return [Elements(v, None, encoded.space) for v in vectors]
    spans = np.split(encoded.spans.cpu().numpy(), cuts)
    real = [s[:, 1] > s[:, 0] for s in spans]
    return [Elements(v[r], s[r], None) for v, s, r in zip(vectors, spans, real, strict=True)]


def _device(wanted: str) -> str:
    """The name of a device that is there."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return next(name for name, is_there in there.items() if is_there)
    if not there[wanted]:
        raise AnlageError(f"--device {wanted}: torch finds none here; use --device auto")
    return wanted
