"""The bench on a fake engine: which files are measured, failures that affect only one row, and rejected input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgesqz
from edgesqz import plugins
from edgesqz.benchmarking import flips
from edgesqz.benchmarking.candidate import INT4_ADVICE, Candidate, Predictions, distinct_names, with_source_models
from edgesqz.benchmarking.evaluation import EvaluationSet
from edgesqz.errors import EdgesqzError
from edgesqz.image_size import ImageSize
from tests import fakes
from tests.rows import errors_by_name, errors_of

pytestmark = pytest.mark.usefixtures("fake_engine")


SIDE = 32


def test_each_engine_of_a_file_has_a_separate_sheet(
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
        candidate.predictions = Predictions(size, np.eye(3)[[answer, answer]], np.zeros(2, int))
        candidate.name = f"old/{candidate.path.name}"
    flips.save([source_model, *exports], evaluation_set, tmp_path)
    assert {sheet.name for sheet in (tmp_path / "old").iterdir()} == {
        f"squeezenet-nano.fp32.onnx.{name}.flips.png" for name in ("litert", "onnxruntime")
    }


def test_an_impossible_folder_for_flips_is_reported_first(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EdgesqzError, match="cannot write to the folder"):
        edgesqz.bench(flips=tmp_path / "file" / "flips", workspace=workspace)


@pytest.mark.parametrize("options", [{"dataset": "cifar10"}, {"data_dir": Path()}])
def test_requested_images_must_be_available(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match="cannot download|no cifar10 in"):
        edgesqz.bench(["squeezenet-nano.int8.tflite"], rounds=1, workspace=tmp_path, **options)


def test_a_missing_engine_says_what_to_install(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "engine_version", lambda runtime: None)
    report = edgesqz.bench(["squeezenet-nano.fp32.onnx"], rounds=1, workspace=exported)
    assert all("pip install" in (error or "") for error in errors_of(report))


@pytest.mark.parametrize(
    ("habit", "bits", "error"),
    [
        ("raise", 4, f"an engine's own trouble; {INT4_ADVICE}"),
        ("raise", 8, "an engine's own trouble"),
        ("quit", 4, "the engine's process ended unexpectedly while running this model"),
    ],
)
def test_an_engine_that_rejects_int4_weights_costs_one_row_with_advice(
    habit: str, bits: int, error: str, tmp_path: Path
) -> None:
    fakes.write(tmp_path / "a.int4.tflite", fakes.content(habit=habit), weight_bits={"stem": 8, "fire": bits})
    fakes.write(tmp_path / "a.int8.tflite", fakes.content())
    report = edgesqz.bench(rounds=1, workspace=tmp_path)
    assert errors_by_name(report) == {"a.int4.tflite": error, "a.int8.tflite": None}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"models": ["nothing.tflite"]}, r"^nothing\.tflite does not exist$"),
        ({"limit": 0}, "^limit must be at least 1, got 0$"),
        ({"threads": 0}, "^threads must be at least 1"),
        ({"rounds": 0}, "^rounds must be at least 1"),
        ({"runtimes": ["litert"], "models": ["squeezenet.keras"]}, "^runtimes litert cannot run any of the files$"),
        ({"models": ["squeezenet.int8.onnx"], "pixel_range": "0..1"}, "the manifest .* remove pixel_range"),
        ({"runtimes": ["tensorrt"]}, "unknown runtime 'tensorrt'; choose from fake, keras, litert, "),
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


def test_an_empty_workspace_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match="run edgesqz train and edgesqz export"):
        edgesqz.bench(workspace=tmp_path)


def test_warm_up_ends_when_rounds_take_the_same_time_or_at_its_limit() -> None:
    class Clock:
        """An engine whose rounds take the given times."""

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
        assert warmed.timing and (engine.rounds, warmed.timing.stable) == (rounds, stable)


def test_more_threads_than_cores_are_refused(exported: Path) -> None:
    with pytest.raises(EdgesqzError, match="threads must be at most"):
        edgesqz.bench(threads=100_000, workspace=exported)


def test_files_of_one_name_are_distinguished_by_their_folders(tmp_path: Path) -> None:
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
