"""Keras on TensorFlow, which runs the source models that exports are compared with."""

from __future__ import annotations

import io
import os
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ENGINE = "keras"
REQUIREMENTS = ("keras>=3.12", "tensorflow>=2.20")
SUFFIXES = (".keras", ".h5", ".hdf5")
PYTHON = None
TIMED = True

HDF5 = b"\x89HDF"  # the first bytes of a Keras 2 .h5 file


def load(model_bytes: bytes, threads: int) -> Session:
    """Load a model. Raise ValueError if the bytes are not a Keras model, or could run code."""
    # Checked before TensorFlow is loaded, which takes seconds.
    if model_bytes.startswith(HDF5):
        _check_hdf5(model_bytes)
    elif not zipfile.is_zipfile(io.BytesIO(model_bytes)):
        raise ValueError("the file is not a .keras archive or is truncated")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    # Keras imports these if they are installed, which takes seconds. No model needs them.
    sys.modules["matplotlib"] = sys.modules["pandas"] = None  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as home:  # Keras writes a file when it is imported
        os.environ["KERAS_HOME"] = home
        import keras  # noqa: F401
        import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    return Session(_model(model_bytes))


def _check_hdf5(model_bytes: bytes) -> None:
    """Reject a file without a network, or with a Lambda layer, whose code Keras would run."""
    import h5py

    try:
        with h5py.File(io.BytesIO(model_bytes)) as file:
            config = file.attrs.get("model_config")
    except OSError as error:
        raise ValueError("the file is damaged or truncated") from error
    if config is None:
        raise ValueError("the file contains weights without the network; save the whole model")
    if '"Lambda"' in (config.decode() if isinstance(config, bytes) else config):
        raise ValueError(
            "it has a Lambda layer, whose code edgesqz does not run; replace it with a built-in Keras layer"
        )


def probe(model_bytes: bytes) -> Callable[..., dict[str, np.ndarray]]:
    """See ``runtimes/__init__.py``. A tensor has the name of the layer that outputs it."""
    import keras

    model = _model(model_bytes)
    # The output of a nested model belongs to its own graph.
    layers = [layer for layer in model.layers if not isinstance(layer, keras.Model)]
    inner = keras.Model(model.inputs, [layer.output for layer in layers])

    def tensors(*batches: np.ndarray) -> dict[str, np.ndarray]:
        outputs = inner(list(batches), training=False)
        return {layer.name: np.asarray(output) for layer, output in zip(layers, outputs, strict=True)}

    return tensors


def _model(model_bytes: bytes) -> Any:
    import keras

    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / ("model.h5" if model_bytes.startswith(HDF5) else "model.keras")
        path.write_bytes(model_bytes)
        return keras.models.load_model(path, compile=False)


class Session:
    """The model as one TensorFlow graph."""

    def __init__(self, model: Any) -> None:
        import keras
        import tensorflow as tf

        self.inputs = [{"name": tensor.name, **_tensor(tensor)} for tensor in model.inputs]
        # Numbered as in the signature that TensorFlow's converter writes, which may have another order.
        self.outputs = [{"name": f"output_{number}", **_tensor(each)} for number, each in enumerate(model.outputs)]
        # A model's outputs may be in a dictionary, whose order is not that of ``model.outputs``.
        network = keras.Model(model.inputs, model.outputs)
        self.graph = tf.function(
            lambda batches: tf.nest.flatten(network(batches, training=False)), reduce_retracing=True, jit_compile=False
        )

    def set_input(self, *batches: np.ndarray) -> None:
        """Set the stored input values that ``run_once`` uses."""
        import tensorflow as tf

        self.batches = [tf.constant(batch) for batch in batches]

    def run_once(self) -> list[np.ndarray]:
        """Run one inference on the values that ``set_input`` set."""
        return [output.numpy() for output in self.graph(self.batches)]

    def run_all(self, *batches: np.ndarray) -> list[np.ndarray]:
        """Run stored input values and return the stored values of all outputs."""
        self.set_input(*batches)
        return self.run_once()


def _tensor(tensor: Any) -> dict[str, Any]:
    return {"shape": list(tensor.shape), "dtype": tensor.dtype, "scale": None, "zero_point": None}
