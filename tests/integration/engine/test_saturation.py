"""Weights that saturate on x86 processors without VNNI: which files have them, and which commands warn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import edgesqz
from edgesqz.artifact import ZOO
from edgesqz.engine import Engine
from edgesqz.engine.saturation import WARNING, may_saturate

SIZE = 32

Values = np.ndarray | np.generic


def classifier(weights: np.ndarray, zero_point: Values) -> onnx.ModelProto:
    """Build a model that multiplies the mean of each channel, as bytes, by weights (3, 3)."""
    values: dict[str, Values] = {
        "scale": np.float32(1),
        "zero": np.uint8(0),
        "weights": weights,
        "weight_zero": zero_point,
    }
    nodes = [
        helper.make_node("ReduceMean", ["pixels"], ["means"], axes=[1, 2], keepdims=0),
        helper.make_node("QuantizeLinear", ["means", "scale", "zero"], ["bytes"]),
        helper.make_node("DequantizeLinear", ["bytes", "scale", "zero"], ["values"]),
        helper.make_node("DequantizeLinear", ["weights", "scale", "weight_zero"], ["kernel"]),
        helper.make_node("MatMul", ["values", "kernel"], ["logits"]),
    ]
    return model(nodes, ["N", SIZE, SIZE, 3], values)


def integer_product(weights: np.ndarray) -> onnx.ModelProto:
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["pixels"], ["bytes", "scale", "zero"]),
        helper.make_node("MatMulInteger", ["bytes", "weights", "zero"], ["sums"]),
        helper.make_node("Cast", ["sums"], ["logits"], to=TensorProto.FLOAT),
    ]
    return model(nodes, ["N", 3], {"weights": weights})


def weights_alone(weights: np.ndarray) -> onnx.ModelProto:
    """Return weights that are multiplied as float32."""
    nodes = [
        helper.make_node("DequantizeLinear", ["weights", "scale"], ["kernel"]),
        helper.make_node("MatMul", ["pixels", "kernel"], ["logits"]),
    ]
    return model(nodes, ["N", 3], {"scale": np.float32(1), "weights": weights})


def model(nodes: list[onnx.NodeProto], shape: list[int | str], values: dict[str, Values]) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def filled(value: int) -> np.ndarray:
    return np.full((3, 3), value, np.int8)


def static(weights: np.ndarray) -> onnx.ModelProto:
    return classifier(weights, np.int8(0))


@pytest.mark.parametrize("make", [static, integer_product])
@pytest.mark.parametrize(("weight", "expected"), [(-128, True), (-65, True), (-64, False), (64, False), (65, True)])
def test_int8_weights_of_more_than_7_bits_may_saturate(
    make: Callable[[np.ndarray], onnx.ModelProto], weight: int, expected: bool
) -> None:
    assert may_saturate(make(filled(weight))) == expected


def test_uint8_weights_and_weight_only_quantization_do_not_saturate() -> None:
    assert not may_saturate(classifier(np.full((3, 3), 255, np.uint8), np.uint8(128)))
    assert not may_saturate(weights_alone(filled(127)))


def test_inspect_warns_about_saturation(tmp_path: Path) -> None:
    path = tmp_path / "foreign.onnx"
    onnx.save(static(filled(127)), path)
    assert edgesqz.inspect(path).warnings == (WARNING,)
    onnx.save(static(filled(64)), path)
    assert edgesqz.inspect(path).warnings == ()


@pytest.mark.parametrize("path", sorted(ZOO.glob("*.int8.onnx")), ids=lambda path: path.name)
def test_the_files_in_the_zoo_do_not_saturate(path: Path) -> None:
    assert not may_saturate(onnx.load(path))


@pytest.mark.parametrize(("vnni", "weight", "warned"), [(False, 127, True), (False, 64, False), (True, 127, False)])
def test_bench_warns_on_processors_where_weights_can_saturate(
    vnni: bool, weight: int, warned: bool, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = Engine.__init__

    def on_that_processor(engine: Engine, *arguments: object, **options: object) -> None:
        start(engine, *arguments, **options)  # type: ignore[arg-type]
        engine.machine = replace(engine.machine, vnni=vnni)

    monkeypatch.setattr(Engine, "__init__", on_that_processor)
    onnx.save(static(filled(weight)), tmp_path / "foreign.onnx")
    report = edgesqz.bench([tmp_path / "foreign.onnx"], dataset=str(images), rounds=1)
    assert report.measured[0].may_saturate == warned
    expected = [f"foreign.onnx: {WARNING}, such as this one; quantize with 7-bit weights (reduce_range=True)"]
    assert report.warnings() == expected * warned
    assert (WARNING in report.to_markdown()) == warned
