"""Read .keras files with Keras, on TensorFlow."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgesqz.inspecting.inspection import Contents, Tensor, counted
from edgesqz.models import loading


def read(path: Path, content: bytes) -> Contents:
    """Read a .keras file."""
    model = loading.load_keras(path)
    if not model.built or not getattr(model, "inputs", None):
        raise ValueError("its model was saved before it was built, so its inputs are unknown")
    with zipfile.ZipFile(path) as archive:
        metadata = json.loads(archive.read("metadata.json"))
    return Contents(
        inputs=tuple(Tensor(tensor.name, tuple(tensor.shape), tensor.dtype) for tensor in model.inputs),
        outputs=tuple(Tensor(tensor.name, tuple(tensor.shape), tensor.dtype) for tensor in model.outputs),
        operators=counted(_layers(model)),
        parameters=model.count_params(),
        tensors=tuple(
            Tensor(weight.path, tuple(weight.shape), str(weight.dtype), None, int(weight.value.numpy().nbytes))
            for weight in model.weights
        ),
        metadata=metadata,
    )


def _layers(model: Any) -> Iterator[str]:
    """Yield the class of each layer, including the layers of nested models."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _layers(layer)
        else:
            yield type(layer).__name__
