"""anlage: bring a biomedical table, get a model that you can trust.

    import anlage

    run = anlage.fit("proteins.csv", target="localisation", out="runs/loc")
    run.evaluation              # metrics with intervals, beside the baselines
    run.predict("new.csv")      # a DataFrame

The names are loaded when first used: ``import anlage`` is instant and imports neither torch nor pandas.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from anlage.advising.advice import Advice as Advice
    from anlage.api import Run as Run
    from anlage.api import advise as advise
    from anlage.api import embed as embed
    from anlage.api import evaluate as evaluate
    from anlage.api import fit as fit
    from anlage.api import inspect as inspect
    from anlage.api import load as load
    from anlage.api import pretrain as pretrain
    from anlage.api import resume as resume
    from anlage.api import search as search
    from anlage.api import update as update
    from anlage.embedding.settings import EmbedSettings as EmbedSettings
    from anlage.encoders.protocol import Encoder as Encoder
    from anlage.errors import AnlageError as AnlageError
    from anlage.estimator import AnlageClassifier as AnlageClassifier
    from anlage.estimator import AnlageRegressor as AnlageRegressor
    from anlage.pretrain_settings import PretrainSettings as PretrainSettings
    from anlage.settings import FitSettings as FitSettings

_HOME = {
    "fit": "anlage.api",
    "advise": "anlage.api",
    "resume": "anlage.api",
    "pretrain": "anlage.api",
    "load": "anlage.api",
    "inspect": "anlage.api",
    "evaluate": "anlage.api",
    "embed": "anlage.api",
    "search": "anlage.api",
    "update": "anlage.api",
    "Run": "anlage.api",
    "Advice": "anlage.advising.advice",
    "FitSettings": "anlage.settings",
    "EmbedSettings": "anlage.embedding.settings",
    "PretrainSettings": "anlage.pretrain_settings",
    "AnlageError": "anlage.errors",
    "AnlageClassifier": "anlage.estimator",
    "AnlageRegressor": "anlage.estimator",
    "Encoder": "anlage.encoders.protocol",
}
__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'anlage' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
