"""Read Keras files with Keras, on TensorFlow."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgesqz.errors import HDF5_SUFFIXES
from edgesqz.inspecting.inspection import Contents, Tensor, as_text, counted
from edgesqz.models import loading


def read(path: Path, content: bytes) -> Contents:
    """Read a .keras file, or a Keras 2 .h5 file."""
    model = loading.load_keras(path)
    if not model.built or not getattr(model, "inputs", None):
        raise ValueError("its model was saved before it was built, so its inputs are unknown")
    return Contents(
        inputs=tuple(Tensor(tensor.name, tuple(tensor.shape), tensor.dtype) for tensor in model.inputs),
        outputs=tuple(Tensor(tensor.name, tuple(tensor.shape), tensor.dtype) for tensor in model.outputs),
        operators=counted(_layers(model)),
        parameters=model.count_params(),
        tensors=tuple(
            Tensor(weight.path, tuple(weight.shape), str(weight.dtype), None, int(weight.value.numpy().nbytes))
            for weight in model.weights
        ),
        layers=_weighted_layers(model),
        metadata=_hdf5_metadata(path) if path.suffix in HDF5_SUFFIXES else _metadata(path),
    )


def _metadata(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        return dict(json.loads(archive.read("metadata.json")))


def _hdf5_metadata(path: Path) -> dict[str, Any]:
    import h5py

    with h5py.File(path) as file:
        found = {name: file.attrs[name] for name in ("keras_version", "backend") if name in file.attrs}
    return {name: as_text(value) for name, value in found.items()}


def _weighted_layers(model: Any) -> dict[str, str]:
    """Return the layers with a kernel, including the layers of nested models, and their classes."""
    found: dict[str, str] = {}
    for layer in model.layers:
        if hasattr(layer, "layers"):
            found |= _weighted_layers(layer)
        elif any(weight.path.endswith("kernel") for weight in layer.weights):
            found[layer.name] = type(layer).__name__
    return found


def _layers(model: Any) -> Iterator[str]:
    """Yield the class of each layer, including the layers of nested models."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _layers(layer)
        else:
            yield type(layer).__name__
