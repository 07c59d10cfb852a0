"""Models from other tools: their exports agree with them, on the engine of their own format."""

from __future__ import annotations

import contextlib
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from rich.console import Console

import edgesqz
from edgesqz.artifact import Artifact, Manifest, PixelRange
from edgesqz.benchmarking.rows import Measured
from edgesqz.errors import EdgesqzError
from edgesqz.exporting import Export
from edgesqz.exporting.exporter import Exporter
from edgesqz.reading import ForeignModel
from tests.conftest import MakeOnce
from tests.engine_environments import reader_or_skip
from tests.foreign import MEAN, STD, color_onnx


@pytest.fixture(scope="module")
def colors(images: Path, make_once: MakeOnce) -> Path:
    """Return a folder with an ONNX model and its exports."""
    reader_or_skip("onnx")

    def convert(home: Path) -> None:
        with_map = color_onnx(home / "with-map.onnx", has_map=True)
        edgesqz.export(with_map, variant=["fp32", "int8"], mean=MEAN, std=STD, dataset=images, workspace=home)
        source = color_onnx(home / "colors.onnx")
        edgesqz.export(
            source,
            ["tflite", "onnx"],
            variant=["fp32", "int8"],
            mean=MEAN,
            std=STD,
            dataset=images,
            workspace=home,
            calibration=50,
        )

    return make_once("foreign", convert)


def manifest(path: Path) -> Manifest:
    found = Artifact.open(path).manifest
    assert found
    return found


def test_every_export_agrees_with_the_source_model(colors: Path, images: Path) -> None:
    report = edgesqz.bench(
        [*sorted(colors.glob("colors*.tflite")), *sorted(colors.glob("colors*.onnx"))], dataset=images, rounds=1
    )
    rows = {row.artifact: row for row in report.rows if isinstance(row, Measured)}
    assert set(rows) == {f"colors{each}.{kind}" for each in (".fp32", ".int8") for kind in ("tflite", "onnx")} | {
        "colors.onnx"
    }
    for row in rows.values():
        assert row.comparison and row.evaluation
        assert row.comparison.agreement >= 0.95
        assert row.evaluation.accuracy >= 0.95


def test_exports_take_pixels_and_end_with_a_softmax(colors: Path) -> None:
    int8 = manifest(colors / "colors.int8.tflite")
    assert int8.pixels == PixelRange()
    assert (int8.input.dtype, int8.input.shape[1:], int8.input.zero_point) == ("int8", (32, 32, 3), -128)
    assert int8.input.scale == pytest.approx(1.0)
    assert int8.output.scale == 1 / 256
    assert int8.labels == ("blue", "green", "red")
    assert str(int8.source_pixels).startswith("-2.118..2.249, ")
    assert "onnx2tf" in int8.versions


def test_the_contract_says_that_the_normalization_is_in_the_graph(colors: Path, tmp_path: Path) -> None:
    edgesqz.embed(colors / "colors.int8.tflite", "c", out=tmp_path / "app")
    contract = " ".join((tmp_path / "app" / "CONTRACT.md").read_text().split())
    assert "`input = pixel - 128`, for pixels 0..255" in contract
    assert "which is `1 * pixel`; the normalization is in the graph |" in contract


def test_a_float_tflite_file_is_exported_in_every_variant(exported: Path, images: Path, tmp_path: Path) -> None:
    source = tmp_path / "other.tflite"
    shutil.copy(exported / "colors.fp32.tflite", source)  # without its manifest
    console = Console(record=True, width=200)
    variants = ["fp16", "dynamic", "int8", "int4", "int16x8"]
    Export(source, variant=variants, dataset=images, workspace=tmp_path, calibration=50).run(console)
    for variant in variants:
        found = manifest(tmp_path / f"other.{variant}.tflite")
        assert found.verification and (found.verification.agreement or 0) >= 0.95
    assert "softmax" not in console.export_text()


def test_logits_are_computed_once_and_compared_as_probabilities(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict, calls = ForeignModel.predict, list[Any]()

    def counted(model: ForeignModel, *arguments: Any) -> np.ndarray:
        calls.append(arguments)
        return predict(model, *arguments)

    monkeypatch.setattr(ForeignModel, "predict", counted)
    plan = Export(color_onnx(tmp_path / "colors.onnx"), mean=MEAN, std=STD, dataset=images, workspace=tmp_path)
    with contextlib.closing(Exporter(plan, Console(quiet=True))) as exporter:
        outputs = exporter.reference.outputs
        assert len(calls) == 1
        np.testing.assert_allclose(outputs, exporter.source.predict(exporter.images.verification.pixels), rtol=1e-6)
    np.testing.assert_allclose(outputs.sum(axis=1), 1, rtol=1e-5)


def test_sources_that_cannot_be_exported_are_refused(exported: Path, images: Path, tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match=r"colors.int8.tflite: it is already quantized; use it as it is"):
        edgesqz.export(exported / "colors.int8.tflite", dataset=images, workspace=tmp_path)
    with pytest.raises(EdgesqzError, match=r"takes images of any size; specify one with input_size"):
        edgesqz.export(color_onnx(tmp_path / "any.onnx", size="size"), dataset=images, workspace=tmp_path)
    source = color_onnx(tmp_path / "colors.onnx")
    with pytest.raises(EdgesqzError, match=r"takes images of 32x32; remove input_size 24"):
        edgesqz.export(source, dataset=images, workspace=tmp_path, input_size=24)
    with pytest.raises(EdgesqzError, match="'nowhere' is neither a dataset"):  # before any engine starts
        edgesqz.export("missing.pt2", dataset="nowhere", workspace=tmp_path)
    with pytest.raises(EdgesqzError, match="dataset: no file values.npz"):
        edgesqz.export("missing.pt2", dataset="values.npz", workspace=tmp_path)
    with pytest.raises(EdgesqzError, match="quota"):
        edgesqz.export(source, quota=1000, workspace=tmp_path)
    assert not list(tmp_path.glob("*.tflite"))


def test_options_that_do_not_apply_to_keras_models(exported: Path, images: Path) -> None:
    with pytest.raises(EdgesqzError, match="add_softmax is for models from other tools"):
        edgesqz.export(exported / "colors.keras", add_softmax=True, dataset=images, workspace=exported)
    with pytest.raises(EdgesqzError, match=r"add a keras.layers.Normalization to it"):
        edgesqz.export(exported / "colors.keras", mean=MEAN, std=STD, workspace=exported)


def test_other_models_are_verified_by_the_values_of_their_outputs(colors: Path, images: Path) -> None:
    found = manifest(colors / "with-map.int8.tflite")
    assert found.verification and found.verification.sqnr_db
    assert found.verification.agreement is None
    assert len(found.verification.sqnr_db) == 2 and min(found.verification.sqnr_db) > 20
    assert [sorted(map(int, filter(None, output.shape))) for output in found.other_outputs] == [[1, 8, 16, 16]]
    report = edgesqz.bench([colors / "with-map.onnx", colors / "with-map.int8.tflite"], dataset=images, rounds=1)
    rows = [row for row in report.rows if isinstance(row, Measured)]
    assert [row.evaluation for row in rows] == [None, None]
    assert all(row.p50_us for row in rows)
    assert report.title() == "no accuracy: the output is not one number per class, so the model ran on synthetic images"
    with pytest.raises(EdgesqzError, match="not an image classifier, so it has no accuracy; use max_size instead of"):
        edgesqz.export(colors / "with-map.onnx", variant="mixed", max_accuracy_drop=1, dataset=images)
    with pytest.raises(EdgesqzError, match="is not a classifier, so it has no labels to predict"):
        edgesqz.predict(colors / "with-map.int8.tflite", next(images.rglob("*.png")))
    with pytest.raises(EdgesqzError, match="expected a classifier, with one output"):
        edgesqz.embed(colors / "with-map.int8.tflite", target="micro", out=colors / "firmware")


def test_a_collapsed_file_is_refused_with_the_layer_where_the_error_starts(
    colors: Path, images: Path, tmp_path: Path
) -> None:
    model = onnx.load(colors / "colors.onnx")
    (depthwise,) = (tensor for tensor in model.graph.initializer if tensor.name == "pointwise")
    weights = numpy_helper.to_array(depthwise).copy()
    weights[3:] *= 5000  # channels that dwarf those that the classifier needs, at the scale of the whole tensor
    depthwise.CopyFrom(numpy_helper.from_array(weights, "pointwise"))
    (classifier,) = (tensor for tensor in model.graph.initializer if tensor.name == "classifier")
    ignoring = numpy_helper.to_array(classifier).copy()
    ignoring[:, 3:] = 0
    classifier.CopyFrom(numpy_helper.from_array(ignoring, "classifier"))
    path = tmp_path / "collapsing.onnx"
    path.write_bytes(model.SerializeToString())
    options: dict[str, Any] = {"mean": MEAN, "std": STD, "dataset": images, "workspace": tmp_path}
    with pytest.raises(EdgesqzError, match=r"not kept: it agrees .* keep_float LAYER") as refusal:
        edgesqz.export(path, quantize=True, **options)
    (layer,) = re.findall(r"the error starts at (\S+), with", str(refusal.value))
    edgesqz.export(path, **options)
    assert layer in edgesqz.inspect(tmp_path / "collapsing.fp32.tflite").layers
