"""Read a model file from any tool, without running it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

from edgesqz import artifact
from edgesqz.errors import DAMAGE, HDF5_SUFFIXES, SAVED_MODEL_SUFFIX, EdgesqzError, first_line, wrong_format
from edgesqz.inspecting import keras, onnx, pytorch, saved_model, tflite
from edgesqz.inspecting.inspection import Contents, Inspection, inspection

READERS: dict[str, Callable[[Path, bytes], Contents]] = {
    ".tflite": tflite.read,
    ".onnx": onnx.read,
    ".pt2": pytorch.read,
    artifact.KERAS_SUFFIX: keras.read,
    **dict.fromkeys(HDF5_SUFFIXES, keras.read),
    SAVED_MODEL_SUFFIX: saved_model.read,
}


def read(path: Path) -> Inspection:
    """Read a model file or a SavedModel folder.

    Raises:
        EdgesqzError: The file has another suffix or is damaged.
    """
    suffix = artifact.model_suffix(path)
    reader = READERS.get(suffix)
    if reader is None:
        raise wrong_format(path, READERS)
    content = artifact.read_bytes(path)
    try:
        return inspection(path, content, reader(path, content))
    except (*DAMAGE, RecursionError, struct.error) as error:
        what = "SavedModel" if suffix == SAVED_MODEL_SUFFIX else f"{suffix} file"
        raise EdgesqzError(f"{path} is not a {what} or is damaged: {first_line(error)}") from error
