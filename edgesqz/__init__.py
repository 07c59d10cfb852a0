"""edgesqz: turn a dataset into a model file that fits a device's byte budget, and prove what it costs.

The five functions are the commands of the same names; they are imported when first used, so that ``import edgesqz``
does not wait for TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgesqz.models import SqueezeNetModel as SqueezeNetModel
    from edgesqz.training import train as train

_HOMES = {
    "train": "training",
    "SqueezeNetModel": "models",
}

__all__ = ["SqueezeNetModel", "train"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
