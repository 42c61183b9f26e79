"""All that ``pretrain`` is told, in one object, as :mod:`anlage.settings` is for a fit. Torch-free."""

from dataclasses import dataclass, field

from anlage.corpus.settings import CorpusSettings
from anlage.errors import require
from anlage.settings import ModelSettings
from anlage.training.settings import TrainingSettings


@dataclass(frozen=True)
class PretrainModelSettings(ModelSettings):
    """The encoder to pretrain."""

    encoder: tuple[str, ...] = ()
    """NAME[-SIZE][:option=value,...], as for fit; or what was trained before (a bundle, a checkpoint's folder,
    hf:ORG/NAME), to go on from there. Default: transformer-small, resnet-small or mlp-small, by kind of input."""


@dataclass(frozen=True)
class PretrainTrainingSettings(TrainingSettings):
    """The one training loop, with what suits a large corpus."""

    patience: int = 0
    """Validations (each epoch, or 50 steps where an epoch is shorter) without a better metric before training stops
    (0 = never); the best weights are kept."""
    batch_samples: int = 256
    """Samples in a batch, at most."""


@dataclass(frozen=True)
class PretrainSettings:
    """Everything that decides a pretraining. A recipe file (TOML) has one table for each group of this class."""

    data: CorpusSettings = field(default_factory=CorpusSettings)
    model: PretrainModelSettings = field(default_factory=PretrainModelSettings)
    training: PretrainTrainingSettings = field(default_factory=PretrainTrainingSettings)
    objective: str = "auto"
    """NAME[:option=value,...]: masked or next_token (sequences), masked_patches (images), denoising (records and
    vectors), contrastive (what its modality can vary). auto: masked, masked_patches or denoising, by kind of input.
    Options: masked:rate=0.15,span=1; masked_patches:rate=0.6,patch=0; denoising:rate=0.3;
    contrastive:method=ntxent|vicreg,temperature=0.2,outputs=64."""
    seed: int = 0
    """Everything random follows from it, the held-out rows as well."""

    def __post_init__(self) -> None:
        require(self.seed >= 0, "seed", self.seed, "0 or more")
