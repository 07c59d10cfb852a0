"""Keras HDF5 files, the format of Keras 2, converted by TensorFlow."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgesqz.plugins import Prepared

SUFFIXES = (".h5", ".hdf5")
REQUIREMENTS = ()
PYTHON = None


def prepare(path: Path, size: tuple[int, int] | None) -> Prepared:
    """Count the parameters. See ``readers/__init__.py``. The runtime refuses files that can run code."""
    import h5py

    from edgesqz.plugins import Prepared

    counts: list[int] = []

    def count(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            counts.append(math.prod(item.shape))

    try:
        with h5py.File(path) as file:
            file.get("model_weights", file).visititems(count)
    except OSError as error:
        raise ValueError("it is not an HDF5 file, or it is truncated") from error
    return Prepared(path.read_bytes(), sum(counts))


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
