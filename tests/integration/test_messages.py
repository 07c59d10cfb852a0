"""Messages about files that are not image classifiers, or that need another step first."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from typer.testing import CliRunner

import edgesqz
from edgesqz import EdgesqzError
from edgesqz.artifact import ZOO
from edgesqz.cli import app
from edgesqz.engine import load
from edgesqz.tflite.flatbuffer import serialized


def onnx_file(path: Path, dtype: int, shape: tuple[int, ...], to: int = TensorProto.FLOAT) -> Path:
    """Write a model that returns its input in another dtype."""
    node = helper.make_node("Cast", ["x"], ["y"], to=to)
    x, y = (helper.make_tensor_value_info(name, kind, shape) for name, kind in (("x", dtype), ("y", to)))
    graph = helper.make_graph([node], "g", [x], [y])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.parametrize(
    ("dtype", "shape"), [("INT64", (1, 128)), ("INT32", (1, 8, 8, 3)), ("BOOL", (1, 8)), ("FLOAT", (1, 16000))]
)
def test_a_model_that_does_not_take_images_refuses_them(dtype: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    with load(onnx_file(tmp_path / "theirs.onnx", TensorProto.DataType.Value(dtype), shape)) as engine:
        assert not engine.takes_images
        with pytest.raises(EdgesqzError, match=rf"its inputs are \w+ {re.escape(str(shape))}$"):
            engine.predict(np.zeros((1, 8, 8, 3), np.uint8))


def test_an_input_of_text_is_refused(tmp_path: Path) -> None:
    path = onnx_file(tmp_path / "theirs.onnx", TensorProto.STRING, (1, 128))
    with pytest.raises(EdgesqzError, match=r"expected inputs and outputs of numbers, got string of shape \(1, 128\)$"):
        load(path)


def test_an_output_of_labels_is_refused(tmp_path: Path) -> None:
    path = onnx_file(tmp_path / "theirs.onnx", TensorProto.FLOAT, (1, 8, 8, 3), to=TensorProto.INT64)
    with pytest.raises(EdgesqzError, match=r"expected an output of probabilities .*, got int64"):
        load(path)


def changed_tflite(path: Path, *, name: bytes | None = None, scales: int = 1) -> Path:
    """Write the network from the zoo with another input."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf((ZOO / "squeezenet-nano.int8.tflite").read_bytes(), 0)
    pixels = model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]]
    if name:
        pixels.name, model.signatureDefs = name, []
    if scales > 1:
        pixels.quantization.scale = np.full(scales, 0.015625, np.float32)
        pixels.quantization.zeroPoint = np.zeros(scales, np.int64)
        pixels.quantization.quantizedDimension = 3
    path.write_bytes(serialized(model))
    return path


def test_a_scale_per_channel_is_not_attributed_to_the_pixel_range(tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match="one scale, .* 3, one per channel$"):
        load(changed_tflite(tmp_path / "theirs.tflite", scales=3))


def test_a_damaged_name_is_reported_as_damage(tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match=r"the file is damaged: the name b'.*xff.*' in it is not UTF-8$"):
        load(changed_tflite(tmp_path / "theirs.tflite", name=b"pix\xffels"))

    path = onnx_file(tmp_path / "theirs.onnx", TensorProto.FLOAT, (1, 8, 8, 3))
    path.write_bytes(path.read_bytes().replace(b"\n\x01x", b"\n\x01\xff"))
    with pytest.raises(EdgesqzError, match=r"the file is damaged: the name b'.*xff' in it is not UTF-8$"):
        load(path)
    assert edgesqz.inspect(tmp_path / "theirs.tflite").inputs[0].name == "pix\ufffdels"


def test_an_h5_file_gets_advice_to_save_it_as_keras(tmp_path: Path) -> None:
    old = tmp_path / "theirs.h5"
    old.write_bytes(b"\x89HDF\r\n\x1a\n")
    result = CliRunner().invoke(app, ["embed", str(old), "--target", "python"])
    assert result.exit_code == 1, result.output
    output = " ".join(f"{result.stdout} {result.stderr}".split())
    assert "load it in Keras and save it as .keras" in output
