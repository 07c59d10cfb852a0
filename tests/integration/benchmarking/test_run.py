"""The bench: true figures, one row a file, and rows that fail alone."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import psutil
import pytest
from onnx import TensorProto, helper
from rich.console import Console
from typer.testing import CliRunner

import edgesqz
from edgesqz import data, plugins
from edgesqz.artifact import PixelRange, sha256
from edgesqz.benchmarking import Bench, evaluation, flips
from edgesqz.benchmarking.candidate import Candidate, distinct_names, with_source_models
from edgesqz.benchmarking.evaluation import EvaluationSet
from edgesqz.benchmarking.flips import Flip, contact_sheet
from edgesqz.benchmarking.report import Ratio, Report, Row
from edgesqz.cli import app
from edgesqz.engine import Engine, environments
from edgesqz.errors import EdgesqzError
from edgesqz.image_size import ImageSize
from edgesqz.models import SqueezeNetModel
from edgesqz.models.costs import params

ROUNDS = 3
SIDE = 32


def by_name(report: Report) -> dict[str, Row]:
    return {row.artifact: row for row in report.rows}


@pytest.fixture(scope="module")
def report(exported: Path) -> Report:
    """A run over everything in the workspace."""
    return edgesqz.bench(rounds=ROUNDS, max_size="150kB", workspace=exported)


def test_rows_are_the_source_model_and_every_export(report: Report) -> None:
    assert [(row.artifact, row.runtime) for row in report.rows] == [
        ("squeezenet-nano.keras", "keras"),
        ("squeezenet-nano.fp32.onnx", "onnxruntime"),
        ("squeezenet-nano.int8.onnx", "onnxruntime"),
        ("squeezenet-nano.fp32.tflite", "litert"),
        ("squeezenet-nano.int8.tflite", "litert"),
    ]
    assert report.dataset
    assert (report.dataset["split"], report.dataset["images"]) == ("test", 30)


def test_figures_are_plausible(report: Report) -> None:
    for row in report.rows:
        assert row.error is None
        assert row.accuracy is not None and row.accuracy > 0.9
        assert row.agreement is not None and row.agreement >= 0.95
        assert row.latency_us is not None and 1 < row.latency_us.p50 <= row.latency_us.p90 <= row.latency_us.p99
        assert row.latency_us.n >= ROUNDS
        assert row.load_ms is not None and row.first_us is not None and row.first_us > 0
        assert row.peak_rss_bytes is not None and 10e6 < row.peak_rss_bytes < 5e9
        assert row.memory_bytes is not None and 1e6 < row.memory_bytes < row.peak_rss_bytes
        assert row.overhead_us is not None and 0 < row.overhead_us < 1000
        assert row.gzipped_bytes is not None and 1000 < row.gzipped_bytes < row.size_bytes


def test_the_source_model_agrees_with_itself(report: Report) -> None:
    source_model = report.rows[0]
    assert (source_model.agreement, source_model.accuracy_drop_pp) == (1, 0)
    assert (source_model.gained, source_model.lost, source_model.mcnemar_p) == (0, 0, 1)


def test_the_bar_says_which_engine_is_at_work(exported: Path) -> None:
    terminal = io.StringIO()
    console = Console(file=terminal, force_terminal=True, width=120)
    Bench(["squeezenet-nano.int8.tflite"], rounds=30, limit=3, workspace=exported).run(console)
    assert "loading squeezenet-nano.keras on keras" in terminal.getvalue()
    assert "timing squeezenet-nano.int8.tflite on litert" in terminal.getvalue()


def test_latencies_are_compared_with_the_source_models(report: Report) -> None:
    for row in report.rows:
        assert row.latency_ratio is not None and row.latency_ratio.to == "squeezenet-nano.keras"
    assert report.rows[0].latency_ratio == Ratio("squeezenet-nano.keras", 1.0, None)  # three rounds give no interval


def test_latencies_are_compared_with_a_baseline_from_anywhere(exported: Path, tmp_path: Path) -> None:
    baseline = Path(shutil.copy(exported / "squeezenet-nano.fp32.tflite", tmp_path / "elsewhere.tflite"))
    report = edgesqz.bench(
        ["squeezenet-nano.int8.tflite"], rounds=6, limit=6, pixel_range="0..255", baseline=baseline, workspace=exported
    )
    assert [row.artifact for row in report.rows] == [
        "squeezenet-nano.keras",
        "squeezenet-nano.int8.tflite",
        "elsewhere.tflite",
    ]
    for row in report.rows:
        assert row.latency_ratio is not None and row.latency_ratio.to == "elsewhere.tflite"
        assert row.latency_ratio.interval is not None
        low, high = row.latency_ratio.interval
        assert low <= row.latency_ratio.median <= high


def environment_or_skip(runtime: str) -> None:
    choice = plugins.Choice.parse(runtime)
    try:
        environments.python_with(choice.requirements, choice.runtime.PYTHON)
    except EdgesqzError as error:
        pytest.skip(f"{runtime} cannot be installed here: {error}")


@pytest.mark.parametrize("runtime", ["tflite-runtime", "onnxruntime==1.23.2"])
def test_an_engine_at_another_version_has_a_row_of_its_own(runtime: str, exported: Path) -> None:
    environment_or_skip(runtime)
    name, _, version = runtime.partition("==")
    here = {"tflite-runtime": "litert", "onnxruntime": "onnxruntime"}[name]
    suffix = plugins.runtimes()[here].SUFFIXES[0]
    report = edgesqz.bench([f"squeezenet-nano.int8{suffix}"], rounds=1, runtimes=[here, runtime], workspace=exported)
    assert [row.error for row in report.rows] == [None] * 3
    source_model, ours, other = report.rows
    assert [row.runtime for row in report.rows] == ["keras", here, name]
    assert other.runtime_version == (version or "2.14.0") != ours.runtime_version
    assert ours.accuracy is not None and other.accuracy == pytest.approx(ours.accuracy, abs=0.05)
    assert source_model.runtime_version == plugins.engine_version(plugins.runtimes()["keras"])


def test_a_microcontrollers_engine_tells_its_arena_and_no_time(exported: Path) -> None:
    environment_or_skip("tflite-micro")
    report = edgesqz.bench(
        ["squeezenet-nano.int8.tflite"], rounds=1, runtimes=["litert", "tflite-micro"], workspace=exported
    )
    _, litert, micro = report.rows
    assert (micro.error, micro.accuracy, litert.arena_bytes) == (None, litert.accuracy, None)
    assert (micro.latency_us, micro.latency_ratio, micro.memory_bytes, micro.load_ms) == (None, None, None, None)
    peak = params("squeezenet-nano", classes=3).peak_activation_bytes
    assert micro.arena_bytes is not None and peak < micro.arena_bytes < 2 * peak


def test_what_a_microcontrollers_engine_cannot_run_is_told(exported: Path, tmp_path: Path) -> None:
    environment_or_skip("tflite-micro")
    options: dict[str, Any] = {"variant": "dynamic", "workspace": tmp_path}
    (artifact,) = edgesqz.export(exported / "squeezenet-nano.keras", **options)
    report = edgesqz.bench([artifact.path], rounds=1, runtimes=["tflite-micro"])
    assert "Hybrid models are not supported" in (report.rows[-1].error or "")


def test_a_version_that_there_is_none_of_costs_its_row_alone(exported: Path) -> None:
    names, runtimes = ["squeezenet-nano.fp32.onnx"], ["onnxruntime", "onnxruntime==0.0.1"]
    report = edgesqz.bench(names, rounds=1, limit=6, runtimes=runtimes, workspace=exported)
    assert [row.error is None for row in report.rows] == [True, True, False]
    assert "cannot make an environment with onnxruntime==0.0.1" in (report.rows[2].error or "")


def test_flipped_images_are_drawn(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[str, list[Flip]] = {}

    def draw(title: str, images: list[Flip]) -> bytes:
        drawn[title] = images
        return contact_sheet(title, images)

    examine = evaluation.evaluate

    def stumble(candidate: Candidate, engine: Engine, evaluation_set: EvaluationSet) -> None:
        examine(candidate, engine, evaluation_set)
        assert candidate.probabilities is not None and candidate.labels is not None
        if candidate.path.suffix == ".tflite":
            candidate.probabilities[:2] = np.eye(3)[(candidate.labels[:2] + 1) % 3]

    monkeypatch.setattr(flips, "contact_sheet", draw)
    monkeypatch.setattr(evaluation, "evaluate", stumble)
    names = ["squeezenet-nano.int8.tflite", "squeezenet-nano.fp32.onnx"]
    edgesqz.bench(names, rounds=1, flips=tmp_path / "deep" / "flips", workspace=workspace)
    assert [path.name for path in (tmp_path / "deep" / "flips").iterdir()] == ["squeezenet-nano.int8.tflite.flips.png"]
    found = drawn["squeezenet-nano.int8.tflite"]
    assert len(found) >= 2
    assert all(flip.before != flip.after for flip in found)
    assert {flip.label for flip in found} <= {"blue", "green", "red"}


def test_each_engine_of_a_file_has_a_sheet_of_its_own(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, choice = workspace / "squeezenet-nano.fp32.onnx", plugins.Choice.parse
    source_model, *exports = with_source_models(
        [Candidate(path, choice=choice(each)) for each in ("litert", "onnxruntime")]
    )
    evaluation_set = EvaluationSet("synthetic", None, 2)
    size = ImageSize(SIDE, SIDE)
    evaluation_set.split(size)
    for candidate, answer in ((source_model, 0), *((export, 1) for export in exports)):
        candidate.size, candidate.probabilities = size, np.eye(3)[[answer, answer]]
        candidate.name = f"old/{candidate.path.name}"
    flips.save([source_model, *exports], evaluation_set, tmp_path)
    assert {sheet.name for sheet in (tmp_path / "old").iterdir()} == {
        f"squeezenet-nano.fp32.onnx.{name}.flips.png" for name in ("litert", "onnxruntime")
    }


def test_a_folder_for_flips_that_cannot_be_is_told_first(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EdgesqzError, match="cannot write to the folder"):
        edgesqz.bench(flips=tmp_path / "file" / "flips", workspace=workspace)


def test_engines_do_not_share_a_process(report: Report) -> None:
    rows = by_name(report)
    keras, litert = rows["squeezenet-nano.keras"].peak_rss_bytes, rows["squeezenet-nano.int8.tflite"].peak_rss_bytes
    assert keras is not None and litert is not None
    assert litert < keras / 3


def test_the_quota_is_held_against_each_file(report: Report) -> None:
    assert {row.artifact for row in report.rows if row.within_budget} == {
        "squeezenet-nano.int8.onnx",
        "squeezenet-nano.int8.tflite",
    }


def test_the_json_has_the_promised_form(report: Report) -> None:
    found = json.loads(report.to_json())
    assert (found["schema"], found["budget"]["size_bytes"]) == (2, 150_000)
    assert set(found["rows"][0]) == {field.name for field in dataclasses.fields(Row)} - {"error", "correct"} | {
        "label",
        "within_budget",
    }
    assert set(found["rows"][0]["latency_us"]) == {"p50", "p90", "p99", "n", "every_5th", "p50_interval"}
    assert set(found["rows"][0]["latency_ratio"]) == {"to", "median", "interval", "is_noise"}


def test_accuracy_is_counted_by_hand(exported: Path, images: Path) -> None:
    report = edgesqz.bench(["squeezenet-nano.int8.tflite"], rounds=1, limit=12, workspace=exported)
    chosen = data.load(str(images)).test()
    chosen = data.sample(chosen, 12, seed=evaluation.SEED)
    with edgesqz.load(exported / "squeezenet-nano.int8.tflite") as model:
        right = model.predict(chosen.images).argmax(axis=1) == chosen.labels
    assert report.dataset and report.dataset["images"] == 12
    assert by_name(report)["squeezenet-nano.int8.tflite"].accuracy == right.mean()


def test_a_folder_with_test_images_alone_is_measured_and_one_not_divided_is_told(images: Path, tmp_path: Path) -> None:
    shutil.copytree(images / "test", tmp_path / "only" / "test")
    model = tmp_path / "elsewhere.onnx"
    model.write_bytes(mean_color_model("NHWC", 1))
    told, rows = list[str](), list[Row]()
    for folder in (tmp_path / "only", tmp_path / "only" / "test"):
        shown = io.StringIO()
        rows += Bench([model], dataset=str(folder), rounds=1).run(Console(file=shown)).rows
        told.append(shown.getvalue())
    assert [row.error for row in rows] == [None, None]
    assert rows[0].accuracy is not None
    assert ["a fifth of each class is its test split" in text for text in told] == [False, True]


def test_where_its_images_are_out_of_reach_a_zoo_file_is_measured_all_the_same(tmp_path: Path) -> None:
    report = edgesqz.bench(["squeezenet-nano.int8.tflite"], rounds=1, workspace=tmp_path)
    assert report.dataset is None and report.title().startswith("no accuracy: cannot download ")
    for row in report.rows:
        assert (row.error, row.accuracy) == (None, None)
        assert row.latency_us is not None and row.memory_bytes is not None


@pytest.mark.parametrize("asked", [{"dataset": "cifar10"}, {"data_dir": Path()}])
def test_images_that_were_asked_for_must_be_there(asked: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match="cannot download|no cifar10 in"):
        edgesqz.bench(["squeezenet-nano.int8.tflite"], rounds=1, workspace=tmp_path, **asked)


def test_an_exports_source_model_comes_along(exported: Path) -> None:
    report = edgesqz.bench([exported / "squeezenet-nano.int8.onnx"], rounds=1, limit=6, workspace=Path("elsewhere"))
    assert [row.artifact for row in report.rows] == ["squeezenet-nano.keras", "squeezenet-nano.int8.onnx"]


def test_a_file_without_a_manifest_has_no_source_model(exported: Path, images: Path, tmp_path: Path) -> None:
    (tmp_path / "foreign.onnx").write_bytes((exported / "squeezenet-nano.fp32.onnx").read_bytes())
    report = edgesqz.bench([tmp_path / "foreign.onnx"], dataset=str(images), rounds=1)
    (row,) = report.rows
    assert row.accuracy is not None and row.accuracy > 0.9
    assert (row.variant, row.agreement, row.accuracy_drop_pp) == (None, None, None)


def mean_color_model(layout: str, batch: int | None, height: int = 32) -> bytes:
    """An .onnx made elsewhere: the mean of each channel, in the classes' order blue, green, red."""
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
def test_models_made_elsewhere_in_either_layout(layout: str, batch: int | None, images: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.onnx").write_bytes(mean_color_model(layout, batch, height=24))
    report = edgesqz.bench([tmp_path / "elsewhere.onnx"], dataset=str(images), rounds=1)
    assert report.rows[0].accuracy == 1


def test_the_pixel_range_is_what_a_foreign_model_sees(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.onnx").write_bytes(mean_color_model("NHWC", None))
    pixels = PixelRange.parse("-1..1")
    with Engine((tmp_path / "elsewhere.onnx").read_bytes(), "onnxruntime", pixels=pixels) as engine:
        answers = engine.predict(np.stack([np.zeros((32, 32, 3), np.uint8), np.full((32, 32, 3), 255, np.uint8)]))
    np.testing.assert_allclose(answers, [[-1] * 3, [1] * 3], atol=1e-6)


DAMAGE: dict[str, Callable[[Path], bytes]] = {
    "cut.tflite": lambda exported: (exported / "squeezenet-nano.int8.tflite").read_bytes()[:30_000],
    "cut.onnx": lambda exported: (exported / "squeezenet-nano.int8.onnx").read_bytes()[:30_000],
    "cut.keras": lambda exported: (exported / "squeezenet-nano.keras").read_bytes()[:30_000],
    "random.tflite": lambda exported: np.random.default_rng(0).bytes(5000),
    "random.onnx": lambda exported: np.random.default_rng(0).bytes(5000),
    "random.keras": lambda exported: np.random.default_rng(0).bytes(5000),
    "empty.tflite": lambda exported: b"",
}


def test_damaged_files_fail_alone(exported: Path, images: Path, tmp_path: Path) -> None:
    for name, content in DAMAGE.items():
        (tmp_path / name).write_bytes(content(exported))
    (tmp_path / "whole.onnx").write_bytes(mean_color_model("NHWC", 1))
    names = [tmp_path / name for name in (*DAMAGE, "whole.onnx")]
    rows = by_name(edgesqz.bench(names, dataset=str(images), rounds=1))
    for name in DAMAGE:
        error = rows[name].error
        assert error is not None and "\n" not in error
        assert "accuracy" not in rows[name].to_dict()
    assert rows["whole.onnx"].error is None


def test_a_file_that_is_not_the_manifests_fails_alone(workspace: Path) -> None:
    (workspace / "squeezenet-nano.int8.tflite").write_bytes(b"something else")
    rows = by_name(edgesqz.bench(rounds=1, limit=6, workspace=workspace))
    error = rows.pop("squeezenet-nano.int8.tflite").error
    assert error is not None and "is not the file its manifest" in error
    assert not any(row.error for row in rows.values())


def test_an_engine_that_dies_fails_alone(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true_time = Engine.time_ns

    def time_and_kill(engine: Engine, count: int) -> list[int]:
        if engine.input.dtype == "int8":
            os.kill(engine_pid(engine), signal.SIGKILL)
        return true_time(engine, count)

    monkeypatch.setattr(Engine, "time_ns", time_and_kill)
    rows = by_name(edgesqz.bench(rounds=1, limit=6, workspace=exported))
    assert rows.pop("squeezenet-nano.int8.tflite").error == "the engine's process ended while it worked on this model"
    assert not any(row.error for row in rows.values())


def engine_pid(engine: Engine) -> int:
    (gateway,) = engine._group
    return int(gateway._rinfo().pid)


def test_a_missing_engine_says_what_to_install(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "engine_version", lambda runtime: None)
    report = edgesqz.bench(["squeezenet-nano.fp32.onnx"], rounds=1, workspace=exported)
    assert all("pip install" in (row.error or "") for row in report.rows)


def test_a_model_of_other_classes_fails(exported: Path, tmp_path: Path, images: Path) -> None:
    renamed = tmp_path / "renamed"
    for split in ("train", "test"):
        for old, new in (("blue", "azure"), ("green", "jade"), ("red", "rose")):
            (renamed / split / new).mkdir(parents=True)
            image = (images / split / old / "0.png").read_bytes()
            (renamed / split / new / "0.png").write_bytes(image)
    report = edgesqz.bench(["squeezenet-nano.fp32.onnx"], dataset=str(renamed), rounds=1, workspace=exported)
    assert all("azure, jade, rose" in (row.error or "") for row in report.rows)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"models": ["nothing.tflite"]}, r"no model file 'nothing\.tflite'; .*squeezenet-nano\.int8\.tflite"),
        ({"limit": 0}, "^limit must be at least 1, got 0$"),
        ({"threads": 0}, "^threads must be at least 1"),
        ({"rounds": 0}, "^rounds must be at least 1"),
        ({"runtimes": ["litert"], "models": ["squeezenet.keras"]}, "none of the files is for runtimes litert"),
        ({"models": ["squeezenet.int8.onnx"], "pixel_range": "0..1"}, "the manifest .* leave out pixel_range"),
        ({"runtimes": ["tensorrt"]}, "unknown runtime 'tensorrt'; the known are keras, litert, onnxruntime, "),
        ({"runtimes": ["litert=="]}, "expected a runtime as NAME or NAME==VERSION, got 'litert=='"),
        ({"pin": 100_000}, "pin must be one of the cores .*, got 100000"),
        ({"max_size": "-1MB"}, "expected a size"),
        ({"pixel_range": "wide"}, r"expected a pixel range LOW\.\.HIGH"),
        ({"dataset": "imagenet"}, "'imagenet' is neither"),
    ],
)
def test_bad_input(arguments: dict[str, Any], message: str, exported: Path) -> None:
    with pytest.raises(EdgesqzError, match=message):
        edgesqz.bench(**arguments, workspace=exported)


@pytest.mark.parametrize("as_given", [str, Path])
def test_one_file_needs_no_list(as_given: type, exported: Path) -> None:
    """A str or a Path, on an engine named without a list too."""
    path = as_given(exported / "squeezenet-nano.int8.tflite")
    report = edgesqz.bench(path, runtimes="litert", baseline=path, rounds=1, limit=3, workspace=str(exported))
    assert [(row.artifact, row.named) for row in report.rows] == [
        ("squeezenet-nano.keras", False),
        ("squeezenet-nano.int8.tflite", True),
    ]


def test_an_empty_workspace_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match="run edgesqz train and edgesqz export"):
        edgesqz.bench(workspace=tmp_path)


def test_engines_are_kept_on_a_core(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    core = max(os.sched_getaffinity(0))
    kept: list[set[int]] = []
    measure_memory = Candidate.measure_memory

    def look(candidate: Candidate, engine: Engine) -> None:
        kept.append(os.sched_getaffinity(engine_pid(engine)))
        measure_memory(candidate, engine)

    monkeypatch.setattr(Candidate, "measure_memory", look)
    report = edgesqz.bench(["squeezenet-nano.int8.tflite"], rounds=1, limit=6, pin=core, workspace=exported)
    assert not any(row.error for row in report.rows)
    assert kept == [{core}, {core}]


def test_warming_up_ends_when_rounds_take_the_same_time_or_at_its_bound() -> None:
    class Clock:
        """An engine whose rounds take what it is told."""

        version, load_ms, overhead_us = "1.0", 0.0, 0.0

        def __init__(self, *medians: int) -> None:
            self.medians, self.rounds = iter(medians), 0

        def first_us(self, image: np.ndarray) -> float:
            return 1.0

        def time_ns(self, count: int) -> list[int]:
            if count == 3:
                return [1_000_000] * 3
            self.rounds += 1
            return [next(self.medians)] * count

    for medians, rounds, stable in (((400, 200, 198, 1), 3, True), (range(100, 10_000, 100), 20, False)):
        engine, warmed = Clock(*medians), Candidate(Path("net.tflite"))
        warmed.warm_up(engine, np.zeros(0))  # type: ignore[arg-type]
        assert (engine.rounds, warmed.stable) == (rounds, stable)


def test_engines_leave_no_files_behind(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "TMPDIR"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    for name in ("KERAS_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert not edgesqz.bench(rounds=1, limit=6, workspace=exported).failures()
    assert [*(tmp_path / "HOME").rglob("*"), *(tmp_path / "TMPDIR").rglob("*")] == []


def test_more_threads_than_cores_are_refused(exported: Path) -> None:
    with pytest.raises(EdgesqzError, match="threads must be at most"):
        edgesqz.bench(threads=100_000, workspace=exported)


def test_an_integer_input_that_cannot_hold_the_pixels_fails_with_the_way_out(
    exported: Path, images: Path, tmp_path: Path
) -> None:
    (tmp_path / "bare.tflite").write_bytes((exported / "squeezenet-nano.int8.tflite").read_bytes())
    (row,) = edgesqz.bench([tmp_path / "bare.tflite"], dataset=str(images), rounds=1).rows
    assert row.error == (
        "its input holds values from -2 to 1.984, but pixels would become 0 to 255; try --pixel-range -2..1.984 "
        "if it takes images whose channels are all scaled alike"
    )
    assert psutil.Process().children() == []
    (row,) = edgesqz.bench([tmp_path / "bare.tflite"], dataset=str(images), rounds=1, pixel_range="-2..1.984").rows
    assert row.accuracy is not None and row.accuracy > 0.9


def test_calibrating_on_other_images_does_not_change_what_it_was_trained_on(
    workspace: Path, images: Path, tmp_path: Path
) -> None:
    others = str(shutil.copytree(images, tmp_path / "others"))
    options: dict[str, Any] = {"quantize": True, "calibration": 20, "workspace": workspace}
    (artifact,) = edgesqz.export("squeezenet-nano", dataset=others, **options)
    assert artifact.manifest and artifact.manifest.calibration
    assert (artifact.manifest.calibration.dataset, artifact.manifest.dataset) == (others, str(images))
    assert not any(row.error for row in edgesqz.bench([artifact.path], rounds=1, limit=6, workspace=workspace).rows)


def test_the_source_model_of_a_zoo_export_comes_from_the_zoo(tmp_path: Path) -> None:
    (artifact,) = edgesqz.export("squeezenet", "onnx", workspace=tmp_path)
    candidates = with_source_models([Candidate(artifact.path)])
    assert [candidate.path.name for candidate in candidates] == ["squeezenet.keras", "squeezenet.fp32.onnx"]


def test_models_of_different_sizes_are_measured_on_one_folder(images: Path, trained: Path, tmp_path: Path) -> None:
    SqueezeNetModel(48, 48, 3, "squeezenet-nano").build().save(tmp_path / "untrained.keras")
    names = [tmp_path / "untrained.keras", trained / "squeezenet-nano.keras"]
    rows = edgesqz.bench(names, dataset=str(images), rounds=1).rows
    assert [row.error for row in rows] == [None, None]
    assert rows[0].accuracy is not None and rows[1].accuracy is not None and rows[1].accuracy > 0.9


def test_files_of_one_name_are_called_by_as_many_folders_as_tell_them_apart(tmp_path: Path) -> None:
    paths = [
        tmp_path / name for name in ("old/m.tflite", "new/m.tflite", "other.onnx", "new/a/x/n.onnx", "new/b/x/n.onnx")
    ]
    assert list(distinct_names(paths).values()) == [
        "old/m.tflite",
        "new/m.tflite",
        "other.onnx",
        "a/x/n.onnx",
        "b/x/n.onnx",
    ]
    assert list(distinct_names([Path("../m.tflite"), Path("m.tflite")]).values()) == [
        f"{tmp_path.parent.name}/m.tflite",
        f"{tmp_path.name}/m.tflite",
    ]
    assert distinct_names([Path("/m.tflite"), Path("/tmp/m.tflite")])[Path("/m.tflite")] == "m.tflite"


def test_two_files_of_one_name_stay_two_rows(exported: Path, images: Path, tmp_path: Path) -> None:
    """Each with its path, its checksum and its own sheet of flips; one file spelled twice is one row."""
    paths = [tmp_path / folder / "m.onnx" for folder in ("old", "new")]
    for path, variant in zip(paths, ("fp32", "int8"), strict=True):
        path.parent.mkdir()
        shutil.copy(exported / f"squeezenet-nano.{variant}.onnx", path)
    report = edgesqz.bench(
        [*paths, tmp_path / "old" / ".." / "new" / "m.onnx"],
        dataset=str(images),
        rounds=1,
        limit=6,
        baseline=Path("new/m.onnx"),
    )
    assert report.labels == ["old/m.onnx", "new/m.onnx"]
    assert [row.path for row in report.rows] == [str(path) for path in paths]
    assert [row.sha256 for row in report.rows] == [sha256(path.read_bytes()) for path in paths]
    assert {row.latency_ratio.to for row in report.rows if row.latency_ratio} == {"new/m.onnx"}
    assert report.selection.chosen in report.labels and len(report.selection.reasons) == 1


@pytest.mark.parametrize("at_hand", [True, False])
def test_a_file_of_another_size_is_timed_and_told_what_to_do(
    at_hand: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the dataset of 32x32 images is at hand or not."""
    graph = mean_color_model("NHWC", 1).replace(bytes([10, 2, 8, 32]), bytes([10, 2, 8, 48]))
    (tmp_path / "elsewhere.onnx").write_bytes(graph)
    if at_hand:
        place = tmp_path / "cifar-10"
        place.touch()
        images = data.draw(10, ImageSize(SIDE, SIDE), seed=0)
        source = data.Dataset("cifar10", ("blue", "green", "red"), lambda split: images)
        monkeypatch.setattr(data, "locate", lambda name, data_dir=None: place)
        monkeypatch.setattr(data, "load", lambda name, data_dir=None, *, size=None: source)
    report = edgesqz.bench([tmp_path / "elsewhere.onnx"], rounds=1)
    (row,) = report.rows
    assert (report.dataset is not None, row.error, row.accuracy) == (at_hand, None, None)
    assert row.latency_us is not None
    assert report.without_accuracy() == [
        "elsewhere.onnx: it takes images of 48x48 pixels, those of cifar10 have 32x32; "
        "name a folder of test images with --dataset DIR"
    ]


def test_the_exit_code_tells_if_a_named_file_failed(images: Path, tmp_path: Path) -> None:
    """Before it tells of a missed budget."""
    (tmp_path / "whole.onnx").write_bytes(mean_color_model("NHWC", 1))
    (tmp_path / "cut.onnx").write_bytes(b"cut")
    names = [str(tmp_path / "whole.onnx"), str(tmp_path / "cut.onnx")]
    options = ["--rounds", "1", "--limit", "6", "--dataset", str(images), "--max-size", "100"]
    result = CliRunner().invoke(app, ["bench", *names, *options])
    assert result.exit_code == 1
    assert "failed: cut.onnx: " in result.stderr
    assert "over budget: whole.onnx: size" in result.stderr
    assert CliRunner().invoke(app, ["bench", names[0], *options]).exit_code == 3
