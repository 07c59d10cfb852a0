"""Exports: every variant does what the original does, is proved, and is kept whole or not at all."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from ai_edge_litert.interpreter import Interpreter
from rich.console import Console

import edgesqz
from edgesqz import backend, data, plugins
from edgesqz.artifact import ZOO, Artifact
from edgesqz.engine import Engine
from edgesqz.errors import EdgesqzError

OTHER_VARIANTS = [
    ("tflite", "fp16"),
    ("tflite", "dynamic"),
    ("tflite", "int16x8"),
    ("onnx", "fp16"),
    ("onnx", "dynamic"),
]


def model_files(workspace: Path) -> set[str]:
    return {path.name for path in workspace.iterdir() if path.name != ".lock"}


def test_exports_are_named_and_described(exported: Path, pictures: Path) -> None:
    original = Artifact.open(exported / "squeezenet-nano.keras").manifest
    assert original
    for file_name in ("fp32.tflite", "int8.tflite", "fp32.onnx", "int8.onnx"):
        artifact = Artifact.open(exported / f"squeezenet-nano.{file_name}")
        manifest = artifact.manifest
        assert manifest and manifest.proof
        assert f"{manifest.variant}.{manifest.format}" == file_name
        assert manifest.size_bytes == artifact.size_bytes
        assert manifest.source_sha256 == original.sha256
        assert manifest.labels == original.labels == ("blue", "green", "red")
        assert manifest.dataset == str(pictures)
        assert manifest.proof.agreement >= 0.95
        assert (manifest.calibration is not None) == (manifest.variant == "int8")
        if manifest.calibration:
            assert (manifest.calibration.split, manifest.calibration.count) == ("train", 50)


def test_the_int8_input_is_the_byte(exported: Path) -> None:
    manifest = Artifact.open(exported / "squeezenet-nano.int8.tflite").manifest
    assert manifest
    assert (manifest.input.dtype, manifest.input.scale, manifest.input.zero_point) == ("int8", 1 / 64, 0)
    assert (manifest.pixels.scale, manifest.pixels.offset) == (1 / 64, -2)
    interpreter = Interpreter(model_path=str(exported / "squeezenet-nano.int8.tflite"))
    operators = [detail["op_name"] for detail in interpreter._get_ops_details()]
    assert operators[0] == "CONV_2D"


def test_int8_onnx_has_float_pixels_and_integer_convolutions(exported: Path) -> None:
    graph = onnx.load(exported / "squeezenet-nano.int8.onnx").graph
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    kinds = {initializer.name: initializer.data_type for initializer in graph.initializer}
    weights_of = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    kernels = [kinds[weights_of[node.input[1]]] for node in graph.node if node.op_type == "Conv"]
    assert kernels and set(kernels) == {onnx.TensorProto.INT8}


@pytest.mark.parametrize(("format", "variant"), OTHER_VARIANTS)
def test_the_other_variants(format: str, variant: str, trained: Path, tmp_path: Path) -> None:
    (artifact,) = edgesqz.export(
        trained / "squeezenet-nano.keras", format, variant=variant, calibration=20, workspace=tmp_path
    )
    original = (trained / "squeezenet-nano.keras").stat().st_size
    assert artifact.path == tmp_path / f"squeezenet-nano.{variant}.{format}"
    assert artifact.size_bytes < original / 2
    assert artifact.manifest and artifact.manifest.proof and artifact.manifest.proof.agreement >= 0.95


def test_quantize_means_int8_and_the_newest_model_is_meant(workspace: Path) -> None:
    (workspace / "squeezenet-nano.int8.tflite").unlink()
    (artifact,) = edgesqz.export(quantize=True, calibration=20, workspace=workspace)
    assert artifact.path == workspace / "squeezenet-nano.int8.tflite"


def test_a_name_that_the_workspace_lacks_is_looked_up_in_the_zoo(tmp_path: Path) -> None:
    (artifact,) = edgesqz.export("squeezenet", "onnx", workspace=tmp_path)
    assert artifact.manifest and artifact.manifest.dataset == "cifar10"
    assert artifact.manifest.labels[:2] == ("airplane", "automobile")


def test_without_pictures_to_calibrate_on_the_zoos_own_export_is_handed_out(tmp_path: Path) -> None:
    shown = io.StringIO()
    artifacts = edgesqz.export(
        "squeezenet-nano", ["tflite", "onnx"], quantize=True, workspace=tmp_path, console=Console(file=shown)
    )
    for artifact in artifacts:
        assert artifact.path.parent == tmp_path
        assert artifact == Artifact(artifact.path, Artifact.open(ZOO / artifact.path.name).manifest)
        assert Artifact.open(artifact.path) == artifact
        assert f"{artifact.path.name}: no cifar10 at hand to calibrate on, so this is the file that ships" in " ".join(
            shown.getvalue().split("\n")
        )


@pytest.mark.parametrize(
    "other", [{"variant": "int16x8"}, {"quantize": True, "calibration": 20}, {"quantize": True, "dataset": "cifar100"}]
)
def test_what_the_zoo_does_not_hold_asks_for_pictures(other: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match="cannot download .*--data-dir"):
        edgesqz.export("squeezenet-nano", workspace=tmp_path, **other)
    assert not list(tmp_path.glob("*.tflite"))


def test_a_network_of_the_users_own_is_not_taken_for_the_zoos(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    (artifact,) = edgesqz.export("squeezenet-nano", quantize=True, calibration=20, workspace=tmp_path)
    assert artifact.manifest and artifact.manifest.labels == ("blue", "green", "red")


def test_a_model_without_a_manifest_can_be_exported_as_float(trained: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.keras"
    foreign.write_bytes((trained / "squeezenet-nano.keras").read_bytes())
    (artifact,) = edgesqz.export(foreign, "onnx", workspace=tmp_path)
    assert artifact.manifest and artifact.manifest.proof
    assert artifact.manifest.proof.pictures.dataset == "synthetic"
    with pytest.raises(EdgesqzError, match="--dataset"):
        edgesqz.export(foreign, quantize=True, workspace=tmp_path)


def test_int8_of_a_model_without_a_rescaling_takes_pixels_as_they_are(pictures: Path, tmp_path: Path) -> None:
    backend.start_keras()
    import keras

    keras.utils.set_random_seed(0)
    bare = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)])
    bare.save(tmp_path / "bare.keras")
    (artifact,) = edgesqz.export(tmp_path / "bare.keras", quantize=True, dataset=str(pictures), workspace=tmp_path)
    assert artifact.manifest
    assert (artifact.manifest.input.scale, artifact.manifest.input.zero_point) == (1, -128)
    assert (artifact.manifest.pixels.scale, artifact.manifest.pixels.offset) == (1, 0)


def test_calibration_never_sees_the_test_split(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(dataset: data.Dataset) -> data.Split:
        raise AssertionError("the test split was read")

    monkeypatch.setattr(data.Dataset, "test", refuse)
    edgesqz.export(trained / "squeezenet-nano.keras", "onnx", quantize=True, calibration=20, workspace=tmp_path)


def answer_with(change: Callable[[np.ndarray], np.ndarray]) -> Callable[..., np.ndarray]:
    """A stand-in for ``Engine.predict`` that spoils what the runtime really answers."""
    true_predict = Engine.predict

    def predict(engine: Any, pictures: np.ndarray) -> np.ndarray:
        return change(true_predict(engine, pictures).copy())

    return predict


@pytest.mark.parametrize(
    ("variant", "change", "message"),
    [
        ("fp32", lambda answers: np.full_like(answers, np.nan), "no numbers"),
        ("fp32", lambda answers: answers + 0.002, "off by 0.002"),
        ("int8", lambda answers: np.roll(answers, 1, axis=1), "top-1 is the original's on 0.0%"),
    ],
)
def test_a_file_that_does_something_else_is_not_kept(
    variant: str,
    change: Callable[[np.ndarray], np.ndarray],
    message: str,
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Engine, "predict", answer_with(change))
    with pytest.raises(EdgesqzError, match=f"was not kept.*{message}"):
        edgesqz.export(trained / "squeezenet-nano.keras", "onnx", variant=variant, calibration=20, workspace=tmp_path)
    assert not model_files(tmp_path)


def test_a_file_that_its_runtime_refuses_is_not_kept(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugins.converter("onnx"), "convert", lambda model, variant, calibration: b"no model")
    with pytest.raises(EdgesqzError, match=r"fp32\.onnx was not kept: its runtime cannot run it: .*INVALID_PROTOBUF"):
        edgesqz.export(trained / "squeezenet-nano.keras", "onnx", workspace=tmp_path)
    assert not model_files(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "squeezenet-mano"}, "unknown model 'squeezenet-mano'.*squeezenet-nano"),
        ({"format": "coreml"}, "unknown format 'coreml'; the known formats are onnx, tflite"),
        ({"variant": "int4"}, "unknown variant 'int4' for tflite; the known are fp32"),
        ({"format": "onnx", "variant": "int16x8"}, "unknown variant 'int16x8' for onnx"),
        ({"calibration": 0}, "--calibration must be above 0, got 0"),
        ({"quota": "some"}, "expected a size"),
    ],
)
def test_bad_input_is_told_before_any_work(arguments: dict[str, Any], message: str, workspace: Path) -> None:
    before = model_files(workspace)
    with pytest.raises(EdgesqzError, match=message):
        edgesqz.export(**arguments, workspace=workspace)
    assert model_files(workspace) == before


def test_an_untrained_export_says_so_and_has_no_accuracy(tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"untrained": True, "calibration": 4, "workspace": tmp_path}
    artifacts = edgesqz.export("squeezenet-nano", ["tflite", "onnx"], variant=["fp32", "int8"], **arguments)
    for artifact in artifacts:
        assert artifact.manifest and artifact.manifest.untrained
        assert (artifact.manifest.dataset, artifact.manifest.source_sha256) == (None, None)
    report = edgesqz.bench(rounds=1, workspace=tmp_path)
    assert report.dataset is None
    for row in report.rows:
        assert row.untrained and row.accuracy is None and row.error is None
        assert row.latency_us and row.latency_us.p50 > 0
    assert any("untrained" in line for line in report.lines())
    assert artifacts[0].path.read_bytes() == edgesqz.export("squeezenet-nano", **arguments)[0].path.read_bytes()


def test_trained_and_untrained_stand_side_by_side(workspace: Path) -> None:
    edgesqz.export("digits", "onnx", untrained=True, workspace=workspace)
    rows = {row.artifact: row for row in edgesqz.bench(rounds=1, workspace=workspace).rows}
    assert rows["digits.fp32.onnx"].accuracy is None and rows["digits.fp32.onnx"].error is None
    accuracy = rows["squeezenet-nano.fp32.onnx"].accuracy
    assert accuracy is not None and accuracy > 0.9


@pytest.mark.parametrize("content", [b"", b"no archive at all", b"PK\x03\x04 cut short"])
def test_a_keras_file_that_is_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "broken.keras").write_bytes(content)
    with pytest.raises(EdgesqzError, match=r"broken\.keras is no Keras model that can be loaded"):
        edgesqz.export(tmp_path / "broken.keras", workspace=tmp_path)


def test_a_model_of_other_inputs_is_refused(tmp_path: Path) -> None:
    backend.start_keras()
    import keras

    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save(tmp_path / "table.keras")
    with pytest.raises(EdgesqzError, match="square pictures, RGB or grey"):
        edgesqz.export(tmp_path / "table.keras", workspace=tmp_path)


def test_an_empty_workspace_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match=r"no \.keras file in .*; run edgesqz train"):
        edgesqz.export(workspace=tmp_path)


def test_what_does_not_fit_the_quota_is_not_kept(workspace: Path) -> None:
    before = model_files(workspace)
    used = sum(path.stat().st_size for path in workspace.iterdir())
    with pytest.raises(EdgesqzError, match="would not fit the quota"):
        edgesqz.export("squeezenet-nano", "onnx", variant="fp16", quota=used + 1000, workspace=workspace)
    assert model_files(workspace) == before


def test_converters_are_quiet(trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    edgesqz.export(trained / "squeezenet-nano.keras", "tflite", workspace=tmp_path)
    assert capfd.readouterr() == ("", "")


def test_progress_names_the_file(trained: Path, tmp_path: Path) -> None:
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=100)
    edgesqz.export(trained / "squeezenet-nano.keras", "onnx", workspace=tmp_path, console=console)
    assert "squeezenet-nano.fp32.onnx" in shown.getvalue()
