"""Turn an image dataset into a classifier that fits a device's byte budget, and measure its cost and accuracy.

Each command is a function of the same name. Functions are imported on first use, so that ``import edgesqz`` is fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from edgesqz.errors import EdgesqzError

if TYPE_CHECKING:
    from edgesqz.benchmarking import bench as bench
    from edgesqz.comparing import compare as compare
    from edgesqz.demonstration import demo as demo
    from edgesqz.embedding import embed as embed
    from edgesqz.engine import load as load
    from edgesqz.exporting import export as export
    from edgesqz.fitting import fit as fit
    from edgesqz.inspecting import inspect as inspect
    from edgesqz.installation import info as info
    from edgesqz.models import SqueezeNetModel as SqueezeNetModel
    from edgesqz.models import build_model as build_model
    from edgesqz.models.listing import list_models as list_models
    from edgesqz.models.plan import params as params
    from edgesqz.predicting import predict as predict
    from edgesqz.sweeping import sweep as sweep
    from edgesqz.training import train as train

_HOMES = {
    "SqueezeNetModel": "edgesqz.models",
    "bench": "edgesqz.benchmarking",
    "build_model": "edgesqz.models",
    "compare": "edgesqz.comparing",
    "demo": "edgesqz.demonstration",
    "embed": "edgesqz.embedding",
    "export": "edgesqz.exporting",
    "fit": "edgesqz.fitting",
    "info": "edgesqz.installation",
    "inspect": "edgesqz.inspecting",
    "list_models": "edgesqz.models.listing",
    "load": "edgesqz.engine",
    "params": "edgesqz.models.plan",
    "predict": "edgesqz.predicting",
    "sweep": "edgesqz.sweeping",
    "train": "edgesqz.training",
}

__all__ = ["EdgesqzError", "__version__", *_HOMES]

__version__: str


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("edgesqz")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
