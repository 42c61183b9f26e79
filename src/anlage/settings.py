"""All that ``fit`` is told, in one object: what the command line and recipe files write, and bundles store."""

from dataclasses import dataclass, field

from anlage.adaptation.settings import AdaptationSettings
from anlage.distillation.settings import DistillationSettings
from anlage.errors import require
from anlage.evaluation.settings import EvaluationSettings
from anlage.samples.settings import DataSettings
from anlage.splits.settings import SplitSettings
from anlage.training.settings import TrainingSettings


@dataclass(frozen=True)
class ModelSettings:
    """The encoder of each input and their fusion."""

    encoder: tuple[str, ...] = ()
    """NAME[-SIZE][:option=value,...] for all inputs that it can read, or INPUT=NAME... for one. Names: cnn, rnn, lstm,
    gru, transformer, resnet, mlp, ft-transformer. Sizes: tiny, small (where none is
    named), medium, large. Default: cnn-tiny, resnet-tiny or mlp-tiny, by kind of input."""


@dataclass(frozen=True)
class FitSettings:
    """Everything that decides a fit. A recipe file (TOML) has one table for each field of this class."""

    data: DataSettings = field(default_factory=DataSettings)
    split: SplitSettings = field(default_factory=SplitSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    adaptation: AdaptationSettings = field(default_factory=AdaptationSettings)
    distillation: DistillationSettings = field(default_factory=DistillationSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    seed: int = 0
    """Everything random follows from it."""
    seeds: int = 1
    """Fit as often, with this many seeds from ``seed`` on and the same split; the report tells their spread apart from
    that of the samples, and the bundle holds the first model."""

    def __post_init__(self) -> None:
        require(self.seed >= 0, "seed", self.seed, "0 or more")
        require(self.seeds >= 1, "seeds", self.seeds, "1 or more")
