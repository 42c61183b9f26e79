"""Finding tasks: every module of this folder that defines a subclass of Task is one, and its file name is its name."""

import inspect
import pkgutil
from functools import cache
from importlib import import_module
from typing import Any

import pandas as pd

import anlage.tasks
from anlage.errors import AnlageError
from anlage.tasks.objective import Objective
from anlage.tasks.protocol import Task


@cache
def _tasks() -> dict[str, type[Task]]:
    found: dict[str, type[Task]] = {}
    for module in sorted(m.name for m in pkgutil.iter_modules(anlage.tasks.__path__)):
        members = import_module(f"anlage.tasks.{module}")
        for _, cls in inspect.getmembers(members, inspect.isclass):
            if issubclass(cls, Task) and cls.__module__ == members.__name__ and not inspect.isabstract(cls):
                if cls.name != module:
                    raise RuntimeError(f"{cls.__module__} defines the task {cls.name!r}; its file must have that name")
                found[module] = cls
    return found


def names() -> list[str]:
    """The names of all tasks that read targets."""
    return [name for name, cls in _tasks().items() if not issubclass(cls, Objective)]


def objectives() -> list[str]:
    """The names of all objectives: tasks that make their own target."""
    return [name for name, cls in _tasks().items() if issubclass(cls, Objective)]


def get(name: str) -> type[Task]:
    """The task of that name; AnlageError where there is none."""
    if name not in names():
        hint = ": it is an objective, for `anlage pretrain`" if name in objectives() else ""
        raise AnlageError(f"there is no task {name!r}{hint}; tasks: {', '.join(names())}")
    return _tasks()[name]


def objective(name: str) -> type[Objective]:
    """The objective of that name; AnlageError where there is none."""
    if name not in objectives():
        raise AnlageError(f"there is no objective {name!r}; objectives: {', '.join(objectives())}")
    return _tasks()[name]  # type: ignore[return-value]


def recognise(frame: pd.DataFrame, override: str | None = None) -> tuple[type[Task], str]:
    """The task that fits target columns best, and why, in words for the user.

    ``frame`` holds the target's columns alone; ``override`` is the task that the user named. AnlageError where no task
    can read the columns.
    """
    if override is not None:
        return get(override), "named by you"
    fits = [(fit, cls) for cls in _tasks().values() if (fit := cls.recognise(frame)) is not None]
    if not fits:
        where = ", ".join(str(c) for c in frame.columns)
        if frame.isna().all(axis=None):
            raise AnlageError(f"target {where}: every value is missing")
        raise AnlageError(
            f"target {where}: neither labels nor numbers could be recognised; name the task with --task "
            f"{frame.columns[0]}=NAME ({', '.join(names())})"
        )
    fit, cls = max(fits, key=lambda pair: pair[0].score)
    return cls, fit.evidence


def from_json(data: dict[str, Any]) -> Task:
    """The fitted task that ``to_json`` wrote."""
    known = _tasks()
    if data["task"] not in known:
        raise AnlageError(f"this bundle has the task {data['task']!r}, unknown to this version: upgrade anlage")
    task = known[data["task"]](data["target"], list(data["columns"]))
    task.state = data["state"]
    return task
