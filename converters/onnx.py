"""Convert to ONNX with tf2onnx and, for quantized variants, ONNX Runtime's quantizer."""

from __future__ import annotations

import contextlib
import copy
import gc
import os
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesqz.converters.layers import kernel_layers, layer_name
from edgesqz.errors import EdgesqzError
from edgesqz.plugins import FLOAT_BITS, MIN_MAX, PERCENTILE, Variant, WeightedLayer

if TYPE_CHECKING:
    import keras
    import numpy as np
    import onnx

FORMAT = "onnx"
SUFFIX = ".onnx"
VARIANTS = {
    # QuantizeLinear and DequantizeLinear pairs; input and output are float32
    "int8": Variant(bytes_per_parameter=1, needs_calibration=True, layer_bits=8, methods=(MIN_MAX, PERCENTILE)),
    "fp16": Variant(bytes_per_parameter=2),  # computes in float16; input and output are float32
    "dynamic": Variant(bytes_per_parameter=1),  # uint8 weights; activations are quantized at inference
    "fp32": Variant(bytes_per_parameter=4, exact=True),
}
PACKAGES = ("tf2onnx", "onnx", "onnxruntime", "tensorflow", "keras")

# The newest opset for which tf2onnx writes global average pooling as one operator. For 18, it writes a ReduceMean.
OPSET = 17
WEIGHTED_OPERATORS = ["Conv", "Gemm", "MatMul"]
QUANTIZED_OPERATORS = [*WEIGHTED_OPERATORS, "Relu", "MaxPool", "Concat", "Add", "GlobalAveragePool"]


def convert(model: keras.Model | bytes, variant: str, calibration: Sequence[np.ndarray] | None) -> bytes:
    """Convert a Keras model or a float .tflite file. See ``edgesqz.plugins.Converter``.

    The file takes NHWC images: any number of them if it was converted from Keras.

    Raises:
        EdgesqzError: The network has an operator that ONNX lacks.
    """
    graph = _graph(model)
    match variant:
        case "fp16":
            from onnxruntime.transformers import float16

            graph = float16.convert_float_to_float16(graph, keep_io_types=True)
        case "dynamic":
            graph = quantize_dynamic(graph)
        case "int8":
            assert calibration is not None  # the variant says that it needs it
            graph = _static(graph, calibration)
    return bytes(graph.SerializeToString())


def layerwise(model: keras.Model | bytes, calibration: Sequence[np.ndarray], method: str = MIN_MAX) -> LayerwiseOnnx:
    """Convert a model to float, for quantization layer by layer. See ``edgesqz.plugins.LayerwiseConverter``."""
    names = () if isinstance(model, bytes) else kernel_layers(model)
    return LayerwiseOnnx(_graph(model), names, calibration, method)


class LayerwiseOnnx:
    """A float graph whose layers can be quantized to 8 bits or kept float.

    Args:
        graph: The graph.
        names: Names of the layers with a kernel in the network that it was converted from.
        calibration: For each input, float32 (N, *shape of the input), in its range.
        method: How to choose the ranges of activations: ``min-max``, or ``percentile``, which ignores the largest of
            100,000 values.
    """

    def __init__(
        self, graph: onnx.ModelProto, names: Collection[str], calibration: Sequence[np.ndarray], method: str
    ) -> None:
        import numpy as np
        import onnx

        self._graph, self._calibration, self._method = graph, calibration, method
        stored = {tensor.name: tensor for tensor in graph.graph.initializer}
        self._nodes: dict[str, list[str]] = {}
        layers = list[WeightedLayer]()
        for node in graph.graph.node:
            if node.op_type in WEIGHTED_OPERATORS and (tensor := stored.get(node.input[1])):
                name = layer_name((node.input[1], node.name), names) or node.name
                if name not in self._nodes:
                    kernel = onnx.numpy_helper.to_array(tensor)
                    layers.append(WeightedLayer(name, node.op_type, np.moveaxis(kernel, 0, -1), fewest_bits=8))
                self._nodes.setdefault(name, []).append(node.name)
        self.layers = tuple(layers)

    def quantize(self, bits: Mapping[str, int]) -> bytes:
        """Return a file in which each layer has 8 bits or, for ``FLOAT_BITS``, stays float."""
        kept = [node for name, count in bits.items() if count == FLOAT_BITS for node in self._nodes[name]]
        graph = copy.deepcopy(self._graph)  # the quantizer changes it
        return bytes(_static(graph, self._calibration, kept, self._method).SerializeToString())


def _graph(model: keras.Model | bytes) -> onnx.ModelProto:
    """Convert a Keras model or a float .tflite file to a float graph.

    Raises:
        EdgesqzError: The network has an operator that ONNX lacks.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when ONNX Runtime is first imported
    import tensorflow as tf
    import tf2onnx

    graph: onnx.ModelProto
    if isinstance(model, bytes):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.tflite"
            path.write_bytes(model)
            graph, _ = tf2onnx.convert.from_tflite(str(path), opset=OPSET)
    else:
        (pixels,) = model.inputs
        signature = [tf.TensorSpec(pixels.shape, tf.float32, name=pixels.name)]
        with collecting_copies() as optimizers:
            graph, _ = tf2onnx.convert.from_keras(
                model, signature, opset=OPSET, custom_op_handlers={"Erfc": (_erfc, [])}, optimizers=optimizers
            )
    _refuse_unknown_operators(graph)
    return graph


@contextlib.contextmanager
def collecting_copies() -> Iterator[dict[str, Callable[[], Any]]]:
    """Yield tf2onnx's optimizers. Each first frees the copy of the graph that the previous one left behind.

    tf2onnx copies the graph with all its weights for each of about 30 optimizations. The copies are cyclic garbage,
    most of which Python would keep: 8 GB for a model of 94 MB. Existing objects are frozen, because the collector is
    slow to traverse TensorFlow's objects each time.
    """
    from tf2onnx import optimizer

    def collecting(factory: Callable[[], Any]) -> Callable[[], Any]:
        def make() -> Any:
            gc.collect()
            return factory()

        return make

    gc.freeze()
    try:
        yield {name: collecting(factory) for name, factory in optimizer._get_optimizers().items()}
    finally:
        gc.collect()
        gc.unfreeze()


def _refuse_unknown_operators(graph: onnx.ModelProto) -> None:
    """Reject a graph that still has TensorFlow operators, for which tf2onnx only logs a warning.

    Raises:
        EdgesqzError: The graph has such operators.
    """
    import onnx

    used = {node.op_type for node in graph.graph.node if not node.domain}
    if missing := sorted(name for name in used if not onnx.defs.has(name, OPSET)):
        raise EdgesqzError(f"ONNX has no operator for {', '.join(missing)}")


def _erfc(graph: Any, node: Any, name: str, args: Any) -> None:
    """Convert erfc(x), which exact GELU uses and every opset lacks, to 1 - erf(x)."""
    import numpy as np

    node.type = "Erf"
    (erf,) = node.output
    one = graph.make_const(f"{name}/one", np.array(1, np.float32))
    erfc = graph.make_node("Sub", [one.output[0], erf], shapes=node.output_shapes, dtypes=node.output_dtypes)
    graph.replace_all_inputs(erf, erfc.output[0], ops=[each for each in graph.get_nodes() if each is not erfc])


def quantize_dynamic(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Quantize the weights to uint8; activations are quantized at inference."""
    from onnxruntime import quantization

    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "dynamic.onnx"
        # The engine's integer convolution takes only uint8 weights. It adds their products in 32 bits on every
        # processor, so they can use all 8 bits.
        quantization.quantize_dynamic(graph, path, weight_type=quantization.QuantType.QUInt8)
        return _loaded(path)


def _static(
    graph: onnx.ModelProto, calibration: Sequence[np.ndarray], kept: Sequence[str] = (), method: str = MIN_MAX
) -> onnx.ModelProto:
    """Quantize all nodes except ``kept`` to uint8 activations and int8 weights per channel, the engine's fastest pair.

    The weights use 7 bits. On x86 processors without VNNI, the engine adds pairs of products in 16 bits, with
    saturation (VPMADDUBSW), and 2 * 255 * 64 = 32,640 is less than 32,768.
    """
    from onnxruntime import quantization

    methods = {
        MIN_MAX: quantization.CalibrationMethod.MinMax,
        PERCENTILE: quantization.CalibrationMethod.Percentile,
    }
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "int8.onnx"
        quantization.quantize_static(
            graph,
            path,
            _reader(graph.graph.input, calibration),
            quant_format=quantization.QuantFormat.QDQ,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            op_types_to_quantize=QUANTIZED_OPERATORS,
            calibrate_method=methods[method],
            nodes_to_exclude=[*_normalization_nodes(graph), *kept],
        )
        return _loaded(path)


def _normalization_nodes(graph: onnx.ModelProto) -> Iterator[str]:
    """Yield the nodes before the first layer with weights. They stay float so that no pixel is rounded."""
    for node in graph.graph.node:
        if node.op_type in WEIGHTED_OPERATORS:
            return
        yield node.name


def _reader(inputs: Sequence[onnx.ValueInfoProto], calibration: Sequence[np.ndarray]) -> Any:
    import onnx
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Provides the quantizer with one sample at a time, then None."""

        samples = (
            {
                tensor.name: values.astype(onnx.helper.tensor_dtype_to_np_dtype(tensor.type.tensor_type.elem_type))
                for tensor, values in zip(inputs, sample, strict=True)
            }
            for sample in zip(*calibration, strict=True)
        )

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.samples, None)

    return Reader()


def _loaded(path: Path) -> onnx.ModelProto:
    import onnx

    return onnx.load(path)
