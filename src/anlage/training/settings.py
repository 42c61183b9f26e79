"""How a model is trained. Torch-free; the docstrings are the help of the command line."""

from dataclasses import dataclass
from typing import Literal

from anlage.errors import require


@dataclass(frozen=True)
class TrainingSettings:
    """The one training loop."""

    epochs: int | None = None
    """Passes over the training rows at most. Default: 20, or more where these make less than 1,000 steps."""
    budget: str | None = None
    """Bound on the training time (90s, 10m, 1h): measured on the first steps, then a stored number of steps."""
    patience: int = 5
    """Validations (each epoch, or 50 steps where an epoch is shorter) without a better metric before training stops
    (0 = never); the best weights are kept."""
    learning_rate: float = 1e-3
    """Peak of the schedule: linear warm-up, then cosine to zero."""
    weight_decay: float = 0.01
    """AdamW's decay, on matrices only."""
    warmup: float = 0.05
    """Part of the steps in which the learning rate rises."""
    batch_tokens: int = 8192
    """Tokens in a batch of sequences (padding-free), at most."""
    batch_samples: int = 64
    """Samples in a batch, at most."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    average: float = 0.0
    """Decay of the running average of weights that is validated and kept (0 = off, 0.99 is common)."""
    augment: bool = True
    """Vary training batches as their modalities know how (images are shifted; sequences stay as they are)."""
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    """Arithmetic. auto: bf16 on GPUs that have it, else 32-bit."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute."""
    shard: bool = False
    """Several processes (torchrun): cut weights and optimiser over them (FSDP2) where one cannot hold the model."""
    checkpoint_seconds: float = 60.0
    """How often to save a checkpoint: the most work that a kill can cost."""
    tensorboard: bool = False
    """Also write TensorBoard events (extra: tensorboard). The JSON-lines log is always written."""

    def __post_init__(self) -> None:
        require(self.epochs is None or self.epochs >= 1, "epochs", self.epochs, "1 or more")
        require(self.patience >= 0, "patience", self.patience, "0 or more")
        for name in ("batch_tokens", "batch_samples"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        for name in ("learning_rate", "clip"):
            require(getattr(self, name) > 0, name, getattr(self, name), "a number above 0")
        for name in ("average", "warmup"):
            require(0 <= getattr(self, name) < 1, name, getattr(self, name), "a number from 0 to below 1")
