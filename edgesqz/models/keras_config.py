"""Check a .keras file by its configuration, before starting Keras, which takes seconds."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from edgesqz.errors import DAMAGE, HDF5_SUFFIXES, EdgesqzError
from edgesqz.tables import counted

Shape = Sequence[int | None]


class OtherModelError(EdgesqzError):
    """A Keras model has other inputs or outputs than an image classifier.

    Attributes:
        path: The model file.
    """

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path


def read(path: Path) -> dict[str, Any]:
    """Return a model's configuration, or an empty one if the file is damaged. Loading the model reports the damage."""
    try:
        config = json.loads(_hdf5_text(path) if path.suffix in HDF5_SUFFIXES else _archived_text(path))
    except (*DAMAGE, OSError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return {}
    return config if isinstance(config, dict) else {}


def _archived_text(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return archive.read("config.json")


def _hdf5_text(path: Path) -> str | bytes:
    import h5py

    with h5py.File(path) as file:
        text: str | bytes = file.attrs["model_config"]
        return text


def foreign_code(config: dict[str, Any]) -> str | None:
    """Return which part of a model needs custom code and what to do about it, or None if no part does."""
    for part in _objects(config):
        name, module = part["class_name"], str(part.get("module") or "")
        if name == "Lambda":
            return "its Lambda layer is Python code; replace it with Keras's own layers, such as Rescaling"
        if module == "builtins":
            return f"its function {part.get('config')!r} is not Keras's own; replace it with Keras's own layers"
        if module.split(".")[0] not in ("keras", "tensorflow") and "registered_name" in part:
            return (
                f"its class {name!r} is not Keras's own; rebuild the model from Keras's own layers, "
                "or import that class in Python and call edgesqz.export there"
            )
    return None


def check_form(path: Path, config: dict[str, Any]) -> None:
    """Reject a model that Keras has quantized, or whose inputs or outputs cannot be exported. See ``check``.

    Raises:
        EdgesqzError: The model cannot be exported.
    """
    if any(part["class_name"] == "QuantizedDTypePolicy" for part in _objects(config)):
        raise EdgesqzError(f"{path}: the model was quantized by Keras; export the float model instead")
    try:
        layers = [layer["config"] for layer in config["config"]["layers"] if layer["class_name"] == "InputLayer"]
        inputs = [[*layer["batch_shape"]] for layer in layers]
        outputs = len(list(_names(config["config"].get("output_layers")))) or 1
    except DAMAGE:  # a damaged file or another kind of model; loading it reports the problem
        return
    if inputs:
        check(path, inputs, outputs)


def check(path: Path, inputs: Sequence[Shape], outputs: int) -> None:
    """Check that a model takes one image, with one or three channels in the last axis, and has one output.

    Args:
        path: The model file, for the message.
        inputs: Shapes of the inputs, including the batch axis.
        outputs: Number of outputs.

    Raises:
        EdgesqzError: The images have channels first. The message says what to do.
        OtherModelError: The inputs or outputs are different.
    """
    if len(inputs) != 1 or outputs != 1:
        counts = f"it has {counted(len(inputs), 'input')} and {counted(outputs, 'output')}"
        if not (inputs and outputs):
            raise EdgesqzError(
                f"{path}: expected a model with inputs and outputs, but {counts}; build it before saving it"
            )
        raise OtherModelError(path, f"expected a model with one input and one output, but {counts}")
    shape = tuple(inputs[0])
    if len(shape) == 4 and shape[3] not in (1, 3) and shape[1] in (1, 3):
        raise EdgesqzError(
            f"{path}: its input {shape} has channels first; rebuild it with data_format='channels_last', which "
            "takes the same weights"
        )
    if len(shape) != 4 or shape[3] not in (1, 3):
        raise OtherModelError(path, f"expected a model with RGB or gray images as input, got input shape {shape}")


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """Yield every object in a configuration that has a class, except those that only training needs."""
    if isinstance(config, dict):
        if isinstance(config.get("class_name"), str):
            yield config
        for key, value in config.items():
            if key != "compile_config":
                yield from _objects(value)
    elif isinstance(config, list):
        for value in config:
            yield from _objects(value)


def _names(layers: Any) -> Iterator[str]:
    """Yield the layer names in a reference such as ``["name", 0, 0]``, or in a list or dict of references."""
    if isinstance(layers, str):
        yield layers
    elif isinstance(layers, dict):
        for value in layers.values():
            yield from _names(value)
    elif isinstance(layers, list):
        for value in layers:
            yield from _names(value)
