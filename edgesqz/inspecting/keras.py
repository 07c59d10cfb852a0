"""Reading .keras files by Keras itself, on TensorFlow."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgesqz.inspecting.inspection import Inspection, Tensor, counted, inspection
from edgesqz.models import loading


def read(path: Path, content: bytes) -> Inspection:
    """Inspect a .keras file."""
    model = loading.load_keras(path)
    if not model.built or not getattr(model, "inputs", None):
        raise ValueError("its model was saved before it was built, so that its inputs are unknown")
    with zipfile.ZipFile(path) as archive:
        told = json.loads(archive.read("metadata.json"))
    stored = [Tensor(w.path, tuple(w.shape), str(w.dtype), None, int(w.value.numpy().nbytes)) for w in model.weights]
    return inspection(
        path,
        content,
        tuple(Tensor(tensor.name, tuple(tensor.shape), tensor.dtype) for tensor in model.inputs),
        tuple(Tensor(tensor.name, tuple(tensor.shape), tensor.dtype) for tensor in model.outputs),
        counted(_layers(model)),
        model.count_params(),
        stored,
        told,
    )


def _layers(model: Any) -> Iterator[str]:
    """The classes of all layers, those of models within the model too."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _layers(layer)
        else:
            yield type(layer).__name__
