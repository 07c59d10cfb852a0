"""Parameter counts of inspect for every type of file, checked with models whose weights are created here."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import quantization
from onnxruntime.quantization import QuantFormat, QuantType
from rich.console import Console

from edgesqz.inspecting import inspect
from edgesqz.inspecting.inspection import ExternalFile, Inspection

KERNEL, BIAS, MATRIX = (16, 3, 3, 3), (16,), (16, 10)
WEIGHTS = 16 * 3 * 3 * 3 + 16 + 16 * 10
INPUT = (1, 3, 8, 8)


def constant(name: str, shape: tuple[int, ...], dtype: type = np.float32) -> onnx.TensorProto:
    values = np.random.default_rng(0).normal(size=shape) * (1 if dtype in (np.float32, np.float16) else 5)
    return numpy_helper.from_array(values.astype(dtype), name)


def value(name: str, shape: Sequence[int], dtype: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def model_of(nodes: list[onnx.NodeProto], constants: list[onnx.TensorProto], opset: int = 21) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "g", [value("x", INPUT)], [value("y", (1, 10))], constants)
    domains = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=domains, ir_version=10)


def network() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Conv", ["x", "kernel", "bias"], ["c"]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("MatMul", ["f", "matrix"], ["y"]),
    ]
    return model_of(nodes, [constant("kernel", KERNEL), constant("bias", BIAS), constant("matrix", MATRIX)])


class Calibration(quantization.CalibrationDataReader):  # type: ignore[misc]
    def __init__(self) -> None:
        self.batches: Iterator[np.ndarray] = iter(np.random.default_rng(1).normal(size=(4, *INPUT)).astype(np.float32))

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self.batches, None)
        return None if batch is None else {"x": batch}


def statically(quant_format: QuantFormat, *, per_channel: bool) -> Callable[[Path, Path], None]:
    return lambda source, target: quantization.quantize_static(
        source, target, Calibration(), quant_format=quant_format, per_channel=per_channel
    )


def by_our_converter(source: Path, target: Path) -> None:
    from converters.onnx import quantize_dynamic

    onnx.save(quantize_dynamic(onnx.load(source)), target)


def as_float16(source: Path, target: Path) -> None:
    from onnxruntime.transformers import float16

    onnx.save(float16.convert_float_to_float16(onnx.load(source), keep_io_types=True), target)


QUANTIZERS: dict[str, Callable[[Path, Path], None]] = {
    "operators": statically(QuantFormat.QOperator, per_channel=False),
    "operators per channel": statically(QuantFormat.QOperator, per_channel=True),
    "pairs": statically(QuantFormat.QDQ, per_channel=False),
    "pairs per channel": statically(QuantFormat.QDQ, per_channel=True),
    "dynamic": lambda source, target: quantization.quantize_dynamic(source, target, weight_type=QuantType.QInt8),
    "our dynamic": by_our_converter,
    "float16": as_float16,
}


@pytest.fixture
def inspected(tmp_path: Path) -> Callable[[onnx.ModelProto], Inspection]:
    def of(model: onnx.ModelProto) -> Inspection:
        onnx.save(model, tmp_path / "model.onnx")
        return inspect(tmp_path / "model.onnx")

    return of


@pytest.mark.parametrize("kind", QUANTIZERS)
def test_a_quantized_network_keeps_its_parameter_count(kind: str, tmp_path: Path) -> None:
    onnx.save(network(), tmp_path / "source.onnx")
    QUANTIZERS[kind](tmp_path / "source.onnx", tmp_path / "quantized.onnx")
    assert inspect(tmp_path / "source.onnx").parameters == WEIGHTS
    assert inspect(tmp_path / "quantized.onnx").parameters == WEIGHTS


def test_quantized_operators_report_the_scales_of_their_weights(tmp_path: Path) -> None:
    onnx.save(network(), tmp_path / "source.onnx")
    QUANTIZERS["operators per channel"](tmp_path / "source.onnx", tmp_path / "quantized.onnx")
    quantization = {
        tensor.type_and_shape: str(tensor.quantization) for tensor in inspect(tmp_path / "quantized.onnx").tensors
    }
    assert quantization["int8 16x3x3x3"] == "16 scales, axis 0"
    assert quantization["int8 16x10"] == "10 scales, axis 1"


def test_a_quantized_matrix_with_a_bias(inspected: Callable[[onnx.ModelProto], Inspection]) -> None:
    pair = ["scale", "zero"]
    node = helper.make_node(
        "QGemm", ["x", *pair, "matrix", "scales", "zeros", "bias", *pair], ["y"], domain="com.microsoft", transB=1
    )
    constants = [constant("scale", ()), constant("zero", (), np.uint8), constant("matrix", (10, 16), np.int8)]
    constants += [constant("scales", (10,)), constant("zeros", (10,), np.int8), constant("bias", (10,), np.int32)]
    found = inspected(model_of([node], constants))
    assert found.parameters == 10 * 16 + 10
    assert str(found.tensors[0].quantization) == "10 scales, axis 0"


def test_weights_in_blocks_of_four_bits_are_counted_by_their_shape(
    inspected: Callable[[onnx.ModelProto], Inspection],
) -> None:
    # 40 rows are two blocks of 32, the second one padded, with two numbers per byte.
    node = helper.make_node(
        "MatMulNBits", ["x", "matrix", "scales"], ["y"], domain="com.microsoft", K=40, N=10, bits=4, block_size=32
    )
    packed = [constant("matrix", (10, 2, 16), np.uint8), constant("scales", (20,))]
    assert inspected(model_of([node], packed)).parameters == 40 * 10

    four_bits = helper.make_tensor("matrix", TensorProto.INT4, (64, 10), np.zeros(320, np.uint8).tobytes(), raw=True)
    dequantize = helper.make_node("DequantizeLinear", ["matrix", "scales"], ["m"], axis=0, block_size=32)
    nodes = [dequantize, helper.make_node("MatMul", ["x", "m"], ["y"])]
    found = inspected(model_of(nodes, [four_bits, constant("scales", (2, 10))]))
    assert found.parameters == 64 * 10
    assert (found.tensors[0].type_and_shape, found.tensors[0].size_bytes) == ("int4 64x10", 320)
    assert str(found.tensors[0].quantization) == "20 scales, blocks of 32, axis 0"


def test_a_quantized_embedding_table(inspected: Callable[[onnx.ModelProto], Inspection]) -> None:
    nodes = [
        helper.make_node("Gather", ["table", "row"], ["g"]),
        helper.make_node("DequantizeLinear", ["g", "scale"], ["d"]),
        helper.make_node("Add", ["d", "x"], ["y"]),
    ]
    constants = [constant("table", (100, 10), np.int8), constant("row", (), np.int64), constant("scale", ())]
    assert inspected(model_of(nodes, constants)).parameters == 1000

    node = helper.make_node(
        "GatherBlockQuantized", ["table", "row", "scales"], ["y"], domain="com.microsoft", bits=4, block_size=16
    )
    packed = [constant("table", (100, 16), np.uint8), constant("row", (), np.int64), constant("scales", (100, 2))]
    assert inspected(model_of([node], packed)).parameters == 100 * 32


def test_shared_weights_are_counted_once_and_settings_are_not_counted(
    inspected: Callable[[onnx.ModelProto], Inspection],
) -> None:
    nodes = [
        helper.make_node("Add", ["x", "shared"], ["a"]),
        helper.make_node("Mul", ["a", "shared"], ["b"]),
        helper.make_node("Clip", ["b", "low", "high"], ["c"]),
        helper.make_node("Resize", ["c", "", "sizes"], ["d"]),
        helper.make_node("Reshape", ["d", "shape"], ["y"]),
    ]
    constants = [constant("shared", (8,)), constant("low", ()), constant("high", ())]
    constants += [constant("sizes", (4,)), constant("shape", (2,), np.int64)]
    assert inspected(model_of(nodes, constants)).parameters == 8


def test_weights_within_branches_and_constant_nodes(inspected: Callable[[onnx.ModelProto], Inspection]) -> None:
    branches = [
        helper.make_graph(
            [helper.make_node("Add", ["outer", name], ["z"])], name, [], [value("z", (4,))], [constant(name, (4,))]
        )
        for name in ("then", "other")
    ]
    nodes = [
        helper.make_node("Constant", [], ["outer"], value_floats=[1.0, 2.0, 3.0, 4.0]),
        helper.make_node("Constant", [], ["one"], value_float=1.0),
        helper.make_node("Constant", [], ["axes"], value_ints=[0, 1]),
        helper.make_node("If", ["yes"], ["s"], then_branch=branches[0], else_branch=branches[1]),
        helper.make_node("Add", ["s", "one"], ["t"]),
        helper.make_node("ReduceSum", ["t", "axes"], ["y"]),
    ]
    found = inspected(model_of(nodes, [numpy_helper.from_array(np.array(True), "yes")]))
    assert found.parameters == 4 + 4 + 4 + 1
    assert {tensor.name: tensor.size_bytes for tensor in found.tensors} == {
        "outer": 16,
        "then": 16,
        "other": 16,
        "axes": 16,
        "one": 4,
        "yes": 1,
    }


@pytest.mark.parametrize(
    ("tensor", "size"),
    [
        (helper.make_tensor("t", TensorProto.FLOAT, (2, 3), range(6)), 24),
        (helper.make_tensor("t", TensorProto.DOUBLE, (3,), range(3)), 24),
        (helper.make_tensor("t", TensorProto.INT64, (3,), range(3)), 24),
        (helper.make_tensor("t", TensorProto.INT8, (5,), range(5)), 5),
        (helper.make_tensor("t", TensorProto.BOOL, (5,), [True] * 5), 5),
        (helper.make_tensor("t", TensorProto.FLOAT16, (3,), range(3)), 6),
        (helper.make_tensor("t", TensorProto.BFLOAT16, (3,), range(3)), 6),
        (helper.make_tensor("t", TensorProto.INT4, (5,), [1, 2, 3, 4, 5]), 3),
        (TensorProto(name="t", data_type=TensorProto.STRING, dims=[2], string_data=[b"one", b"three"]), 8),
    ],
    ids=lambda given: TensorProto.DataType.Name(given.data_type) if isinstance(given, TensorProto) else "",
)
def test_sizes_are_those_of_the_values_however_they_are_stored(
    tensor: onnx.TensorProto, size: int, inspected: Callable[[onnx.ModelProto], Inspection]
) -> None:
    assert not tensor.raw_data
    (found,) = inspected(model_of([helper.make_node("Identity", ["t"], ["y"])], [tensor])).tensors
    assert found.size_bytes == size


def test_values_other_than_tensors_are_shown_with_their_type(
    inspected: Callable[[onnx.ModelProto], Inspection],
) -> None:
    probabilities = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    by_label = helper.make_map_type_proto(TensorProto.INT64, probabilities)
    image = helper.make_tensor_type_proto(TensorProto.UINT8, (1, 3, "height", "width"))
    model = model_of([helper.make_node("ZipMap", ["x"], ["y"], domain="ai.onnx.ml")], [])
    del model.graph.output[:]
    model.graph.input.append(helper.make_value_info("image", helper.make_optional_type_proto(image)))
    model.graph.input.append(helper.make_value_info("rows", helper.make_sparse_tensor_type_proto(1, (4, 4))))
    model.graph.output.append(helper.make_value_info("y", helper.make_sequence_type_proto(by_label)))
    found = inspected(model)
    assert found.operators == {"ai.onnx.ml.ZipMap": 1}
    assert [tensor.type_and_shape for tensor in found.inputs[1:]] == ["optional(uint8 1x3x?x?)", "sparse(float32 4x4)"]
    assert [tensor.type_and_shape for tensor in found.outputs] == ["sequence(map(int64, float32))"]


def test_external_data_is_reported_and_not_read(tmp_path: Path) -> None:
    path, weights = tmp_path / "model.onnx", tmp_path / "weights.bin"
    onnx.save(network(), path, save_as_external_data=True, location=weights.name, size_threshold=100)
    found = inspect(path)
    size = weights.stat().st_size
    assert found.parameters == WEIGHTS
    assert found.external_files == (ExternalFile("weights.bin", size, size),)
    assert {t.name: t.external_file for t in found.tensors} == {
        "kernel": "weights.bin",
        "matrix": "weights.bin",
        "bias": None,
    }
    output = shown(found)
    assert "bytes, of which 64 are values of tensors" in output
    assert f"external data weights.bin, {size:,} bytes" in output

    weights.write_bytes(weights.read_bytes()[:-1])
    assert f"external data weights.bin, {size - 1:,} bytes, truncated: expected {size:,}" in shown(inspect(path))
    weights.unlink()
    assert f"external data weights.bin is missing ({size:,} bytes)" in shown(inspect(path))
    assert inspect(path).parameters == WEIGHTS


def shown(inspection: Inspection) -> str:
    terminal = io.StringIO()
    Console(file=terminal, width=160, color_system=None).print(inspection.table())
    return " ".join(terminal.getvalue().split())


@dataclasses.dataclass
class Stored:
    """A tensor of a generated .tflite file."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    content: bytes = b""
    scales: tuple[float, ...] = ()
    blocks: tuple[int, int] | None = None  # the number of the tensor that holds their scales, and their size


def tflite_file(path: Path, tensors: list[Stored]) -> Path:
    """Build a fully connected layer of tensor 0 by the others. The last one is its output."""
    from ai_edge_litert import schema_py_generated as schema

    from edgesqz.tflite.flatbuffer import serialized

    model, graph, code, layer = schema.ModelT(), schema.SubGraphT(), schema.OperatorCodeT(), schema.OperatorT()
    model.version, model.buffers, model.subgraphs, model.operatorCodes = 3, [schema.BufferT()], [graph], [code]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    graph.tensors, graph.operators, graph.inputs, graph.outputs = [], [layer], [0], [len(tensors) - 1]
    layer.inputs, layer.outputs = list(range(len(tensors) - 1)), [len(tensors) - 1]
    for stored in tensors:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = (
            stored.name,
            list(stored.shape),
            getattr(schema.TensorType, stored.dtype),
        )
        if stored.scales or stored.blocks:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = np.array(stored.scales, np.float32) if stored.scales else None
        if stored.blocks:
            tensor.quantization.detailsType = schema.QuantizationDetails.BlockwiseQuantization
            tensor.quantization.details = schema.BlockwiseQuantizationT(*[stored.blocks[0], 0, stored.blocks[1]])
            tensor.quantization.quantizedDimension = 1
        if stored.content:
            tensor.buffer = len(model.buffers)
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(stored.content, np.uint8)
            model.buffers.append(buffer)
        graph.tensors.append(tensor)
    path.write_bytes(serialized(model))
    return path


def test_a_tflite_file_with_weights_in_blocks_of_four_bits(tmp_path: Path) -> None:
    scales = np.arange(1, 21, dtype=np.float16)
    tensors = [
        Stored("x", (1, 64), "FLOAT32"),
        Stored("matrix", (10, 64), "INT4", bytes(320), blocks=(2, 32)),
        Stored("scales", (10, 2), "FLOAT16", scales.tobytes()),
        Stored("bias", (10,), "FLOAT32", bytes(40)),
        Stored("y", (1, 10), "FLOAT32"),
    ]
    found = inspect(tflite_file(tmp_path / "blocks.tflite", tensors))
    assert found.parameters == 64 * 10 + 10
    matrix = found.tensors[0]
    assert (matrix.type_and_shape, matrix.size_bytes) == ("int4 10x64", 320)
    assert str(matrix.quantization) == "20 scales, blocks of 32, axis 1"
    assert matrix.quantization and matrix.quantization.scales == tuple(range(1, 21))


def test_a_tflite_file_with_four_bit_channels_and_shapes(tmp_path: Path) -> None:
    tensors = [
        Stored("x", (1, 64), "FLOAT32"),
        Stored("matrix", (10, 64), "INT4", bytes(320), scales=(0.5,) * 10),
        Stored("shape", (2,), "INT32", bytes(8)),
        Stored("bias", (10,), "FLOAT16", bytes(20)),
        Stored("y", (1, 10), "FLOAT32"),
    ]
    found = inspect(tflite_file(tmp_path / "channels.tflite", tensors))
    assert found.parameters == 64 * 10 + 10
    assert str(found.tensors[0].quantization) == "10 scales, axis 0"
