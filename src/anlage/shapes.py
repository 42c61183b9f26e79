"""What a fitted modality tells an encoder about the layout that it will send: enough to build the encoder.

Torch-free and JSON-able: a bundle stores the shape of each input beside the encoder's settings.
"""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class TokensShape:
    """Packed token ids below ``vocabulary``."""

    layout: ClassVar[str] = "Tokens"
    vocabulary: int
    mask_id: int
    """The id that stands for a hidden token (masked objectives, token dropout)."""
    max_tokens: int
    """The longest part that the modality will send; longer values were cropped, and that was said."""
    aligned: int | None = None
    """Number of tokens of every training part where these are variants of one parent: then positions mean something."""


@dataclass(frozen=True)
class GridShape:
    """Pixels of one size."""

    layout: ClassVar[str] = "Grid"
    channels: int
    space: tuple[int, ...]


@dataclass(frozen=True)
class ColumnsShape:
    """``numbers`` numerical columns and one entry of ``categories`` for each categorical one (codes below it)."""

    layout: ClassVar[str] = "Columns"
    numbers: int
    categories: tuple[int, ...] = ()


Shape = TokensShape | GridShape | ColumnsShape
_SHAPES: dict[str, Any] = {cls.layout: cls for cls in (TokensShape, GridShape, ColumnsShape)}


def shape_to_json(shape: Shape) -> dict[str, Any]:
    """The shape as a JSON object, with the name of its layout."""
    return {"layout": shape.layout, **asdict(shape)}


def shape_from_json(data: dict[str, Any]) -> Shape:
    """The inverse of :func:`shape_to_json`."""
    data = dict(data)
    cls = _SHAPES[data.pop("layout")]
    return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in data.items()})
