"""TensorFlow, which runs SavedModels as the source models of exports. Their folder comes as a zip archive."""

from __future__ import annotations

import io
import tempfile
import zipfile
from typing import Any

import numpy as np

ENGINE = "tensorflow"
REQUIREMENTS = ("tensorflow>=2.20",)
SUFFIXES = (".savedmodel",)
PYTHON = None
TIMED = True

SIGNATURE = "serving_default"


def load(model_bytes: bytes, threads: int) -> Session:
    """Load a model. Raise ValueError if the bytes are not one."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        zipfile.ZipFile(io.BytesIO(model_bytes)).extractall(folder)
        model = tf.saved_model.load(folder)
    if SIGNATURE not in model.signatures:
        raise ValueError(f"expected a signature {SIGNATURE}, got {', '.join(model.signatures) or 'none'}")
    return Session(model)


class Session:
    """The signature of one SavedModel."""

    def __init__(self, model: Any) -> None:
        self.model, self.signature = model, model.signatures[SIGNATURE]  # the model holds the variables
        _, given = self.signature.structured_input_signature
        outputs = self.signature.structured_outputs
        self.input_names, self.output_names = sorted(given), sorted(outputs)  # TensorFlow's order varies
        self.inputs = [{"name": name, **_tensor(given[name])} for name in self.input_names]
        self.outputs = [{"name": name, **_tensor(outputs[name])} for name in self.output_names]

    def set_input(self, *batches: np.ndarray) -> None:
        """Set the stored input values that ``run_once`` uses."""
        import tensorflow as tf

        self.batches = dict(zip(self.input_names, map(tf.constant, batches), strict=True))

    def run_once(self) -> list[np.ndarray]:
        """Run one inference on the values that ``set_input`` set."""
        found = self.signature(**self.batches)
        return [found[name].numpy() for name in self.output_names]

    def run_all(self, *batches: np.ndarray) -> list[np.ndarray]:
        """Run stored input values and return the stored values of all outputs."""
        self.set_input(*batches)
        return self.run_once()


def _tensor(spec: Any) -> dict[str, Any]:
    return {"shape": list(spec.shape), "dtype": spec.dtype.name, "scale": None, "zero_point": None}
