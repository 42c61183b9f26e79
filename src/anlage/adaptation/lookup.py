"""Adaptations by name: every module of this folder that defines ``adapt`` is one, and its file name is its name."""

import pkgutil
from functools import cache
from importlib import import_module

import anlage.adaptation
from anlage.adaptation.protocol import Adapt


@cache
def adaptations() -> dict[str, Adapt]:
    """Name → function."""
    names = sorted(found.name for found in pkgutil.iter_modules(anlage.adaptation.__path__))
    modules = {name: import_module(f"anlage.adaptation.{name}") for name in names}
    return {name: module.adapt for name, module in modules.items() if hasattr(module, "adapt")}
