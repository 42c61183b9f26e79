"""What a bundle holds, in memory."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

SCHEMA = 1
"""The version of the layout of ``bundle.json`` that this code writes."""

INDEX = "bundle.json"
WEIGHTS = "weights.safetensors"
METRICS = "metrics.json"
HISTORY = "history.json"
CARD = "MODEL_CARD.md"
REPORT = "report.html"
ROWS = "rows"
"""The folder of what shows rows of the data; it can be left behind when the bundle is shared."""

JSON_BYTES = 64 * 2**20
"""The largest JSON file that is written or read."""


@dataclass
class Contents:
    """All that prediction replays and all that was measured. JSON-able but for the weights."""

    settings: dict[str, Any]
    """FitSettings or PretrainSettings as nested dictionaries."""
    inputs: list[dict[str, Any]]
    """For each input: ``name``, ``columns``, ``modality`` (its to_json), ``shape`` and ``encoder`` (JSON)."""
    targets: list[dict[str, Any]]
    """Each task's to_json."""
    provenance: dict[str, Any]
    """``anlage`` (its version), ``versions`` (of what it stands on), ``created`` (ISO 8601), ``sources`` (file names),
    ``data_hash``, ``split_hash``, ``split`` (how it was made, in words), ``seed``, ``rows`` (number in each part)."""
    metrics: dict[str, Any]
    """What ``metrics.json`` holds."""
    history: list[dict[str, Any]]
    """Learning curves: one entry for each epoch."""
    weights: dict[str, "Tensor"] = field(repr=False)
    """Parameters and buffers by name."""
    trust: dict[str, Any] = field(default_factory=dict)
    """For each target what calibrates its predictions and makes sets and thresholds."""
    files: tuple[str, ...] = ()
    """Names of the files that a bundle that was read lists."""

    @property
    def pretrained(self) -> bool:
        """Was it made without a target (`anlage pretrain`)?"""
        return "objective" in self.settings
