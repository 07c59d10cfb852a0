"""What is in a model file: inputs, outputs, operators, parameters, bytes and metadata, whoever made it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

from edgesqz import artifact, defaults
from edgesqz.errors import AS_KERAS, DAMAGE, HDF5_SUFFIXES, EdgesqzError, first_line
from edgesqz.inspecting import keras, onnx, tflite
from edgesqz.inspecting.inspection import Inspection
from edgesqz.lookup import find_model_file
from edgesqz.workspace import settle

READERS: dict[str, Callable[[Path, bytes], Inspection]] = {
    ".tflite": tflite.read,
    ".onnx": onnx.read,
    artifact.KERAS_SUFFIX: keras.read,
}


def inspect(file: str | Path, *, workspace: Path = defaults.WORKSPACE) -> Inspection:
    """Read a model file of any maker; nothing of it is run.

    Args:
        file: a .tflite, .onnx or .keras file, or the name of one in the workspace or the zoo.
        workspace: where names are looked up.

    Raises:
        EdgesqzError: there is no such file, its suffix is another one, or it is damaged.
    """
    settle(workspace)
    path = find_model_file(file, workspace)
    reader = READERS.get(path.suffix)
    if path.suffix in HDF5_SUFFIXES:
        raise EdgesqzError(f"cannot inspect {path}; {AS_KERAS}")
    if reader is None:
        raise EdgesqzError(f"expected a {', '.join(READERS)} file, got {path}")
    content = artifact.read_bytes(path)
    try:
        return reader(path, content)
    except (*DAMAGE, RecursionError, struct.error) as error:
        raise EdgesqzError(f"{path} is no {path.suffix} file, or is damaged: {first_line(error)}") from error
