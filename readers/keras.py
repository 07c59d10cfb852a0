"""Keras 2 models in HDF5 files, converted by TensorFlow."""

from __future__ import annotations

import io
import json
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgesqz.plugins import Prepared

SUFFIXES = (".h5", ".hdf5")
REQUIREMENTS = ()
PYTHON = None


def prepare(path: Path, size: tuple[int, int] | None) -> Prepared:
    """Fix the size of the images. See ``readers/__init__.py``. The runtime refuses files that can run code."""
    import h5py

    from edgesqz.plugins import Prepared

    counts: list[int] = []

    def count(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            counts.append(math.prod(item.shape))

    content = io.BytesIO(path.read_bytes())
    try:
        with h5py.File(content, "r+") as file:
            file.get("model_weights", file).visititems(count)
            _fix_size(file.attrs, size)
    except OSError as error:
        raise ValueError("it is not an HDF5 file, or it is truncated") from error
    return Prepared(content.getvalue(), sum(counts))


def _fix_size(attributes: Any, size: tuple[int, int] | None) -> None:
    """Set the height and the width of images in the description of the network if they are open."""
    from edgesqz.plugins import NeedsSizeError

    config = json.loads(attributes.get("model_config", "{}"))
    shapes = list(_image_shapes(config))
    if shapes and size is None:
        raise NeedsSizeError
    for shape in shapes:
        shape[1:3] = [known or wanted for known, wanted in zip(shape[1:3], size or (), strict=True)]
    if shapes:
        attributes["model_config"] = json.dumps(config)


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
        path = Path(folder) / "model.h5"
        path.write_bytes(content)
        model = keras.models.load_model(path, compile=False)
    return bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
