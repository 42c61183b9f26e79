"""How a small model learns from a large one. Torch-free; the docstrings are the help of the command line."""

from dataclasses import dataclass

from anlage.errors import require


@dataclass(frozen=True)
class DistillationSettings:
    """Learning from the predictions and the vectors of a fitted model, also on rows without a label."""

    teacher: str | None = None
    """Folder of a bundle of `anlage fit` with the same target: the new model learns from what it predicts of the
    training rows, which then need no label. It must not have been trained on the test rows."""
    teacher_weight: float = 0.5
    """Part of a labelled row's loss that comes from the teacher; the rest is its label's. (Rows without a label learn
    from the teacher alone.)"""
    temperature: float = 2.0
    """Softens the teacher's probabilities, so that its doubts between labels show; 1 = as it predicts them."""

    def __post_init__(self) -> None:
        require(0 < self.teacher_weight <= 1, "teacher_weight", self.teacher_weight, "a number above 0, at most 1")
        require(self.temperature > 0, "temperature", self.temperature, "a number above 0")
