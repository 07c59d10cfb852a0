"""The comparison of layers: signal-to-noise ratios, and where the error of an export grows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import edgesqz
from edgesqz import data
from edgesqz.artifact import ZOO, Artifact, PixelRange
from edgesqz.engine import Engine, layer_error, open_engine
from edgesqz.engine.layer_error import LayerErrors
from edgesqz.errors import EdgesqzError
from edgesqz.exporting import shipped
from tests import in_process

IMAGE = np.zeros((1, 4, 4, 3), np.uint8)
PIXELS = PixelRange(scale=1 / 64, offset=-2.0)
LAYER = "fire21_squeeze"  # damaged in these tests


class Layers:
    """An engine that has only tensors."""

    def __init__(self, **tensors: np.ndarray) -> None:
        self.found = {name.replace("__", "/"): values for name, values in tensors.items()}

    def tensors(self, image: np.ndarray) -> dict[str, np.ndarray]:
        return self.found


def compared(source_model: Layers, export: Layers, images: np.ndarray = IMAGE) -> LayerErrors:
    return layer_error.layer_sqnr_db(source_model, export, images)  # type: ignore[arg-type]


def test_the_ratio_is_of_powers_in_decibels() -> None:
    source_model, export = Layers(conv=np.array([[3.0, 4.0]])), Layers(net__conv_1__Relu=np.array([[3.0, 4.5]]))
    assert compared(source_model, export) == {"conv": pytest.approx(10 * math.log10(25 / 0.25))}
    many = np.repeat(IMAGE, 3, axis=0)
    assert compared(source_model, export, many) == {"conv": pytest.approx(20)}


def test_the_number_that_keras_gives_a_model_does_not_matter() -> None:
    ours, theirs = Layers(functional_14_1__conv=np.ones((1, 2))), Layers(functional_3_1__conv=np.ones((1, 2)))
    assert compared(ours, theirs) == {"functional_14_1/conv": None}


def test_layers_without_a_difference_are_exact_and_layers_without_a_signal_are_skipped() -> None:
    tensors = {"same": np.ones((1, 2)), "dead": np.zeros((1, 2))}
    assert compared(Layers(**tensors), Layers(**tensors)) == {"same": None}


def test_nan_or_infinity_means_a_lost_signal() -> None:
    errors = compared(Layers(conv=np.ones((1, 2))), Layers(conv=np.array([[1, np.nan]])))
    assert errors == {"conv": layer_error.FLOOR_DB}


def test_a_layer_is_found_in_either_layout() -> None:
    values = np.random.default_rng(0).random((1, 4, 4, 4))
    assert compared(Layers(conv=values), Layers(net__conv=values.transpose(0, 3, 1, 2))) == {"conv": None}
    assert compared(Layers(conv=values), Layers(net__conv=values)) == {"conv": None}


def test_a_layer_is_found_by_its_whole_name_its_shape_and_its_last_step() -> None:
    first, second = np.full((1, 2), 1.0), np.full((1, 2), 2.0)
    source_model = Layers(conv=first, conv_1=second)
    assert compared(source_model, Layers(net__conv_1__Relu=first, net__conv_1_1__Relu=second)) == {
        "conv": None,
        "conv_1": None,
    }
    steps = Layers(net__conv__convolution=first + 1, net__conv__add=first, net__conv__kernel=np.ones((3, 3)))
    assert compared(Layers(conv=first), steps) == {"conv": None}
    assert compared(Layers(conv=first), Layers(net__preconv=first, net__convolution=first)) == {}


@pytest.mark.parametrize(
    ("ratios", "layer"),
    [
        ([40, 38, 35, 33, 30, 28], None),  # a typical value after quantization to 8 bits
        ([None, 130, 125, 122], None),
        ([130, 125, 37, 36, 19], "e"),
        ([60, 45, 42, 5], "d"),  # 45 is a typical value as well, although the first layer happens to have a higher one
        ([40, 45, 35, 24.9], None),
        ([22, 25, 11.9], "c"),  # 10 below the lowest value so far
        ([5, 5, 5], "a"),
        ([None, 15, 15], "b"),
        ([None, 37, 36], None),
        ([], None),
    ],
)
def test_the_error_grows_where_it_increases_tenfold(ratios: list[float | None], layer: str | None) -> None:
    assert layer_error.grows_at(dict(zip("abcdef", ratios, strict=False))) == layer


def test_layers_are_listed_in_the_order_they_run() -> None:
    one, other = dict.fromkeys(["a", "b", "e"], 1.0), dict.fromkeys(["b", "c", "d", "e", "f"], 1.0)
    assert layer_error.in_order([one, other]) == ["a", "b", "c", "d", "e", "f"]


@pytest.fixture(scope="module")
def report(exported: Path) -> edgesqz.Report:
    with in_process.tensorflow():
        return edgesqz.bench(rounds=1, limit=6, layers=True, workspace=exported)


def test_each_export_is_compared_with_its_source_model(report: edgesqz.Report) -> None:
    errors = {row.artifact: row.layer_sqnr_db for row in report.measured}
    assert errors.pop("colors.keras") is None
    for artifact, found in errors.items():
        assert found is not None
        assert {"stem_relu", "fire11_squeeze_relu", "fire21_concat", "classifier", "logits"} <= set(found)
        ratios = [math.inf if ratio is None else ratio for ratio in found.values()]
        assert min(ratios) > (90 if "fp32" in artifact else 10)
        if "fp32" in artifact:
            assert layer_error.grows_at(found) is None


def test_the_table_has_one_row_per_layer_and_one_column_per_export(report: edgesqz.Report) -> None:
    table = report.layer_table()
    assert [column.head for column in table.columns] == ["layer", *(row.artifact for row in report.rows[1:])]
    assert [row[0] for row in table.rows if row][:3] == ["normalize", "stem_relu", "pool1"]
    assert table.rows[0] is not None and table.rows[0][1] == "exact "


def test_layers_on_another_machine_are_rejected(exported: Path) -> None:
    with pytest.raises(EdgesqzError, match="remove host"):
        edgesqz.bench(layers=True, host="ssh://board", workspace=exported)


def damaged_onnx(content: bytes) -> bytes:
    """Multiply a kernel by three."""
    model = onnx.load_from_string(content)
    (kernel,) = (each for each in model.graph.initializer if f"{LAYER}_1/conv" in each.name and len(each.dims) == 4)
    kernel.CopyFrom(numpy_helper.from_array(3 * numpy_helper.to_array(kernel), kernel.name))
    return bytes(model.SerializeToString())


def damaged_tflite(content: bytes) -> bytes:
    """Invert the signs of a kernel."""
    from tensorflow.lite.python import schema_py_generated as schema

    model: Any = schema.ModelT.InitFromPackedBuf(content, 0)
    (graph,) = model.subgraphs
    (operator,) = (each for each in graph.operators if f"{LAYER}_relu".encode() in graph.tensors[each.outputs[0]].name)
    buffer = model.buffers[graph.tensors[operator.inputs[1]].buffer]
    kind = np.int8 if graph.tensors[operator.inputs[1]].type == schema.TensorType.INT8 else np.float32
    buffer.data = np.negative(np.asarray(buffer.data, np.uint8).view(kind)).view(np.uint8)
    builder = flatbuffers.Builder(2 * len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def grows_at(source: Engine, export: bytes, runtime: str, pixels: PixelRange | None) -> str | None:
    images = data.draw(4, 32, seed=0).images
    with Engine(export, runtime, pixels=pixels) as engine:
        return layer_error.grows_at(layer_error.layer_sqnr_db(source, engine, images))


@pytest.fixture(scope="module")
def source(exported: Path) -> Iterator[Engine]:
    with in_process.tensorflow(), open_engine(Artifact.open(exported / "colors.keras")) as engine:
        yield engine


@pytest.mark.parametrize(("suffix", "runtime"), [("onnx", "onnxruntime"), ("tflite", "litert")])
def test_a_damaged_layer_is_found(suffix: str, runtime: str, exported: Path, source: Engine) -> None:
    content = (exported / f"colors.fp32.{suffix}").read_bytes()
    damaged = damaged_onnx(content) if runtime == "onnxruntime" else damaged_tflite(content)
    assert grows_at(source, damaged, runtime, None) == f"{LAYER}_relu"


def test_a_damaged_integer_layer_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With uniform weights, because quantization alone can cost an intact layer ten decibels by chance."""
    content = (ZOO / "squeezenet-nano.int8.tflite").read_bytes()
    with open_engine(Artifact.open(ZOO / "squeezenet-nano.keras")) as source:
        assert grows_at(source, content, "litert", PIXELS) is None
    find: Any = shipped.find
    damaged = damaged_tflite(content)
    monkeypatch.setattr(shipped, "find", lambda *args: dataclasses.replace(find(*args), content=damaged))
    with pytest.raises(EdgesqzError, match=rf"not kept: .*; the error starts at \S*{LAYER}\S*, with an SQNR of"):
        edgesqz.export("squeezenet-nano", quantize=True, workspace=tmp_path)
