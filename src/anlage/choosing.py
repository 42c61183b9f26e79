"""From the user's words to the parts of a model: which task reads a target, which encoder reads an input."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import pandas as pd

from anlage.encoders import lookup as encoders
from anlage.encoders.settings import EncoderSettings
from anlage.errors import AnlageError
from anlage.foundation import Foundation, find, is_pretrained, put_into, reads
from anlage.modalities.protocol import Modality
from anlage.model import Model
from anlage.tasks import lookup as tasks
from anlage.tasks.protocol import Task
from anlage.training.preparation import Preparation

LONG = 60
"""Letters of an option that is not for people (a published model's whole configuration)."""


def columns_of(text: str) -> tuple[str, list[str]]:
    """ "y" → ("y", ["y"]); "tox=a,b" → ("tox", ["a", "b"])."""
    name, mark, columns = text.partition("=")
    return (name, columns.split(",")) if mark else (text, [text])


def choose_tasks(
    frame: pd.DataFrame, named: dict[str, list[str]], wanted: Sequence[str], say: Callable[[str], None]
) -> list[Task]:
    """The task of each target: the one that ``wanted`` ("TARGET=TASK") names, else the one that fits best."""
    chosen: dict[str, str] = {}
    for text in wanted:
        target, mark, task = text.partition("=")
        chosen |= {target: task} if mark else dict.fromkeys(named, text)
    unknown = set(chosen) - set(named)
    if unknown:
        raise AnlageError(f"--task {unknown.pop()}=…: no such target; targets: {', '.join(named)}")
    targets: list[Task] = []
    for target, columns in named.items():
        task_class, why = tasks.recognise(frame[columns], chosen.get(target))
        targets.append(task_class(target, columns))
        say(f"target {target}: {task_class.name} ({why})")
    return targets


@dataclass
class Choice:
    """The encoder of one input: its settings and, where it was trained before, what it learned."""

    settings: EncoderSettings
    foundation: Foundation | None = None


def choose_encoders(preparation: Preparation, wanted: Sequence[str], own: type | None = None) -> dict[str, Choice]:
    """The encoder of each input: the one named for it, else the one named for all that can read it, else by kind.

    AnlageError where a named encoder fits no input, and says which would."""
    named: dict[str, str] = {}
    general: list[str] = []
    names = [item.name for item in preparation.inputs]
    for text in wanted:
        before, mark, after = text.partition("=")
        if mark and (before in names or ":" not in before) and not is_pretrained(text):
            named[before] = after
        else:
            general.append(text)
    own_settings = encoders.from_class(own) if own is not None else None
    readable = {item.modality.shape.layout for item in preparation.inputs}
    if own_settings is not None and not readable & encoders.layouts(own_settings):
        raise AnlageError(f"encoder {own_settings.name} reads none of the inputs: they are {', '.join(readable)}")
    for name in set(named) - set(names):
        raise AnlageError(f"--encoder {name}={named[name]}: no such input; inputs: {', '.join(names)}")
    chosen: dict[str, Choice] = {}
    used: set[str] = set()
    for item in preparation.inputs:
        shape = item.modality.shape
        if own_settings is not None and shape.layout in encoders.layouts(own_settings):
            chosen[item.name] = Choice(own_settings)
        elif item.name in named:
            chosen[item.name] = _choice(named[item.name], item.modality)
        else:
            fitting = [text for text in general if _fits(text, item.modality)]
            used |= set(fitting[:1])
            chosen[item.name] = _choice(fitting[0] if fitting else encoders.default_name(shape), item.modality)
    for text in general:
        if text not in used:
            layouts = ", ".join(f"{item.name} ({item.modality.shape.layout})" for item in preparation.inputs)
            raise AnlageError(f"--encoder {text}: fits no input; inputs: {layouts}")
    return chosen


def _fits(text: str, modality: Modality) -> bool:
    if is_pretrained(text):
        return reads(text, modality)
    return modality.shape.layout in encoders.layouts(encoders.parse(text))


def _choice(text: str, modality: Modality) -> Choice:
    if is_pretrained(text):
        foundation = find(text, modality)
        return Choice(foundation.settings, foundation)
    return Choice(encoders.parse(text))


def build_model(preparation: Preparation, choice: dict[str, EncoderSettings]) -> Model:
    """A model with fresh weights from torch's global generator."""
    built = {item.name: encoders.build(choice[item.name], item.modality.shape) for item in preparation.inputs}
    return Model(built, preparation.tasks)


def adopt(preparation: Preparation, choice: dict[str, Choice]) -> None:
    """Let the fitted preparation take over what the pretrained encoders rely on: before any table is prepared."""
    for item in preparation.inputs:
        foundation = choice[item.name].foundation
        if foundation is not None and foundation.modality is not None:
            item.modality.adopt(foundation.modality)


def build_chosen(preparation: Preparation, choice: dict[str, Choice]) -> Model:
    """A model for an adopted preparation; its pretrained encoders have their weights."""
    model = build_model(preparation, {name: chosen.settings for name, chosen in choice.items()})
    for name, chosen in choice.items():
        if chosen.foundation is not None:
            put_into(model.encoder(name), chosen.foundation)
    return model


def describe(settings: EncoderSettings) -> str:
    """Family, size and what is not as usual, for people: "convolutional (width 128, layers 8, …)"."""
    told = encoders.to_json(settings)
    usual = {option.name: option.default for option in fields(settings)}
    sized = settings.sizes.get(encoders.DEFAULT_SIZE, {})
    options = [
        f"{name} {value}"
        for name, value in told["options"].items()
        if (name in sized or value != usual.get(name)) and len(str(value)) < LONG
    ]
    return f"{told['encoder']} ({', '.join(options)})" if options else str(told["encoder"])
