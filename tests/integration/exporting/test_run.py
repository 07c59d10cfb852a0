"""Exports: every variant predicts like the source model, is verified, and is written completely or not at all."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from ai_edge_litert.interpreter import Interpreter
from rich.console import Console
from typer.testing import CliRunner

import edgesqz
from edgesqz import backend, data, plugins
from edgesqz.artifact import ZOO, Artifact, sha256, stored_form
from edgesqz.cli import app
from edgesqz.engine import Engine
from edgesqz.errors import EdgesqzError
from edgesqz.exporting import Export, shipped
from edgesqz.workspace import Workspace
from tests import small

OTHER_VARIANTS = [
    ("tflite", "fp16"),
    ("tflite", "dynamic"),
    ("tflite", "int16x8"),
    ("onnx", "fp16"),
    ("onnx", "dynamic"),
]


def model_files(workspace: Path) -> set[str]:
    return {path.name for path in workspace.iterdir() if path.name != ".edgesqz"}


def test_exports_are_named_and_described(exported: Path, images: Path) -> None:
    source_model = Artifact.open(exported / "colors.keras").manifest
    assert source_model
    for file_name in ("fp32.tflite", "int8.tflite", "fp32.onnx", "int8.onnx"):
        artifact = Artifact.open(exported / f"colors.{file_name}")
        manifest = artifact.manifest
        assert manifest and manifest.verification
        assert f"{manifest.variant}.{manifest.format}" == file_name
        assert manifest.size_bytes == artifact.size_bytes
        assert manifest.source_sha256 == source_model.sha256
        assert manifest.labels == source_model.labels == ("blue", "green", "red")
        assert manifest.dataset == str(images)
        assert (manifest.verification.agreement or 0) >= 0.95
        assert (manifest.calibration is not None) == (manifest.variant == "int8")
        if manifest.calibration:
            assert (manifest.calibration.split, manifest.calibration.count) == ("train", 50)


def test_the_int8_input_is_the_pixel_byte(exported: Path) -> None:
    manifest = Artifact.open(exported / "colors.int8.tflite").manifest
    assert manifest
    assert (manifest.input.dtype, manifest.input.scale, manifest.input.zero_point) == ("int8", 1 / 64, 0)
    assert (manifest.pixels.scale, manifest.pixels.offset) == (1 / 64, -2)
    interpreter = Interpreter(model_path=str(exported / "colors.int8.tflite"))
    operators = [detail["op_name"] for detail in interpreter._get_ops_details()]
    assert operators[0] == "CONV_2D"


def test_int8_onnx_has_float_pixels_and_integer_convolutions(exported: Path) -> None:
    graph = onnx.load(exported / "colors.int8.onnx").graph
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    kinds = {initializer.name: initializer.data_type for initializer in graph.initializer}
    weights_of = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    kernels = [kinds[weights_of[node.input[1]]] for node in graph.node if node.op_type == "Conv"]
    assert kernels and set(kernels) == {onnx.TensorProto.INT8}


def test_int8_onnx_weights_saturate_on_no_processor(exported: Path) -> None:
    for path in (exported / "colors.int8.onnx", *ZOO.glob("*.int8.onnx")):
        tensors = onnx.load(path).graph.initializer
        weights = [onnx.numpy_helper.to_array(tensor) for tensor in tensors if len(tensor.dims) > 1]
        integers = [values.astype(int) for values in weights if values.dtype == np.int8]
        assert integers
        assert 2 * 255 * max(np.abs(values).max() for values in integers) < 2**15


@pytest.mark.usefixtures("convert_once")
@pytest.mark.parametrize(("format", "variant"), OTHER_VARIANTS)
def test_the_other_variants(format: str, variant: str, trained: Path, tmp_path: Path) -> None:
    (artifact,) = edgesqz.export(
        trained / "colors.keras",
        format,
        variant=variant,
        calibration=20 if variant == "int16x8" else None,
        workspace=tmp_path,
    )
    source_model = (trained / "colors.keras").stat().st_size
    assert artifact.path == tmp_path / f"colors.{variant}.{format}"
    assert artifact.size_bytes < source_model / 2
    assert artifact.manifest and artifact.manifest.verification
    assert (artifact.manifest.verification.agreement or 0) >= 0.95


@pytest.mark.usefixtures("convert_once")
def test_quantize_means_int8_and_the_newest_model_is_the_default(workspace: Path) -> None:
    (workspace / "colors.int8.tflite").unlink()
    (artifact,) = edgesqz.export(quantize=True, calibration=20, workspace=workspace)
    assert artifact.path == workspace / "colors.int8.tflite"


def test_a_name_missing_from_the_workspace_is_looked_up_in_the_zoo(tmp_path: Path) -> None:
    (artifact,) = edgesqz.export("squeezenet-nano", "onnx", workspace=tmp_path)
    assert artifact.manifest and artifact.manifest.dataset == "cifar10"
    assert artifact.manifest.labels[:2] == ("airplane", "automobile")


def test_without_calibration_images_the_export_in_the_zoo_is_used(tmp_path: Path) -> None:
    shown = io.StringIO()
    artifacts = Export("squeezenet-nano", ["tflite", "onnx"], quantize=True, workspace=tmp_path).run(
        Console(file=shown)
    )
    for artifact in artifacts:
        assert artifact.path.parent == tmp_path
        assert artifact.path.read_bytes() == (ZOO / artifact.path.name).read_bytes()
        here, there = artifact.manifest, Artifact.open(ZOO / artifact.path.name).manifest
        assert here and there and here.verification and there.verification
        assert (here.verification.images.dataset, there.verification.images.dataset) == ("synthetic", "cifar10")
        assert here.model_copy(update={"verification": there.verification}) == there
        output = " ".join(shown.getvalue().split())
        assert (
            f"{artifact.path.name}: cifar10 is not available for calibration, so this is the file that ships" in output
        )
        assert (
            f"when it was exported, it agreed with the source model on {there.verification.agreement:.1%} of 500"
            in output
        )


def test_a_zoo_file_that_fails_verification_on_this_machine_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, zoo = "squeezenet-nano.int8.onnx", tmp_path / "zoo"
    zoo.mkdir()
    model, manifest = onnx.load(ZOO / name), Artifact.open(ZOO / name).manifest
    assert manifest
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.INT8 and tensor.raw_data:
            tensor.raw_data = bytes(len(tensor.raw_data))
    content = model.SerializeToString()
    for path, stored in stored_form(content, manifest.model_copy(update={"sha256": sha256(content)}), name).items():
        (zoo / path).write_bytes(stored)
    monkeypatch.setattr(shipped, "ZOO", zoo)
    with pytest.raises(
        EdgesqzError, match=r"int8\.onnx was not kept: it agrees .* on .* of \d+ synthetic images, drawn by code"
    ):
        edgesqz.export("squeezenet-nano", "onnx", quantize=True, workspace=tmp_path / "workspace")
    assert not list((tmp_path / "workspace").glob("*.onnx"))


@pytest.mark.parametrize(
    "other", [{"variant": "int16x8"}, {"quantize": True, "calibration": 20}, {"quantize": True, "dataset": "cifar100"}]
)
def test_files_missing_from_the_zoo_need_calibration_images(other: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match="cannot download .*data_dir"):
        edgesqz.export("squeezenet-nano", workspace=tmp_path, **other)
    assert not list(tmp_path.glob("*.tflite"))


@pytest.mark.usefixtures("convert_once")
def test_a_users_network_is_not_mistaken_for_one_in_the_zoo(trained: Path, tmp_path: Path) -> None:
    for suffix in (".keras", ".keras.json"):
        shutil.copy(trained / f"colors{suffix}", tmp_path / f"squeezenet-nano{suffix}")
    (artifact,) = edgesqz.export("squeezenet-nano", quantize=True, calibration=20, workspace=tmp_path)
    assert artifact.manifest and artifact.manifest.labels == ("blue", "green", "red")


@pytest.mark.usefixtures("convert_once")
def test_a_model_without_a_manifest_can_be_exported_as_float(trained: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.keras"
    foreign.write_bytes((trained / "colors.keras").read_bytes())
    (artifact,) = edgesqz.export(foreign, "onnx", workspace=tmp_path)
    assert artifact.manifest and artifact.manifest.verification
    assert artifact.manifest.verification.images.dataset == "synthetic"
    with pytest.raises(EdgesqzError, match="specify dataset$"):
        edgesqz.export(foreign, quantize=True, workspace=tmp_path)


def test_int8_of_a_model_without_rescaling_takes_raw_pixels(images: Path, tmp_path: Path) -> None:
    backend.start_keras()
    import keras

    keras.utils.set_random_seed(0)
    bare = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)])
    bare.save(tmp_path / "bare.keras")
    options: dict[str, Any] = {"dataset": str(images), "pixel_range": "0..255", "workspace": tmp_path}
    (artifact,) = edgesqz.export(tmp_path / "bare.keras", quantize=True, **options)
    assert artifact.manifest
    assert (artifact.manifest.input.scale, artifact.manifest.input.zero_point) == (1, -128)
    assert (artifact.manifest.pixels.scale, artifact.manifest.pixels.offset) == (1, 0)


@pytest.mark.usefixtures("convert_once")
def test_calibration_never_sees_the_test_split(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(dataset: data.Dataset) -> data.Split:
        raise AssertionError("the test split was read")

    monkeypatch.setattr(data.Dataset, "test", refuse)
    edgesqz.export(trained / "colors.keras", "onnx", quantize=True, calibration=20, workspace=tmp_path)


def answer_with(change: Callable[[np.ndarray], np.ndarray]) -> Callable[..., np.ndarray]:
    """Return a replacement for ``Engine.predict`` that changes the runtime's real outputs."""
    true_predict = Engine.predict

    def predict(engine: Any, images: np.ndarray) -> np.ndarray:
        return change(true_predict(engine, images).copy())

    return predict


@pytest.mark.usefixtures("convert_once")
@pytest.mark.parametrize(
    ("variant", "change", "message"),
    [
        ("fp32", lambda outputs: np.full_like(outputs, np.nan), "include NaN or infinity"),
        ("fp32", lambda outputs: outputs + 0.002, "off by 0.002"),
        ("int8", lambda outputs: np.roll(outputs, 1, axis=1), "agrees with the source model on 0.0%"),
    ],
)
def test_a_file_with_different_predictions_is_not_kept(
    variant: str,
    change: Callable[[np.ndarray], np.ndarray],
    message: str,
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Engine, "predict", answer_with(change))
    with pytest.raises(EdgesqzError, match=f"was not kept.*{message}"):
        edgesqz.export(trained / "colors.keras", "onnx", variant=variant, workspace=tmp_path)
    assert not model_files(tmp_path)


def test_a_file_that_its_runtime_rejects_is_not_kept_and_the_others_are(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert = plugins.converter("onnx").convert
    monkeypatch.setattr(
        plugins.converter("onnx"),
        "convert",
        lambda model, variant, calibration: b"no model" if variant == "fp32" else convert(model, variant, calibration),
    )
    with pytest.raises(EdgesqzError, match=r"fp32\.onnx was not kept: its runtime cannot run it: .*INVALID_PROTOBUF"):
        edgesqz.export(trained / "colors.keras", "onnx", workspace=tmp_path)
    assert not model_files(tmp_path)
    options = ["--format", "onnx", "--variant", "fp32", "--variant", "fp16", "--workspace", str(tmp_path)]
    shown = CliRunner().invoke(app, ["export", str(trained / "colors.keras"), *options])
    assert shown.exit_code == 1
    assert shown.stdout.startswith(f"{tmp_path / 'colors.fp16.onnx'}: ")
    assert "failed: colors.fp32.onnx: its runtime cannot run it: " in shown.stderr
    assert model_files(tmp_path) == {"colors.fp16.onnx", "colors.fp16.onnx.json"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"model": "alexnet"},
            "^alexnet has no trained weights in .*; train it with edgesqz train --model alexnet, or",
        ),
        ({"model": "squeezenet-mano"}, "no Keras model 'squeezenet-mano'; did you mean squeezenet-nano"),
        ({"format": "coreml"}, "unknown format 'coreml'; choose from onnx, tflite"),
        ({"variant": "int2"}, "unknown variant 'int2' for tflite; choose from int8"),
        ({"format": "onnx", "variant": "int16x8"}, "unknown variant 'int16x8' for onnx"),
        ({"calibration": 0}, "^calibration must be at least 1, got 0"),
        ({"calibration": 20}, "^calibration applies only to calibrated variants such as int8, got fp32; add quantize"),
        ({"quota": "some"}, "expected a size"),
    ],
)
def test_bad_input_is_reported_before_any_work(arguments: dict[str, Any], message: str, workspace: Path) -> None:
    before = model_files(workspace)
    with pytest.raises(EdgesqzError, match=message):
        edgesqz.export(**arguments, workspace=workspace)
    assert model_files(workspace) == before


@pytest.mark.usefixtures("tensorflow_in_process")
def test_an_untrained_export_is_marked_and_has_no_accuracy(tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"untrained": True, "workspace": tmp_path}
    artifacts = edgesqz.export(small.NETWORK, ["tflite", "onnx"], variant=["fp32", "int8"], calibration=4, **arguments)
    for artifact in artifacts:
        assert artifact.manifest and artifact.manifest.untrained
        assert (artifact.manifest.dataset, artifact.manifest.source_sha256) == (None, None)
    report = edgesqz.bench(rounds=1, workspace=tmp_path)
    assert report.dataset is None
    assert not report.failed
    for row in report.measured:
        assert row.untrained and row.accuracy is None
        assert row.p50_us and row.p50_us > 0
    assert "untrained" in report.to_markdown()
    (again,) = edgesqz.export(small.NETWORK, **arguments)
    assert artifacts.artifacts[0].path.read_bytes() == again.path.read_bytes()


def test_trained_and_untrained_exports_coexist(workspace: Path) -> None:
    edgesqz.export(small.NETWORK, "onnx", untrained=True, workspace=workspace)
    (workspace / "colors.keras").unlink()  # which is not what this test is about, and starts slowly
    names = [f"{small.NETWORK}.fp32.onnx", "colors.fp32.onnx"]
    rows = {row.artifact: row for row in edgesqz.bench(names, rounds=1, workspace=workspace).measured}
    assert rows[f"{small.NETWORK}.fp32.onnx"].accuracy is None
    accuracy = rows["colors.fp32.onnx"].accuracy
    assert accuracy is not None and accuracy > 0.9


@pytest.mark.parametrize("content", [b"", b"no archive at all", b"PK\x03\x04 cut short"])
def test_an_invalid_keras_file(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "broken.keras").write_bytes(content)
    with pytest.raises(EdgesqzError, match=r"broken\.keras cannot be loaded as a Keras model"):
        edgesqz.export(tmp_path / "broken.keras", workspace=tmp_path)


@pytest.mark.usefixtures("tensorflow_in_process")
def test_a_model_with_other_inputs_is_verified_by_its_outputs(tmp_path: Path) -> None:
    backend.start_keras()
    import keras

    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save(tmp_path / "table.keras")
    (artifact,) = edgesqz.export(tmp_path / "table.keras", workspace=tmp_path)
    assert artifact.manifest and artifact.manifest.verification
    assert artifact.manifest.verification.images.describe() == "100 random samples"


def test_a_model_for_non_square_images_is_accepted(wide_images: Path, tmp_path: Path) -> None:
    backend.start_keras()
    import keras

    colors = [keras.layers.AveragePooling2D(2), keras.layers.GlobalAveragePooling2D(), keras.layers.Softmax()]
    keras.Sequential([keras.Input((24, 36, 3)), *colors]).save(tmp_path / "colors.keras")
    # Its classes are not in the order of the folder's, so the check on accuracy would suggest another pixel range.
    options: dict[str, Any] = {"dataset": str(wide_images), "pixel_range": "0..255", "workspace": tmp_path}
    for artifact in edgesqz.export(tmp_path / "colors.keras", ["tflite", "onnx"], variant="int8", **options):
        assert artifact.manifest and artifact.manifest.input.shape[1:] == (24, 36, 3)


def test_an_empty_workspace_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match=r"no \.keras file in .*; run edgesqz train"):
        edgesqz.export(workspace=tmp_path)


@pytest.mark.usefixtures("convert_once")
def test_a_file_that_exceeds_the_quota_is_not_kept(workspace: Path) -> None:
    before = model_files(workspace)
    used = sum(path.stat().st_size for path in workspace.iterdir())
    with pytest.raises(EdgesqzError, match="would not fit the quota"):
        edgesqz.export("colors", "onnx", variant="fp16", quota=used + 1000, workspace=workspace)
    assert model_files(workspace) == before


def test_converters_are_quiet(trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    edgesqz.export(trained / "colors.keras", "tflite", workspace=tmp_path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("convert_once")
def test_progress_names_the_file(trained: Path, tmp_path: Path) -> None:
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=100)
    Export(trained / "colors.keras", "onnx", workspace=tmp_path).run(console)
    assert "colors.fp32.onnx" in shown.getvalue()


# Quotas


def drop_exports(workspace: Path) -> None:
    for kind in ("tflite", "onnx"):
        for path in workspace.glob(f"*.{kind}*"):
            path.unlink()


@pytest.mark.usefixtures("convert_once")
def test_all_variants_that_fit_are_exported_most_valuable_first(workspace: Path) -> None:
    drop_exports(workspace)
    used = Workspace(workspace).used_bytes()
    options: dict[str, Any] = {"calibration": 20, "quota": used + 280_000, "workspace": workspace}
    artifacts = edgesqz.export("colors", all_variants=True, **options)
    names = [artifact.path.name.removeprefix("colors.") for artifact in artifacts]
    assert names == ["int8.tflite", "int8.onnx", "int4.tflite", "fp16.onnx", "fp16.tflite", "dynamic.tflite"]
    skipped = [file.file_name for file in artifacts.skipped]
    assert skipped == [f"colors.{kind}" for kind in ("dynamic.onnx", "fp32.onnx", "fp32.tflite", "int16x8.tflite")]
    assert Workspace(workspace).used_bytes() <= used + 280_000


@pytest.mark.usefixtures("convert_once")
def test_with_all_variants_those_that_cannot_be_exported_are_skipped(tmp_path: Path) -> None:
    calibration = 20  # not what the zoo's own int8 export was made with
    options: dict[str, Any] = {"calibration": calibration, "workspace": tmp_path}
    artifacts = edgesqz.export("squeezenet-nano", "tflite", all_variants=True, **options)
    assert [artifact.manifest.variant for artifact in artifacts if artifact.manifest] == ["fp16", "dynamic", "fp32"]
    assert len(artifacts.skipped) == 3
    assert all("cannot download" in file.reason for file in artifacts.skipped)


def test_if_nothing_fits_the_reason_is_reported_once(trained: Path, tmp_path: Path) -> None:
    names = ", ".join(f"colors.{variant}.tflite" for variant in ("int8", "int4", "fp16", "dynamic", "fp32", "int16x8"))
    message = f"none of the 6 files could be exported: {names}: not enough space, 10.0 kB"
    with pytest.raises(EdgesqzError, match=message):
        edgesqz.export(trained / "colors.keras", "tflite", all_variants=True, quota="10kB", workspace=tmp_path)
    assert Workspace(tmp_path).used_bytes() == 0


def test_a_file_that_cannot_fit_is_rejected_before_weights_are_created(tmp_path: Path) -> None:
    program = (
        "import sys; from edgesqz.cli import main\n"
        "try: main()\n"
        "finally: assert not {'tensorflow', 'keras'} & set(sys.modules), 'a network was made'"
    )
    command = ["export", "alexnet", "--untrained", "--format", "tflite", "--quota", "100MB"]
    done = subprocess.run(
        [sys.executable, "-c", program, *command], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 1
    assert "alexnet.fp32.tflite: about 249.5 MB (62,378,344 parameters) more" in done.stderr
    assert "the quota of 100.0 MB" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("*.*"))


@pytest.mark.usefixtures("convert_once")
def test_a_dry_run_predicts_the_sizes_of_the_export(workspace: Path) -> None:
    drop_exports(workspace)
    before = {path.name for path in workspace.iterdir()}
    used = Workspace(workspace).used_bytes()
    options: dict[str, Any] = {"variant": ["fp32", "fp16", "int8"], "calibration": 20, "workspace": workspace}
    plan = edgesqz.export("colors", quota=used + 145_000, dry_run=True, **options)
    assert {path.name for path in workspace.iterdir()} == before
    assert not plan.artifacts
    fp32, fp16, int8 = plan.planned
    assert (fp32.fits, fp16.fits, int8.fits) == (True, False, True)
    assert fp16.exact_bytes is None  # its parameters alone exceed the quota
    for file in (fp32, int8):
        variant = file.file_name.split(".")[1]
        calibration = 20 if variant == "int8" else None
        edgesqz.export("colors", **options | {"variant": variant, "calibration": calibration})
        written = sum(path.stat().st_size for path in workspace.glob(f"{file.file_name}*"))
        # The scales of int8 files and the digits of the verification results vary.
        assert file.exact_bytes == pytest.approx(written, rel=0.01)
        assert file.expected_bytes == pytest.approx(file.exact_bytes, rel=0.1)  # the exact size includes the manifest


def test_a_dry_run_is_shown_as_a_table_and_as_json(tmp_path: Path) -> None:
    options = ["export", "alexnet", "--untrained", "--variant", "fp16", "--dry-run", "--quota", "100MB"]
    shown = CliRunner().invoke(app, [*options, "--workspace", str(tmp_path)])
    assert shown.exit_code == 1  # as for the export itself, because the file does not fit
    (line,) = [line for line in shown.stdout.splitlines() if "alexnet.fp16.tflite" in line]
    assert line.split() == ["alexnet.fp16.tflite", "about", "124.8", "MB", "no"]
    assert "quota 100.0 MB (0 bytes used); nothing was written" in shown.stdout
    found = json.loads(CliRunner().invoke(app, [*options, "--json", "--workspace", str(tmp_path)]).stdout)
    assert found["files"][0]["expected_bytes"] == pytest.approx(2 * 62_378_344, rel=1e-3)


def test_all_variants_and_a_single_variant_cannot_be_used_together(tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match="^all_variants exports every variant; remove int8"):
        edgesqz.export("squeezenet-nano", all_variants=True, quantize=True, workspace=tmp_path)


@pytest.mark.usefixtures("convert_once")
@pytest.mark.parametrize(("options", "names"), [(["--quantize", "--dry-run"], 1), (["--all", "--format", "tflite"], 3)])
def test_reasons_name_flags_on_the_command_line(options: list[str], names: int, tmp_path: Path) -> None:
    arguments = ["export", "squeezenet-nano", *options, "--calibration", "20", "--workspace", str(tmp_path)]
    shown = CliRunner().invoke(app, arguments)
    assert f"{shown.stdout} {shown.stderr}".count("--data-dir") == names
    planned = edgesqz.export("squeezenet-nano", quantize=True, calibration=20, dry_run=True, workspace=tmp_path).planned
    assert planned[0].error == "cifar10 is not available for calibration; specify data_dir"
