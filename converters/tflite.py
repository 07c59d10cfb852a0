"""Convert to TensorFlow Lite with TensorFlow's own converter."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edgesqz.converters.layers import kernel_layers
from edgesqz.converters.layerwise import LayerwiseTflite, with_dynamic_range, with_half_weights
from edgesqz.errors import EdgesqzError
from edgesqz.plugins import MIN_MAX, MSE, Variant
from edgesqz.tflite.packing import packed

if TYPE_CHECKING:
    import keras
    import numpy as np

FORMAT = "tflite"
SUFFIX = ".tflite"
VARIANTS = {
    "int8": Variant(bytes_per_parameter=1, needs_calibration=True, takes_bytes=True, layer_bits=8),
    # int4 weights in the inner convolutions, everything else as in int8
    "int4": Variant(
        bytes_per_parameter=0.5, needs_calibration=True, takes_bytes=True, layer_bits=4, methods=(MIN_MAX, MSE)
    ),
    # int4 weights only where they cost least, to meet a limit on size or accuracy
    "mixed": Variant(bytes_per_parameter=0.5, needs_calibration=True, takes_bytes=True, layer_bits=4, needs_limit=True),
    "fp16": Variant(bytes_per_parameter=2),  # float16 weights; most CPUs compute in float32
    "dynamic": Variant(bytes_per_parameter=1),  # int8 weights, float activations
    "fp32": Variant(bytes_per_parameter=4, exact=True),
    # int8 weights, int16 activations, float input and output
    "int16x8": Variant(bytes_per_parameter=1, needs_calibration=True),
}
PACKAGES = ("tensorflow", "keras", "litert-quantizer")


def convert(model: keras.Model | bytes, variant: str, calibration: Sequence[np.ndarray] | None) -> bytes:
    """Convert a Keras model or a float .tflite file. See ``edgesqz.plugins.Converter``.

    The file takes one image at a time. LiteRT can resize the batch of a converted Keras model.

    Raises:
        EdgesqzError: The network has an operator that TensorFlow Lite lacks.
    """
    if isinstance(model, bytes):
        return _quantized(model, variant, calibration)
    import tensorflow as tf

    converter = _converter(model)
    if variant != "fp32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if calibration is not None:
        inputs = calibration
        converter.representative_dataset = lambda: (list(sample) for sample in zip(*inputs, strict=True))
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
    return packed(_converted(converter))


def layerwise(model: keras.Model | bytes, calibration: Sequence[np.ndarray], method: str = MIN_MAX) -> LayerwiseTflite:
    """Convert a model to float, for quantization layer by layer. See ``edgesqz.plugins.LayerwiseConverter``."""
    if isinstance(model, bytes):
        return LayerwiseTflite(model, (), calibration, method, may_keep_float=True)
    content = _converted(_converter(model))
    return LayerwiseTflite(content, kernel_layers(model), calibration, method)


def _converter(model: keras.Model) -> Any:
    """Return a converter for a model whose weights have become constants.

    ``TFLiteConverter.from_keras_model`` writes the variables to a SavedModel and reads them back, which takes three
    times as long.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    (images,) = model.inputs
    signature = [tf.TensorSpec(images.shape, images.dtype, name=images.name)]
    function = tf.function(lambda batch: model(batch, training=False), input_signature=signature, autograph=False)
    frozen = convert_variables_to_constants_v2(function.get_concrete_function(), lower_control_flow=False)
    return tf.lite.TFLiteConverter.from_concrete_functions([frozen], tf.Module())


def _quantized(content: bytes, variant: str, calibration: Sequence[np.ndarray] | None) -> bytes:
    """Quantize a float .tflite file, without TensorFlow."""
    match variant:
        case "fp16":
            content = with_half_weights(content)
        case "dynamic":
            content = with_dynamic_range(content)
        case "int8" | "int16x8":
            assert calibration is not None  # the variant says that it needs it
            activation_bits = 16 if variant == "int16x8" else 8
            quantizer = LayerwiseTflite(content, (), calibration, MIN_MAX, may_keep_float=True)
            return quantizer.quantize({layer.name: 8 for layer in quantizer.layers}, activation_bits)
    return packed(content)


def _converted(converter: Any) -> bytes:
    try:
        return bytes(converter.convert())
    except Exception as error:
        if missing := sorted(set(re.findall(r"'tf\.(\w+)' op is neither a custom op nor a flex op", str(error)))):
            raise EdgesqzError(f"TensorFlow Lite has no operator for {', '.join(missing)}") from error
        raise
