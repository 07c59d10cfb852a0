"""The bench: correct measurements, one row per file, and failures that affect only their own rows."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import psutil
import pytest
from onnx import TensorProto, helper

import edgesqz
from edgesqz import plugins
from edgesqz.artifact import ZOO, PixelRange
from edgesqz.benchmarking.candidate import Candidate, with_source_models
from edgesqz.benchmarking.report import Report
from edgesqz.benchmarking.rows import Comparison, Measured, Ratio
from edgesqz.engine import Engine
from edgesqz.models.costs import network_costs
from edgesqz.workspace import manifest_path
from tests import small
from tests.engine_environments import environment_or_skip
from tests.rows import errors_by_name, errors_of, ratio_of

ROUNDS = 3


def by_name(report: Report) -> dict[str, Measured]:
    return {row.artifact: row for row in report.measured}


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders for the user's files and for temporary ones during ``report``."""
    return tmp_path_factory.mktemp("homes")


@pytest.fixture(scope="module")
def report(exported: Path, homes: Path) -> Report:
    """A run over everything in the workspace."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HOME", "TMPDIR"):
            (homes / name).mkdir()
            patch.setenv(name, str(homes / name))
        for name in ("KERAS_HOME", "XDG_CACHE_HOME"):
            patch.delenv(name, raising=False)
        return edgesqz.bench(rounds=ROUNDS, max_size="80kB", workspace=exported)


def test_rows_are_the_source_model_and_every_export(report: Report) -> None:
    assert [(row.artifact, row.runtime) for row in report.rows] == [
        ("colors.keras", "keras"),
        ("colors.fp32.onnx", "onnxruntime"),
        ("colors.int8.onnx", "onnxruntime"),
        ("colors.fp32.tflite", "litert"),
        ("colors.int8.tflite", "litert"),
    ]
    assert report.dataset
    assert (report.dataset.split, report.dataset.images) == ("test", 30)


def test_measurements_are_plausible(report: Report) -> None:
    assert not report.failed
    for row in report.measured:
        assert row.runtime and row.runtime_version == plugins.engine_version(plugins.runtimes()[row.runtime])
        assert row.layer_sqnr_db is None  # which is computed on request only
        assert row.accuracy is not None and row.accuracy > 0.9
        assert row.comparison is not None and row.comparison.agreement >= 0.95
        performance = row.performance
        assert performance is not None
        latency = performance.latency_us
        assert latency.p90 and latency.p99 and 1 < latency.p50 <= latency.p90 <= latency.p99 and latency.n >= ROUNDS
        assert performance.load_ms > 0 and performance.first_us > 0
        assert performance.peak_rss_bytes is not None and 10e6 < performance.peak_rss_bytes < 5e9
        assert performance.memory_bytes is not None and 1e6 < performance.memory_bytes < performance.peak_rss_bytes
        assert 0 < performance.overhead_us < 1000
        assert row.gzipped_bytes is not None and 1000 < row.gzipped_bytes < row.size_bytes


def test_the_source_model_agrees_with_itself(report: Report) -> None:
    assert report.measured[0].comparison == Comparison(agreement=1, accuracy_drop_pp=0, gained=0, lost=0, mcnemar_p=1)


def test_latencies_are_compared_with_the_source_models(report: Report) -> None:
    for row in report.measured:
        assert ratio_of(row).to == "colors.keras"
    assert ratio_of(report.measured[0]) == Ratio("colors.keras", 1.0, None)  # three rounds give no interval


@pytest.mark.parametrize("runtime", ["tflite-runtime", "onnxruntime==1.23.2"])
def test_another_version_of_an_engine_gets_a_separate_row(runtime: str, alone: Callable[[str], Path]) -> None:
    environment_or_skip(runtime)
    name, _, version = runtime.partition("==")
    here = {"tflite-runtime": "litert", "onnxruntime": "onnxruntime"}[name]
    suffix = plugins.runtimes()[here].SUFFIXES[0]
    report = edgesqz.bench(alone(f"colors.int8{suffix}"), rounds=1, runtimes=[here, runtime])
    ours, other = report.measured
    assert [row.runtime for row in report.rows] == [here, name]
    assert other.runtime_version == (version or "2.14.0") != ours.runtime_version
    assert ours.accuracy is not None and other.accuracy == pytest.approx(ours.accuracy, abs=0.05)


def test_a_microcontroller_engine_reports_its_arena_and_no_latency(alone: Callable[[str], Path]) -> None:
    environment_or_skip("tflite-micro")
    report = edgesqz.bench(alone("colors.int8.tflite"), rounds=1, runtimes=["litert", "tflite-micro"])
    litert, micro = report.measured
    assert (micro.accuracy, litert.arena_bytes) == (litert.accuracy, None)
    assert micro.performance is None
    peak = network_costs(small.NETWORK, classes=3).peak_activation_bytes
    assert micro.arena_bytes is not None and peak < micro.arena_bytes < 2 * peak


def test_a_file_that_a_microcontroller_engine_cannot_run_is_reported(exported: Path, tmp_path: Path) -> None:
    environment_or_skip("tflite-micro")
    options: dict[str, Any] = {"variant": "dynamic", "workspace": tmp_path}
    (artifact,) = edgesqz.export(exported / "colors.keras", **options)
    report = edgesqz.bench([artifact.path], rounds=1, runtimes=["tflite-micro"])
    assert "Hybrid models are not supported" in (errors_of(report)[-1] or "")


def test_a_nonexistent_version_affects_only_its_row(alone: Callable[[str], Path]) -> None:
    runtimes = ["onnxruntime", "onnxruntime==0.0.1"]
    fine, failed = errors_of(edgesqz.bench(alone("colors.fp32.onnx"), rounds=1, limit=6, runtimes=runtimes))
    assert fine is None
    assert "cannot create an environment with onnxruntime==0.0.1" in (failed or "")


def test_engines_do_not_share_a_process(report: Report) -> None:
    rows = by_name(report)
    performances = [rows[f"colors.{kind}"].performance for kind in ("keras", "int8.tflite")]
    keras, litert = (each.peak_rss_bytes if each else None for each in performances)
    assert keras is not None and litert is not None
    assert litert < keras / 3


def test_the_size_limit_applies_to_each_file(report: Report) -> None:
    assert {entry.label for entry in report.entries if entry.within_budget} == {
        "colors.int8.onnx",
        "colors.int8.tflite",
    }


def test_the_json_has_the_documented_structure(report: Report) -> None:
    found = json.loads(report.to_json())
    assert (found["schema"], found["budget"]["size_bytes"]) == (3, 80_000)
    derived = {"label", "within_budget", "violations"}
    assert set(found["rows"][0]) == {field.name for field in dataclasses.fields(Measured)} | derived
    performance = found["rows"][0]["performance"]
    assert set(performance["latency_us"]) == {
        "p50",
        "p90",
        "p99",
        "n",
        "every_5th",
        "p50_interval",
        "rounds_p50",
        "batch",
    }
    assert set(performance["latency_ratio"]) == {"to", "median", "interval", "is_noise"}
    assert Report.from_json(report.to_json()).rows == report.rows


@pytest.mark.usefixtures("tensorflow_in_process")
def test_a_zoo_file_is_measured_even_if_its_images_are_unavailable(tmp_path: Path) -> None:
    report = edgesqz.bench(["squeezenet-nano.int8.tflite"], rounds=1, workspace=tmp_path)
    assert report.dataset is None and report.title().startswith("no accuracy: cannot download ")
    assert not report.failed
    for row in report.measured:
        assert row.accuracy is None
        assert row.performance is not None and row.performance.memory_bytes is not None


def mean_color_model(layout: str, batch: int | None, height: int = 32) -> bytes:
    """Return an .onnx file from another tool: the mean of each channel, in the class order blue, green, red."""
    shape: list[Any] = [batch, 3, height, 32] if layout == "NCHW" else [batch, height, 32, 3]
    axes = [2, 3] if layout == "NCHW" else [1, 2]
    nodes = [
        helper.make_node("ReduceMean", ["pixels"], ["means"], axes=axes, keepdims=0),
        helper.make_node("Gather", ["means", "order"], ["scores"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "mean color",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [batch, 3])],
        [helper.make_tensor("order", TensorProto.INT64, [3], [2, 1, 0])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("batch", [1, 4, None])
def test_models_from_other_tools_in_either_layout(layout: str, batch: int | None, images: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.onnx").write_bytes(mean_color_model(layout, batch, height=24))
    report = edgesqz.bench([tmp_path / "elsewhere.onnx"], dataset=str(images), rounds=1)
    assert report.measured[0].accuracy == 1


def test_the_pixel_range_is_applied_to_a_model_from_another_tool(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.onnx").write_bytes(mean_color_model("NHWC", None))
    pixels = PixelRange.parse("-1..1")
    with Engine((tmp_path / "elsewhere.onnx").read_bytes(), "onnxruntime", pixels=pixels) as engine:
        outputs = engine.predict(np.stack([np.zeros((32, 32, 3), np.uint8), np.full((32, 32, 3), 255, np.uint8)]))
    np.testing.assert_allclose(outputs, [[-1] * 3, [1] * 3], atol=1e-6)


DAMAGE: dict[str, Callable[[Path], bytes]] = {
    "cut.tflite": lambda exported: (exported / "colors.int8.tflite").read_bytes()[:30_000],
    "cut.onnx": lambda exported: (exported / "colors.int8.onnx").read_bytes()[:30_000],
    "cut.keras": lambda exported: (exported / "colors.keras").read_bytes()[:30_000],
    "random.tflite": lambda exported: np.random.default_rng(0).bytes(5000),
    "random.onnx": lambda exported: np.random.default_rng(0).bytes(5000),
    "random.keras": lambda exported: np.random.default_rng(0).bytes(5000),
    "empty.tflite": lambda exported: b"",
}


def test_damaged_files_affect_only_their_rows(exported: Path, images: Path, tmp_path: Path) -> None:
    for name, content in DAMAGE.items():
        (tmp_path / name).write_bytes(content(exported))
    (tmp_path / "whole.onnx").write_bytes(mean_color_model("NHWC", 1))
    names = [tmp_path / name for name in (*DAMAGE, "whole.onnx")]
    errors = errors_by_name(edgesqz.bench(names, dataset=str(images), rounds=1))
    for name in DAMAGE:
        error = errors[name]
        assert error is not None and "\n" not in error
    assert errors["whole.onnx"] is None


def test_engines_leave_no_files_behind(report: Report, homes: Path) -> None:
    assert not report.failures()
    assert {path.name for path in homes.rglob("*")} == {"HOME", "TMPDIR"}


def test_an_integer_input_with_too_small_a_range_fails_with_advice(
    exported: Path, images: Path, tmp_path: Path
) -> None:
    (tmp_path / "bare.tflite").write_bytes((exported / "colors.int8.tflite").read_bytes())
    (row,) = edgesqz.bench([tmp_path / "bare.tflite"], dataset=str(images), rounds=1).failed
    assert row.error == (
        "its input holds values from -2 to 1.984, but pixels would become 0 to 255; try pixel_range -2..1.984 "
        "if all channels of its images are scaled alike"
    )
    assert psutil.Process().children() == []
    (measured,) = edgesqz.bench(
        [tmp_path / "bare.tflite"], dataset=str(images), rounds=1, pixel_range="-2..1.984"
    ).measured
    assert measured.accuracy is not None and measured.accuracy > 0.9


def test_calibrating_on_other_images_does_not_change_what_it_was_trained_on(
    workspace: Path, images: Path, tmp_path: Path
) -> None:
    others = str(shutil.copytree(images, tmp_path / "others"))
    options: dict[str, Any] = {"quantize": True, "calibration": 20, "workspace": workspace}
    (artifact,) = edgesqz.export("colors", dataset=others, **options)
    assert artifact.manifest and artifact.manifest.calibration
    assert (artifact.manifest.calibration.dataset, artifact.manifest.dataset) == (others, str(images))
    (workspace / "colors.keras").unlink()  # which is not what this test is about, and starts slowly
    assert not edgesqz.bench(artifact.path, rounds=1, limit=6).failed


def test_the_source_model_of_a_zoo_export_comes_from_the_zoo(tmp_path: Path) -> None:
    name = "squeezenet-nano.int8.onnx"
    for each in (ZOO / name, manifest_path(ZOO / name)):
        shutil.copy(each, tmp_path)
    candidates = with_source_models([Candidate(tmp_path / name)])
    assert [candidate.path for candidate in candidates] == [ZOO / "squeezenet-nano.keras", tmp_path / name]


def test_models_of_different_sizes_are_measured_on_one_folder(
    images: Path, alone: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "elsewhere.onnx").write_bytes(mean_color_model("NHWC", None, height=48))
    files = [tmp_path / "elsewhere.onnx", alone("colors.int8.tflite")]
    rows = edgesqz.bench(files, dataset=str(images), rounds=1).measured
    assert rows[0].accuracy == 1 and rows[1].accuracy is not None and rows[1].accuracy > 0.9
