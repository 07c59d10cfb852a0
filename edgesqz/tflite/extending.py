"""Add operators at the start or the end of a float .tflite file, and replace those that have no int8 form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgesqz.artifact import Pixels
from edgesqz.tflite.flatbuffer import serialized
from edgesqz.tflite.operators import builtin_code, stored_floats

SIGNATURE = b"serving_default"
NORMALIZATION = b"normalization"  # prefix of the names of the added tensors


def with_normalization(content: bytes, pixels: Pixels) -> bytes:
    """Return a file that takes pixels 0..255 and first converts them to the values of the given file's input.

    The conversion is a depthwise convolution of size 1, because it has one weight per channel: an int8 file stores each
    weight exactly, at the scale of its channel.

    Args:
        content: A .tflite file with one float32 image input, NHWC.
        pixels: The conversion of a pixel to a value of that input.
    """
    from ai_edge_litert import schema_py_generated as schema

    model, graph = _opened(content)
    values = graph.inputs[0]
    image = graph.tensors[values]
    channels = int(image.shape[3])
    weights = _constant(model, NORMALIZATION + b"/kernel", _each(pixels.scale, channels).reshape(1, 1, 1, channels))
    bias = _constant(model, NORMALIZATION + b"/bias", _each(pixels.offset, channels))
    options = schema.DepthwiseConv2DOptionsT()
    options.padding, options.strideH, options.strideW, options.depthMultiplier = schema.Padding.VALID, 1, 1, 1
    options.dilationHFactor = options.dilationWFactor = 1
    source = _tensor(model, b"pixels", image)
    operator = _operator(model, schema.BuiltinOperator.DEPTHWISE_CONV_2D, [source, weights, bias], [values])
    operator.builtinOptionsType = schema.BuiltinOptions.DepthwiseConv2DOptions
    operator.builtinOptions = options
    graph.operators.insert(0, operator)
    graph.inputs = [source if number == values else number for number in graph.inputs]
    _rename(model, values, source)
    return serialized(model)


def with_softmax(content: bytes) -> bytes:
    """Return a file whose only output is the softmax of the given file's only output, float32 (N, classes)."""
    from ai_edge_litert import schema_py_generated as schema

    model, graph = _opened(content)
    logits = graph.outputs[0]
    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    output = _tensor(model, b"probabilities", graph.tensors[logits])
    operator = _operator(model, schema.BuiltinOperator.SOFTMAX, [logits], [output])
    operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.SoftmaxOptions, options
    graph.operators.append(operator)
    graph.outputs = [output]
    _rename(model, logits, output)
    return serialized(model)


def with_int8_forms(content: bytes) -> bytes:
    """Return a file in which multiplications replace clipping to 0..1, for which LiteRT has no int8 kernel.

    Since min(max(x, 0), 1) = min(max(6x, 0), 6) / 6, these are a multiplication by 6 with a fused ReLU6, and one
    by 1/6.
    """
    from ai_edge_litert import schema_py_generated as schema

    model, graph = _opened(content)
    code = schema.BuiltinOperator.RELU_0_TO_1
    operators = list[Any]()
    for operator in graph.operators:
        if builtin_code(model, operator) != code:
            operators.append(operator)
            continue
        ((source,), (target,)) = operator.inputs, operator.outputs
        between = _tensor(model, b"clip/%d" % len(graph.tensors), graph.tensors[target])
        six, sixth = (
            _constant(model, b"clip/%d" % len(graph.tensors), np.array([each], np.float32)) for each in (6, 1 / 6)
        )
        operators.append(_multiplication(model, source, six, between, schema.ActivationFunctionType.RELU6))
        operators.append(_multiplication(model, between, sixth, target, schema.ActivationFunctionType.NONE))
    if len(operators) == len(graph.operators):
        return content
    graph.operators = operators
    return serialized(model)


def with_dense_layers(content: bytes) -> bytes:
    """Return a file in which dense layers replace multiplications by a stored matrix.

    They compute the same, but LiteRT's quantizer gives each channel of the matrix its own scale, which LiteRT's kernels
    support only in dense layers. A matrix that several operators use is left as it is.
    """
    from ai_edge_litert import schema_py_generated as schema

    model, graph = _opened(content)
    uses = Counter(number for operator in graph.operators for number in operator.inputs)
    holders = Counter(tensor.buffer for tensor in graph.tensors)
    changed = False
    for position, operator in enumerate(graph.operators):
        if builtin_code(model, operator) != schema.BuiltinOperator.BATCH_MATMUL or operator.builtinOptions.adjX:
            continue
        matrix = graph.tensors[operator.inputs[1]]
        values = stored_floats(model, matrix)
        is_shared = uses[operator.inputs[1]] > 1 or holders[matrix.buffer] > 1
        if values is not None and values.ndim == 2 and not is_shared:
            weights = values if operator.builtinOptions.adjY else np.ascontiguousarray(values.T)
            graph.operators[position] = _dense_layer(model, operator, weights)
            changed = True
    return serialized(model) if changed else content


def _dense_layer(model: Any, multiplication: Any, weights: np.ndarray) -> Any:
    """Create a dense layer with these weights, (outputs, inputs), which become the values of the stored matrix."""
    from ai_edge_litert import schema_py_generated as schema

    matrix = model.subgraphs[0].tensors[multiplication.inputs[1]]
    model.buffers[matrix.buffer].data = None
    matrix.buffer = _buffer(model, weights)
    matrix.shape = matrix.shapeSignature = list(weights.shape)
    bias = _constant(model, matrix.name + b"/bias", np.zeros(len(weights), np.float32))
    inputs = [*multiplication.inputs, bias]
    operator = _operator(model, schema.BuiltinOperator.FULLY_CONNECTED, inputs, list(multiplication.outputs))
    options = schema.FullyConnectedOptionsT()
    options.keepNumDims = True
    operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.FullyConnectedOptions, options
    return operator


def _multiplication(model: Any, source: int, factor: int, target: int, activation: int) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    operator = _operator(model, schema.BuiltinOperator.MUL, [source, factor], [target])
    options = schema.MulOptionsT()
    options.fusedActivationFunction = activation
    operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.MulOptions, options
    return operator


def with_signature(content: bytes) -> bytes:
    """Return a file with exactly one signature, which names its inputs and outputs, as LiteRT's quantizer requires."""
    from ai_edge_litert import schema_py_generated as schema

    model, graph = _opened(content)
    if len(model.signatureDefs or []) == 1:
        return content
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = SIGNATURE, 0
    signature.inputs = [_named(graph, number) for number in graph.inputs]
    signature.outputs = [_named(graph, number) for number in graph.outputs]
    model.signatureDefs = [signature]
    return serialized(model)


def input_shapes(content: bytes) -> list[tuple[int, ...]]:
    """Return the shape of each input of a file."""
    _, graph = _opened(content)
    shapes = (graph.tensors[number].shape for number in graph.inputs)
    return [() if shape is None else tuple(map(int, shape)) for shape in shapes]


def in_order(content: bytes, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    """Return a file whose inputs and outputs are in the order of their names in its signature.

    Converters may change the order. Inputs or outputs whose names are not exactly those of the signature, as in
    converted PyTorch programs, keep their order.
    """
    model, graph = _opened(content)
    (signature,) = model.signatureDefs
    before = list(graph.inputs), list(graph.outputs)
    graph.inputs = _in_order(before[0], signature.inputs, inputs)
    graph.outputs = _in_order(before[1], signature.outputs, outputs)
    return content if (graph.inputs, graph.outputs) == before else serialized(model)


def _in_order(numbers: list[int], entries: Sequence[Any], names: Sequence[str]) -> list[int]:
    by_name = {entry.name.decode(): entry.tensorIndex for entry in entries}
    found = [by_name[name] for name in names if name in by_name]
    return found if sorted(found) == sorted(numbers) else numbers


def _opened(content: bytes) -> tuple[Any, Any]:
    """Return the tables of a file, and its main graph."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    return model, model.subgraphs[0]


def _each(value: float | tuple[float, ...], channels: int) -> np.ndarray:
    return np.array(np.broadcast_to(np.asarray(value, np.float32), (channels,)))


def _constant(model: Any, name: bytes, values: np.ndarray) -> int:
    """Add a float tensor with these values, and return its number."""
    from ai_edge_litert import schema_py_generated as schema

    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.buffer = name, list(values.shape), _buffer(model, values)
    return _added(model, tensor)


def _buffer(model: Any, values: np.ndarray) -> int:
    """Add a buffer with these values, and return its number."""
    from ai_edge_litert import schema_py_generated as schema

    buffer = schema.BufferT()
    buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def _tensor(model: Any, name: bytes, like: Any) -> int:
    """Add a float tensor for an operator's input or output, with the shape of another, and return its number."""
    from ai_edge_litert import schema_py_generated as schema

    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.shapeSignature = name, like.shape, like.shapeSignature
    return _added(model, tensor)


def _added(model: Any, tensor: Any) -> int:
    from ai_edge_litert import schema_py_generated as schema

    tensor.type = schema.TensorType.FLOAT32
    tensors = model.subgraphs[0].tensors
    tensors.append(tensor)
    return len(tensors) - 1


def _operator(model: Any, kind: int, inputs: list[int], outputs: list[int]) -> Any:
    """Create an operator."""
    from ai_edge_litert import schema_py_generated as schema

    code, operator = schema.OperatorCodeT(), schema.OperatorT()
    code.builtinCode = code.deprecatedBuiltinCode = kind
    code.version = 1
    operator.opcodeIndex, operator.inputs, operator.outputs = len(model.operatorCodes), inputs, outputs
    model.operatorCodes.append(code)
    return operator


def _rename(model: Any, old: int, new: int) -> None:
    """Make the signatures refer to another tensor."""
    for signature in model.signatureDefs or []:
        for each in (*signature.inputs, *signature.outputs):
            each.tensorIndex = new if each.tensorIndex == old else each.tensorIndex


def _named(graph: Any, number: int) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = graph.tensors[number].name, number
    return entry
