"""From what the user asked for to a model ready to train: pretrained encoders adapted, frozen inputs read once."""

from collections.abc import Callable
from dataclasses import replace

from anlage.adaptation.lookup import adaptations
from anlage.adaptation.protocol import Unsuitable
from anlage.adaptation.settings import AdaptationSettings
from anlage.choosing import Choice
from anlage.encoders import lookup as encoders
from anlage.errors import AnlageError
from anlage.foundation import fresh
from anlage.modalities.protocol import Modality
from anlage.model import Model
from anlage.parts import Prepared, VectorParts
from anlage.shapes import shape_to_json
from anlage.training.batches import PreparedTable
from anlage.training.devices import fabric
from anlage.training.preparation import Preparation
from anlage.training.settings import TrainingSettings
from anlage.training.vectors import kept_vectors

LADDER = ("frozen", "lora", "full")
"""What ``auto`` climbs, each rung with more weights that learn."""


def planned(settings: AdaptationSettings, choice: dict[str, Choice]) -> tuple[str, ...]:
    """Names of the adaptations to try in turn; none where no encoder is pretrained. AnlageError where one is asked for
    all the same."""
    if not any(chosen.foundation for chosen in choice.values()):
        if settings.adapt is not None:
            raise AnlageError(f"--adapt {settings.adapt}: no encoder is pretrained; name one with --encoder (a bundle, "
                              "a checkpoint's folder, hf:ORG/NAME) or leave --adapt out")  # fmt: skip
        return ()
    return LADDER if settings.adapt in (None, "auto") else (settings.adapt,)


def adapt(model: Model, choice: dict[str, Choice], name: str, settings: AdaptationSettings) -> dict[str, float]:
    """Adapt every pretrained encoder of ``model``, in place; returns factors of the learning rate by parameter name.
    Raises Unsuitable where one of them cannot be adapted so."""
    factors: dict[str, float] = {}
    for (key, encoder), item in zip(model.encoders.items(), model.inputs, strict=True):
        foundation = choice[item].foundation
        if foundation is None:
            continue
        try:
            blocks = list(encoder.blocks)  # type: ignore[arg-type]
            adapted = adaptations()[name](encoder, blocks, fresh(encoder, foundation), settings)
        except Unsuitable as error:
            raise Unsuitable(f"encoder of {item}: {error}") from None
        factors |= {f"encoders.{key}.{parameter}": factor for parameter, factor in adapted.factors.items()}
        model.resting += adapted.resting
    return factors


def with_vectors(
    table: PreparedTable,
    model: Model,
    preparation: Preparation,
    choice: dict[str, Choice],
    settings: TrainingSettings,
    say: Callable[[str], None],
) -> PreparedTable:
    """The table with the vectors of its parts in place of the inputs whose encoders are pretrained (and frozen)."""
    device = fabric(settings).device
    inputs = dict(table.inputs)
    for item in preparation.inputs:
        chosen, prepared = choice[item.name], inputs[item.name]
        if chosen.foundation is None:
            continue
        if settings.augment and type(item.modality).augment is not Modality.augment:
            say(f"{item.name}: read once by the frozen encoder, so it is not varied in training")
        encoder = model.encoder(item.name).to(device)
        described = [encoders.to_json(chosen.settings), shape_to_json(item.modality.shape)]
        vectors = kept_vectors(encoder, prepared.parts, described, item.name, say)
        inputs[item.name] = Prepared(VectorParts(vectors), prepared.index)
    return replace(table, inputs=inputs)
