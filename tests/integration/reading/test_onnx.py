"""ONNX models as other tools write them, prepared without converting them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import edgesqz
from edgesqz.errors import EdgesqzError
from edgesqz.image_size import ImageSize
from edgesqz.plugins import NeedsSizeError, QuantizedError
from edgesqz.readers import onnx as reader
from edgesqz.reading import open_foreign
from tests.foreign import color_onnx


def changed(path: Path, **attributes: object) -> Path:
    """Change the first node of a model."""
    model = onnx.load(path)
    for name, value in attributes.items():
        setattr(model.graph.node[0], name, value)
    path.write_bytes(model.SerializeToString())
    return path


def input_shape(content: bytes) -> list[int]:
    (images,) = onnx.load_from_string(content).graph.input
    return [dim.dim_value for dim in images.type.tensor_type.shape.dim]


def weights(content: bytes) -> list[np.ndarray]:
    return [numpy_helper.to_array(tensor) for tensor in onnx.load_from_string(content).graph.initializer]


def test_symbolic_sizes_are_fixed(tmp_path: Path) -> None:
    path = color_onnx(tmp_path / "any.onnx", size="size")
    with pytest.raises(NeedsSizeError):
        reader.prepare(path, None)
    assert input_shape(reader.prepare(path, (24, 36)).content) == [1, 3, 24, 36]
    assert input_shape(reader.prepare(color_onnx(path), None).content) == [1, 3, 32, 32]
    assert input_shape(reader.prepare(path, (24, 36)).content) == [1, 3, 32, 32]


def test_parameters_and_class_names_are_read(tmp_path: Path) -> None:
    found = reader.prepare(color_onnx(tmp_path / "colors.onnx", names="{0: 'blue', 1: 'green', 2: 'red'}"), None)
    assert found.parameters == 8 * 3 * 9 + 8 * 9 + 8 * 8 + 3 * 8
    assert found.labels == ("blue", "green", "red")
    assert reader.prepare(color_onnx(tmp_path / "colors.onnx", names="import os"), None).labels == ()


def test_external_data_is_included(tmp_path: Path) -> None:
    path = color_onnx(tmp_path / "colors.onnx")
    alone = reader.prepare(path, None).content
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    for found, expected in zip(weights(reader.prepare(path, None).content), weights(alone), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert input_shape(reader.whole(path) or b"") == [0, 3, 32, 32]
    assert reader.whole(color_onnx(tmp_path / "alone.onnx")) is None
    report = edgesqz.bench(path, rounds=1)  # the engine gets the weights, too
    assert [(row.size_bytes > len(alone), bool(row.p50_us)) for row in report.measured] == [(True, True)]
    (tmp_path / "weights.bin").write_bytes(b"cut short")
    with pytest.raises(
        ValueError, match="weights.bin, which must be complete, not a link, and in the folder of colors.o"
    ):
        reader.prepare(path, None)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(
        ValueError, match="weights in weights.bin, not found in the folder of colors.onnx; copy the data there, or save"
    ):
        reader.prepare(path, None)


def test_files_that_cannot_be_converted_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "colors.onnx"
    with pytest.raises(ValueError, match="custom operators, which no other tool can run: my.tools.Magic"):
        reader.prepare(changed(color_onnx(path), domain="my.tools", op_type="Magic"), None)
    with pytest.raises(ValueError, match="ONNX has no operator Magic"):
        reader.prepare(changed(color_onnx(path), op_type="Magic"), None)
    newer = onnx.load(color_onnx(path))
    newer.opset_import[0].version = 999
    path.write_bytes(newer.SerializeToString())
    with pytest.raises(ValueError, match="it uses opset 999; export it again with opset .* or older"):
        reader.prepare(path, None)
    with pytest.raises(QuantizedError, match="it is already quantized; use it as it is"):
        reader.prepare(changed(color_onnx(path), op_type="QLinearConv"), None)
    path.write_bytes(b"not a model")
    with pytest.raises(ValueError, match="not an ONNX file"):
        reader.prepare(path, None)
    path.write_bytes(helper.make_model(helper.make_graph([], "empty", [], [])).SerializeToString())
    with pytest.raises(ValueError, match="it has no operators"):
        reader.prepare(path, None)


def test_a_size_that_a_model_cannot_take_gets_advice(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("AveragePool", ["images"], ["half"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Resize", ["half", "", "scales"], ["whole"]),
        helper.make_node("Add", ["images", "whole"], ["sum"]),
    ]
    scales = numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales")
    shape: list[str | int | None] = [1, 3, "height", "width"]
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in ("images", "sum")]
    graph = helper.make_graph(nodes, "pyramid", ends[:1], ends[1:], [scales])
    path = tmp_path / "pyramid.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    with pytest.raises(EdgesqzError, match="many models need an input_size that is a multiple of 32"):
        open_foreign(path, None, ImageSize(33, 33))
    model = open_foreign(path, None, ImageSize(64, 32))
    model.engine.close()
    assert model.output_shapes == ((3, 64, 32),)
