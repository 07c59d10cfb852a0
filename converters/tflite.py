"""TensorFlow Lite, through TensorFlow's own converter."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from edgesqz.plugins import Variant

if TYPE_CHECKING:
    import keras
    import numpy as np

FORMAT = "tflite"
SUFFIX = ".tflite"
VARIANTS = {
    "fp32": Variant(exact=True),
    "fp16": Variant(),  # weights as float16, half the size; most CPUs compute in float32 all the same
    "dynamic": Variant(),  # weights as int8, activations float
    "int8": Variant(needs_calibration=True, takes_bytes=True),
    "int16x8": Variant(needs_calibration=True),  # weights int8, activations int16, input and output float
}
PACKAGES = ("tensorflow", "keras")

FILE_IDENTIFIER = b"TFL3"
DATA_ALIGNMENT = 16  # bytes; of Buffer.data in TFLite's schema


def convert(model: keras.Model, variant: str, calibration: np.ndarray | None) -> bytes:
    """Convert a Keras model; see ``edgesqz.plugins.Converter``.

    The file takes one picture at a time, and LiteRT can resize that.
    """
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if variant != "fp32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if calibration is not None:
        pictures = calibration
        converter.representative_dataset = lambda: ([picture[None]] for picture in pictures)
    operations = tf.lite.OpsSet
    match variant:
        case "fp16":
            converter.target_spec.supported_types = [tf.float16]
        case "int8":
            converter.target_spec.supported_ops = [operations.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.int8
        case "int16x8":
            converter.target_spec.supported_ops = [
                operations.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
            ]
    return packed(converter.convert())


def packed(content: bytes) -> bytes:
    """Write the same model in fewer bytes.

    The converter stores a zero point of 8 bytes for each channel of each kernel and each bias, all of them 0. Here
    equal vectors are stored once, as FlatBuffers allows: a reader sees the same model, at no cost to it. Of the names
    of the layers that a tensor was merged from, separated by semicolons, the first remains.
    """
    import flatbuffers
    from tensorflow.lite.python import schema_py_generated as schema

    class SharingBuilder(flatbuffers.Builder):
        def __init__(self) -> None:
            super().__init__(2 * len(content))
            self.written: dict[tuple[str, bytes], int] = {}

        def CreateNumpyVector(self, x: np.ndarray) -> int:  # noqa: N802
            key = (x.dtype.str, x.tobytes())
            if key not in self.written:
                self.written[key] = super().CreateNumpyVector(x)
            return self.written[key]

        def StartVector(self, elemSize: int, numElems: int, alignment: int) -> int:  # noqa: N802, N803
            """The data of tensors are vectors of bytes, which engines expect at multiples of 16."""
            return int(super().StartVector(elemSize, numElems, DATA_ALIGNMENT if elemSize == 1 else alignment))

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    for graph in model.subgraphs:
        taken: set[bytes] = set()
        for tensor in graph.tensors:
            tensor.name = _unique(tensor.name.split(b";")[0], taken)
    builder = SharingBuilder()
    builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
    return bytes(builder.Output())


def _unique(name: bytes, taken: set[bytes]) -> bytes:
    """The name with a number behind it if it is taken."""
    numbered = (b"%s.%d" % (name, number) if number else name for number in itertools.count())
    free = next(each for each in numbered if each not in taken)
    taken.add(free)
    return free
