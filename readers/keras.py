"""Keras 2 .h5 files, and .keras files of models that are not image classifiers, converted by TensorFlow."""

from __future__ import annotations

import io
import json
import math
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgesqz.plugins import Prepared

SUFFIXES = (".h5", ".hdf5", ".keras")
REQUIREMENTS = ()
PYTHON = None

HDF5 = b"\x89HDF"  # the first bytes of a Keras 2 .h5 file


def prepare(path: Path, size: tuple[int, int] | None) -> Prepared:
    """Fix the size of the images. See ``readers/__init__.py``. The runtime refuses files that can run code."""
    content = path.read_bytes()
    try:
        return _prepare_hdf5(content, size) if content.startswith(HDF5) else _prepare_archive(path, size)
    except (OSError, zipfile.BadZipFile) as error:
        raise ValueError("it is not a Keras model, or it is truncated") from error


def _prepare_hdf5(content: bytes, size: tuple[int, int] | None) -> Prepared:
    import h5py

    from edgesqz.plugins import Prepared

    fixed = io.BytesIO(content)
    with h5py.File(fixed, "r+") as file:
        parameters = _count(file.get("model_weights", file))
        config = json.loads(file.attrs.get("model_config", "{}"))
        if _fix_size(config, size):
            file.attrs["model_config"] = json.dumps(config)
    return Prepared(fixed.getvalue(), parameters)


def _prepare_archive(path: Path, size: tuple[int, int] | None) -> Prepared:
    import h5py

    from edgesqz.models import keras_config
    from edgesqz.plugins import Prepared

    config = keras_config.read(path)
    if problem := keras_config.foreign_code(config):
        raise ValueError(problem)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with h5py.File(io.BytesIO(parts["model.weights.h5"])) as file:
        parameters = sum(_count(group) for name, group in file.items() if name != "optimizer")
    if _fix_size(config, size):
        parts["config.json"] = json.dumps(config).encode()
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return Prepared(content.getvalue(), parameters)


def _count(group: Any) -> int:
    """Return the number of values in a group of an HDF5 file."""
    import h5py

    counts: list[int] = []

    def count(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            counts.append(math.prod(item.shape))

    group.visititems(count)
    return sum(counts)


def _fix_size(config: dict[str, Any], size: tuple[int, int] | None) -> bool:
    """Set the height and the width of images in the description of a network. Return whether they were open."""
    from edgesqz.plugins import NeedsSizeError

    shapes = list(_image_shapes(config))
    if shapes and size is None:
        raise NeedsSizeError
    for shape in shapes:
        shape[1:3] = [known or wanted for known, wanted in zip(shape[1:3], size or (), strict=True)]
    return bool(shapes)


def _image_shapes(config: Any) -> Iterator[list[int | None]]:
    """Yield the input shapes of a network that takes images of any size."""
    layers = config.get("config", {})
    for layer in layers.get("layers", ()) if isinstance(layers, dict) else layers:  # a list in the oldest files
        for name in ("batch_shape", "batch_input_shape"):
            shape = layer["config"].get(name) or []
            if len(shape) == 4 and shape[3] in (1, 3) and None in shape[1:3]:
                yield shape


def read(content: bytes) -> bytes:
    """Convert the network. See ``readers/__init__.py``."""
    import os

    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("model.h5" if content.startswith(HDF5) else "model.keras")
        path.write_bytes(content)
        model = keras.models.load_model(path, compile=False)
    return bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
