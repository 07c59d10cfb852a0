"""Keras on TensorFlow: the original that exports are compared with."""

import os
import tempfile

ENGINE = "keras"
REQUIREMENTS = ("keras>=3.9", "tensorflow>=2.18")
SUFFIXES = (".keras",)


def load(model_bytes, threads):
    """Load a model; raises ValueError if the bytes are no .keras file."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        path = os.path.join(scratch, "model.keras")
        with open(path, "wb") as file:
            file.write(model_bytes)
        return Session(keras.models.load_model(path, compile=False))


class Session:
    """The model as one TensorFlow graph."""

    def __init__(self, model):
        import tensorflow as tf

        self.inputs = [{"shape": list(t.shape), "dtype": t.dtype, "scale": None, "zero_point": None} for t in model.inputs]
        self.outputs = [
            {"shape": list(t.shape), "dtype": t.dtype, "scale": None, "zero_point": None} for t in model.outputs
        ]
        self.graph = tf.function(lambda x: model(x, training=False), reduce_retracing=True, jit_compile=False)

    def set_input(self, batch):
        """The stored values that ``run_once`` works on."""
        import tensorflow as tf

        self.batch = tf.constant(batch)

    def run_once(self):
        """One inference on what ``set_input`` set."""
        return self.graph(self.batch).numpy()

    def run(self, batch):
        """Stored input values to stored output values."""
        self.set_input(batch)
        return self.run_once()
