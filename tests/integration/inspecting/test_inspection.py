"""Inspections of files from edgesqz, files from other tools, and damaged files."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from rich.console import Console
from typer.testing import CliRunner

import edgesqz
from edgesqz import EdgesqzError, backend
from edgesqz.artifact import ZOO, sha256, size_bytes
from edgesqz.cli import app
from edgesqz.inspecting import inspect
from edgesqz.inspecting.inspection import Inspection
from edgesqz.models.costs import network_costs
from edgesqz.models.loading import load_keras

TFLITE, ONNX, KERAS = (ZOO / f"squeezenet-nano.{kind}" for kind in ("int8.tflite", "int8.onnx", "keras"))


def shown(inspection: Inspection) -> str:
    terminal = io.StringIO()
    Console(file=terminal, width=160, color_system=None).print(inspection.table())
    return " ".join(terminal.getvalue().split())


def test_a_tflite_file_is_read_without_tensorflow() -> None:
    program = (
        "import sys; from edgesqz.inspecting import inspect; print(inspect(sys.argv[1]).operators); "
        "assert not {'tensorflow', 'keras', 'onnx'} & set(sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program, TFLITE], capture_output=True, text=True, check=True)
    assert result.stdout.startswith("{'CONV_2D': 17, 'CONCATENATION': 5,")


def test_a_tflite_file_shows_its_contract() -> None:
    found = inspect(TFLITE)
    assert (found.size_bytes, found.sha256) == (TFLITE.stat().st_size, sha256(TFLITE.read_bytes()))
    (pixels,), (probabilities,) = found.inputs, found.outputs
    assert pixels.type_and_shape == "int8 ?x32x32x3" and str(pixels.quantization) == "scale 0.015625, zero point 0"
    assert str(probabilities.quantization) == "scale 0.00390625, zero point -128"
    assert found.operators == {
        "CONV_2D": 17,
        "CONCATENATION": 5,
        "ADD": 3,
        "MAX_POOL_2D": 2,
        "MEAN": 1,
        "SOFTMAX": 1,
    }
    assert found.metadata["min_runtime_version"] == "1.14.0"


def test_parameters_are_those_of_the_network() -> None:
    costs = network_costs("squeezenet-nano")
    weights = costs.fp32_bytes // 4  # batch norm folded
    assert inspect(TFLITE).parameters == weights
    assert inspect(ONNX).parameters == weights + 2  # and the normalization's two
    assert inspect(KERAS).parameters == costs.parameters


@pytest.mark.parametrize("path", [TFLITE, ONNX, KERAS], ids=lambda path: path.suffix)
def test_bytes_by_tensor_add_up_to_less_than_the_file(path: Path) -> None:
    found = inspect(path)
    sizes = [tensor.size_bytes for tensor in found.tensors]
    assert sizes == sorted(sizes, reverse=True) and 0.5 * found.size_bytes < sum(sizes) < found.size_bytes
    largest = found.tensors[0]
    assert largest.size_bytes == np.prod([size or 0 for size in largest.shape]) * np.dtype(largest.dtype).itemsize


def test_quantized_weights_have_a_scale_per_channel() -> None:
    for path in (TFLITE, ONNX):
        largest = inspect(path).tensors[0]
        assert largest.quantization and len(largest.quantization.scales) == 80
        assert str(largest.quantization) == "80 scales, axis 0"


def test_a_keras_file_shows_its_layers() -> None:
    found = inspect(KERAS)
    assert (found.inputs[0].name, found.inputs[0].type_and_shape) == ("pixels", "float32 ?x32x32x3")
    assert found.outputs[0].type_and_shape == "float32 ?x10"
    assert found.operators["Conv2D"] == 17
    assert set(found.metadata) == {"keras_version", "date_saved"}


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_other_formats_of_keras_show_the_same(tmp_path: Path) -> None:
    model, expected = load_keras(KERAS), inspect(KERAS)
    with backend.hush():
        model.save(tmp_path / "model.h5")
        model.export(tmp_path / "saved", verbose=False)
    hdf5, folder = inspect(tmp_path / "model.h5"), inspect(tmp_path / "saved")
    assert (hdf5.format, hdf5.operators, hdf5.layers) == ("h5", expected.operators, expected.layers)
    assert (folder.format, folder.size_bytes) == ("savedmodel", size_bytes(tmp_path / "saved"))
    assert folder.operators["Conv2D"] == expected.operators["Conv2D"]
    for found in (hdf5, folder):
        assert found.parameters == expected.parameters
        assert [each.type_and_shape for each in (*found.inputs, *found.outputs)] == [
            "float32 ?x32x32x3",
            "float32 ?x10",
        ]
        assert sum(each.size_bytes for each in found.tensors) == 4 * expected.parameters
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"damaged")
    with pytest.raises(EdgesqzError, match="saved is not a SavedModel or is damaged"):
        inspect(tmp_path / "saved")


def test_layers_have_the_names_that_export_takes(exported: Path, images: Path, tmp_path: Path) -> None:
    assert len(inspect(KERAS).layers) == len(inspect(TFLITE).layers) == 17
    for source in (exported / "colors.keras", exported / "colors.fp32.tflite"):
        layers = inspect(source).layers
        assert set(layers.values()) <= {"Conv2D", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}
        with pytest.raises(EdgesqzError, match="no layer matches 'nothing'; the layers are ") as refusal:
            edgesqz.export(source, quantize=True, keep_float="nothing", dataset=images, workspace=tmp_path)
        assert str(refusal.value).endswith(", ".join(layers))


def test_an_onnx_file_from_another_tool(tmp_path: Path) -> None:
    branch = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "b", [], [value("y")])
    constant = numpy_helper.from_array(np.ones((2, 3), np.float32))
    nodes = [
        helper.make_node("Constant", [], ["[red]weights"], value=constant),
        helper.make_node("Add", ["x", "[red]weights"], ["s"]),
        helper.make_node("If", ["c"], ["z"], then_branch=branch, else_branch=branch),
        helper.make_node("FancyOp", ["s"], ["t"], domain="com.example"),
    ]
    graph = helper.make_graph(nodes, "g", [value("x"), value("c", TensorProto.BOOL, ())], [value("z"), value("t")])
    model = helper.make_model(graph, producer_name="another tool")
    helper.set_model_props(model, {"task": "none"})
    onnx.save(model, tmp_path / "theirs.onnx")
    found = inspect(tmp_path / "theirs.onnx")
    assert [tensor.type_and_shape for tensor in found.inputs] == ["float32 2x?", "bool"]
    assert found.operators == {"Relu": 2, "Constant": 1, "Add": 1, "If": 1, "com.example.FancyOp": 1}
    assert [(t.name, t.size_bytes) for t in found.tensors] == [("[red]weights", 24)]
    assert found.parameters == 6
    assert found.metadata["producer"] == "another tool" and found.metadata["task"] == "none"
    assert "[red]weights float32 2x3" in shown(found)


def value(name: str, dtype: int = TensorProto.FLOAT, shape: tuple[int | str, ...] = (2, "n")) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def test_a_tflite_file_from_another_tool(tmp_path: Path) -> None:
    from ai_edge_litert import schema_py_generated as schema

    from edgesqz.tflite.flatbuffer import serialized

    model = schema.ModelT.InitFromPackedBuf(TFLITE.read_bytes(), 0)
    model.operatorCodes[0].builtinCode = 9999  # later than this schema
    model.operatorCodes[0].deprecatedBuiltinCode = 127
    custom = model.operatorCodes[1]
    custom.builtinCode = custom.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    custom.customCode = "TheirOp"
    model.metadata = None
    (tmp_path / "theirs.tflite").write_bytes(serialized(model))
    found = inspect(tmp_path / "theirs.tflite")
    assert {"number 9999", "TheirOp"} <= set(found.operators)
    assert found.metadata == {}
    assert "metadata none" in shown(found)


def test_a_keras_file_with_a_custom_class_is_reported(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.keras"
    with zipfile.ZipFile(KERAS) as archive, zipfile.ZipFile(theirs, "w") as other:
        for name in archive.namelist():
            content = archive.read(name)
            other.writestr(name, content.replace(b'"ReLU"', b'"TheirReLU"'))
    with pytest.raises(EdgesqzError, match="theirs.keras cannot be loaded as a Keras model: .*TheirReLU"):
        inspect(theirs)


def test_the_table_shows_the_largest_and_counts_the_rest() -> None:
    output = shown(inspect(TFLITE))
    assert f"{TFLITE.stat().st_size:,} bytes, of which 67,360 are values of tensors" in output
    assert "CONV_2D 17" in output and "23 more (see --json) 6,624" in output


def test_the_command_prints_json_and_knows_the_zoo() -> None:
    result = CliRunner().invoke(app, ["inspect", "squeezenet-nano.int8.tflite", "--json"])
    assert result.exit_code == 0, result.output
    inspection = json.loads(result.stdout)
    per_tensor = {"scales": [0.015625], "zero_points": [0], "axis": None, "block_size": None}
    assert inspection["inputs"][0]["quantization"] == per_tensor
    assert set(inspection) == set(Inspection.__annotations__)
    assert edgesqz.inspect(TFLITE).operators == inspection["operators"]


# Bad input


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", b"text", "formats .tflite, .onnx, .pt2, .keras, .h5, .hdf5, SavedModel folder, got"),
        ("a.tflite", b"", "a.tflite is not a .tflite file or is damaged: its bytes 4 to 8 are not TFL3"),
        ("a.tflite", b"\xff\xff\xff\x7fTFL3", "a.tflite is not a .tflite file or is damaged"),
        ("a.onnx", b"", "a.onnx is not a .onnx file or is damaged: it has no operators"),
        ("a.onnx", b"text", "a.onnx is not a .onnx file or is damaged"),
        ("a.keras", b"text", "a.keras cannot be loaded as a Keras model"),
    ],
)
def test_a_file_that_is_not_a_model_is_reported_in_one_line(
    name: str, content: bytes, words: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    result = CliRunner().invoke(app, ["inspect", str(tmp_path / name)])
    assert result.exit_code == 1
    assert words in result.stderr and result.stderr.count("\n") == 1


def test_a_missing_file_is_reported() -> None:
    with pytest.raises(EdgesqzError, match=r"^missing\.onnx does not exist$"):
        inspect("missing.onnx")


@pytest.mark.parametrize(
    ("source_model", "seeds"), [(TFLITE, 60), (ONNX, 30), (KERAS, 3)], ids=["tflite", "onnx", "keras"]
)
def test_damaged_files_are_reported_or_read(
    source_model: Path, seeds: int, damaged: Callable[[bytes, int], bytes], tmp_path: Path
) -> None:
    refused = 0
    for seed in range(seeds):
        path = tmp_path / f"torn{source_model.suffix}"
        path.write_bytes(damaged(source_model.read_bytes(), seed))
        try:
            found = inspect(path)
            assert shown(found) and found.to_json()
        except EdgesqzError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused


def test_a_file_that_refers_to_too_many_tables_is_rejected_quickly(tmp_path: Path) -> None:
    content = bytearray(TFLITE.read_bytes())
    root = int.from_bytes(content[:4], "little")
    fields = root - int.from_bytes(content[root : root + 4], "little", signed=True)
    subgraphs = root + int.from_bytes(content[fields + 8 : fields + 10], "little")
    vector = subgraphs + int.from_bytes(content[subgraphs : subgraphs + 4], "little")
    content[vector : vector + 4] = (2**31 - 1).to_bytes(4, "little")
    (tmp_path / "endless.tflite").write_bytes(content)
    with pytest.raises(EdgesqzError, match="refers to more tables than it can contain"):
        inspect(tmp_path / "endless.tflite")
