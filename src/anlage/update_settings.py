"""All that ``update`` is told, in one object, as :mod:`anlage.settings` is for a fit. Torch-free."""

from dataclasses import dataclass, field

from anlage.errors import require
from anlage.training.settings import TrainingSettings


@dataclass(frozen=True)
class UpdateDataSettings:
    """The model, the new rows, and the old ones that are learned again beside them."""

    run: str = ""
    """Folder of a bundle of `anlage fit` or `anlage update`."""
    new: str = ""
    """New rows with their targets: same formats as for fit."""
    table: tuple[str, ...] = ()
    """Where the tables that RUN learned from lie now, in their order (that of its fit, then those of its updates).
    Default: where they lay then."""
    replay: float = 1.0
    """Old training rows that are learned again for each new training row, at most all: they keep the model from
    forgetting."""
    drop_overlap: bool = False
    """Leave out new rows that RUN is tested on, instead of refusing them."""

    def __post_init__(self) -> None:
        require(self.replay >= 0, "replay", self.replay, "0 or more")


@dataclass(frozen=True)
class UpdateSettings:
    """Everything that decides an update. What is not named here stays as the fit was told."""

    data: UpdateDataSettings = field(default_factory=UpdateDataSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
