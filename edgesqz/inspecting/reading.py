"""Read a model file from any tool, without running it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

from edgesqz import artifact
from edgesqz.errors import AS_KERAS, DAMAGE, HDF5_SUFFIXES, EdgesqzError, first_line
from edgesqz.inspecting import keras, onnx, tflite
from edgesqz.inspecting.inspection import Contents, Inspection, inspection

READERS: dict[str, Callable[[Path, bytes], Contents]] = {
    ".tflite": tflite.read,
    ".onnx": onnx.read,
    artifact.KERAS_SUFFIX: keras.read,
}


def read(path: Path) -> Inspection:
    """Read a .tflite, .onnx or .keras file.

    Raises:
        EdgesqzError: The file has another suffix or is damaged.
    """
    reader = READERS.get(path.suffix)
    if path.suffix in HDF5_SUFFIXES:
        raise EdgesqzError(f"cannot inspect {path}; {AS_KERAS}")
    if reader is None:
        raise EdgesqzError(f"expected a {', '.join(READERS)} file, got {path}")
    content = artifact.read_bytes(path)
    try:
        return inspection(path, content, reader(path, content))
    except (*DAMAGE, RecursionError, struct.error) as error:
        raise EdgesqzError(f"{path} is not a {path.suffix} file or is damaged: {first_line(error)}") from error
