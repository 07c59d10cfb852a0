"""Find ONNX files that predict different classes on x86 processors without VNNI.

On these, ONNX Runtime multiplies uint8 activations by int8 weights with VPMADDUBSW, which adds two products in 16 bits,
with saturation. Weights of 7 bits are safe, because 2 * 255 * 64 = 32,640 is less than 32,768. So are uint8 weights,
whose products the engine adds in 32 bits.
See https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html, "Data type selection".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx

LARGEST_SAFE_WEIGHT = 64
WARNING = f"int8 weights beyond ±{LARGEST_SAFE_WEIGHT} may saturate on x86 processors without VNNI"

# Operators that multiply integers, and the index of the input that takes the weights.
INTEGER_OPERATORS = {
    "ConvInteger": 1,
    "DynamicQuantizeMatMul": 1,
    "MatMulInteger": 1,
    "MatMulIntegerToFloat": 1,
    "QAttention": 1,
    "QGemm": 3,
    "QLinearConv": 3,
    "QLinearMatMul": 3,
}
# Operators that the engine converts to these if both inputs are dequantized.
FLOAT_OPERATORS = ("Conv", "Gemm", "MatMul")


def may_saturate(model: onnx.ModelProto) -> bool:
    """Return whether a product of a model's int8 weights may saturate. Weights in another file are not checked."""
    import onnx
    from onnx import numpy_helper

    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    weights = (tensors[name] for name in _multiplied(model.graph) if name in tensors)
    return any(
        np.abs(numpy_helper.to_array(tensor).astype(int)).max(initial=0) > LARGEST_SAFE_WEIGHT
        for tensor in weights
        if tensor.data_type == onnx.TensorProto.INT8 and tensor.data_location != onnx.TensorProto.EXTERNAL
    )


def _multiplied(graph: onnx.GraphProto) -> Iterator[str]:
    """Return the names of the tensors that serve as weights in products of integers."""
    dequantized = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    for node in graph.node:
        if (place := INTEGER_OPERATORS.get(node.op_type)) is not None:
            yield from node.input[place : place + 1]
        elif node.op_type in FLOAT_OPERATORS and node.input[0] in dequantized:
            yield dequantized.get(node.input[1], "")
