"""The bench on a fake engine: which files are measured, and failures that affect only one row."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path

import numpy as np
import psutil
import pytest
from rich.console import Console
from typer.testing import CliRunner

import edgesqz
from edgesqz import data
from edgesqz.artifact import sha256
from edgesqz.benchmarking import Bench, evaluation, flips
from edgesqz.benchmarking.candidate import Candidate
from edgesqz.benchmarking.evaluation import EvaluationSet
from edgesqz.benchmarking.flips import Flip, contact_sheet
from edgesqz.benchmarking.rows import Measured
from edgesqz.cli import app
from edgesqz.engine import Engine
from edgesqz.errors import EdgesqzError
from edgesqz.image_size import ImageSize
from edgesqz.options import PixelOptions
from tests import fakes
from tests.rows import errors_by_name, errors_of, ratio_of

pytestmark = pytest.mark.usefixtures("fake_engine")

SIDE = 32


@pytest.fixture
def exported(fake_exported: Path) -> Path:
    """Files for the fake engine instead of trained models."""
    return fake_exported


def test_the_progress_bar_names_the_current_engine(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgesqz.benchmarking.candidate.ROUND_MS", 20)  # the bar is drawn ten times a second
    terminal = io.StringIO()
    console = Console(file=terminal, force_terminal=True, width=120)
    Bench(["squeezenet-nano.int8.tflite"], rounds=30, limit=3, workspace=exported).run(console)
    assert "loading squeezenet-nano.keras on fake" in terminal.getvalue()
    assert "timing squeezenet-nano.int8.tflite on fake" in terminal.getvalue()


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
    for row in report.measured:
        ratio = ratio_of(row)
        assert ratio.to == "elsewhere.tflite" and ratio.interval is not None
        low, high = ratio.interval
        assert low <= ratio.median <= high


def test_pixel_values_for_another_number_of_channels_are_refused() -> None:
    with pytest.raises(EdgesqzError, match="expected 1 or 3 values of mean and std for RGB images, got 2"):
        Engine(fakes.content(), "fake", pixels=PixelOptions(mean="0.5,0.5").pixels)


def test_flipped_images_are_drawn(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[str, list[Flip]] = {}

    def draw(title: str, images: list[Flip]) -> bytes:
        drawn[title] = images
        return contact_sheet(title, images)

    examine = evaluation.evaluate

    def stumble(candidate: Candidate, engine: Engine, evaluation_set: EvaluationSet) -> None:
        examine(candidate, engine, evaluation_set)
        assert candidate.predictions
        if candidate.path.suffix == ".tflite":
            candidate.predictions.probabilities[:2] = np.eye(3)[(candidate.predictions.labels[:2] + 1) % 3]

    monkeypatch.setattr(flips, "contact_sheet", draw)
    monkeypatch.setattr(evaluation, "evaluate", stumble)
    names = ["squeezenet-nano.int8.tflite", "squeezenet-nano.fp32.onnx"]
    edgesqz.bench(names, rounds=1, flips=tmp_path / "deep" / "flips", workspace=workspace)
    assert [path.name for path in (tmp_path / "deep" / "flips").iterdir()] == ["squeezenet-nano.int8.tflite.flips.png"]
    found = drawn["squeezenet-nano.int8.tflite"]
    assert len(found) >= 2
    assert all(flip.before != flip.after for flip in found)
    assert {flip.label for flip in found} <= {"blue", "green", "red"}


def test_accuracy_is_counted_by_hand(exported: Path, images: Path) -> None:
    report = edgesqz.bench(["squeezenet-nano.int8.tflite"], rounds=1, limit=12, workspace=exported)
    chosen = data.load(str(images)).test()
    chosen = data.sample(chosen, 12, seed=evaluation.SEED)
    with edgesqz.load(exported / "squeezenet-nano.int8.tflite") as model:
        right = model.predict(chosen.images).argmax(axis=1) == chosen.labels
    assert report.dataset and (report.dataset.images, report.dataset.sha256) == (12, chosen.sha256)
    assert {row.artifact: row.accuracy for row in report.measured}["squeezenet-nano.int8.tflite"] == right.mean()


def test_a_folder_with_only_test_images_is_measured_and_an_undivided_one_is_reported(
    images: Path, tmp_path: Path
) -> None:
    shutil.copytree(images / "test", tmp_path / "only" / "test")
    model = tmp_path / "elsewhere.onnx"
    model.write_bytes(fakes.content())
    outputs, rows = list[str](), list[Measured]()
    for folder in (tmp_path / "only", tmp_path / "only" / "test"):
        shown = io.StringIO()
        rows += Bench([model], dataset=str(folder), rounds=1).run(Console(file=shown)).measured
        outputs.append(shown.getvalue())
    assert len(rows) == 2 and rows[0].accuracy is not None
    assert ["a fifth of each class" in text for text in outputs] == [False, True]


def test_the_source_model_of_an_export_is_measured_too(exported: Path) -> None:
    report = edgesqz.bench([exported / "squeezenet-nano.int8.onnx"], rounds=1, limit=6, workspace=Path("elsewhere"))
    assert [row.artifact for row in report.rows] == ["squeezenet-nano.keras", "squeezenet-nano.int8.onnx"]


def test_a_file_without_a_manifest_has_no_source_model(exported: Path, images: Path, tmp_path: Path) -> None:
    (tmp_path / "foreign.onnx").write_bytes((exported / "squeezenet-nano.fp32.onnx").read_bytes())
    report = edgesqz.bench([tmp_path / "foreign.onnx"], dataset=str(images), rounds=1)
    (row,) = report.measured
    assert row.accuracy is not None and row.accuracy > 0.9
    assert (row.variant, row.comparison) == (None, None)


def test_a_file_that_does_not_match_its_manifest_affects_only_its_row(workspace: Path) -> None:
    (workspace / "squeezenet-nano.int8.tflite").write_bytes(b"something else")
    errors = errors_by_name(edgesqz.bench(rounds=1, limit=6, workspace=workspace))
    error = errors.pop("squeezenet-nano.int8.tflite")
    assert error is not None and "does not match its manifest" in error
    assert not any(errors.values())


def test_an_engine_that_dies_affects_only_its_row(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true_time = Engine.time_ns

    def time_and_kill(engine: Engine, count: int) -> list[int]:
        if engine.input.dtype == "int8":
            max(psutil.Process().children(), key=psutil.Process.create_time).kill()  # it was started last
        return true_time(engine, count)

    monkeypatch.setattr(Engine, "time_ns", time_and_kill)
    errors = errors_by_name(edgesqz.bench(rounds=1, limit=6, workspace=exported))
    assert (
        errors.pop("squeezenet-nano.int8.tflite") == "the engine's process ended unexpectedly while running this model"
    )
    assert not any(errors.values())


def test_a_model_of_other_classes_fails(exported: Path, tmp_path: Path, images: Path) -> None:
    renamed = tmp_path / "renamed"
    for split in ("train", "test"):
        for old, new in (("blue", "azure"), ("green", "jade"), ("red", "rose")):
            (renamed / split / new).mkdir(parents=True)
            image = (images / split / old / "0.png").read_bytes()
            (renamed / split / new / "0.png").write_bytes(image)
    report = edgesqz.bench(["squeezenet-nano.fp32.onnx"], dataset=str(renamed), rounds=1, workspace=exported)
    assert all("azure, jade, rose" in (error or "") for error in errors_of(report))


@pytest.mark.parametrize("as_given", [str, Path])
def test_one_file_needs_no_list(as_given: type, exported: Path) -> None:
    """A single file is a str or a Path, and a single engine needs no list either."""
    path = as_given(exported / "squeezenet-nano.int8.tflite")
    report = edgesqz.bench(path, runtimes="fake", baseline=path, rounds=1, limit=3, workspace=str(exported))
    assert [(row.artifact, row.named) for row in report.rows] == [
        ("squeezenet-nano.keras", False),
        ("squeezenet-nano.int8.tflite", True),
    ]


def test_engines_are_pinned_to_a_core(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    core = max(os.sched_getaffinity(0))
    kept: list[list[set[int]]] = []
    measure_memory = Candidate.measure_memory

    def look(candidate: Candidate, engine: Engine) -> None:
        kept.append([set(worker.cpu_affinity()) for worker in psutil.Process().children()])
        measure_memory(candidate, engine)

    monkeypatch.setattr(Candidate, "measure_memory", look)
    report = edgesqz.bench(["squeezenet-nano.int8.tflite"], rounds=1, limit=6, pin=core, workspace=exported)
    assert not report.failed
    assert kept == [[{core}, {core}]] * 2


def test_two_files_of_one_name_stay_two_rows(exported: Path, images: Path, tmp_path: Path) -> None:
    """Each has its own path, checksum and contact sheet. A file that is named twice has one row."""
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
    assert [entry.label for entry in report.entries] == ["old/m.onnx", "new/m.onnx"]
    assert [row.path for row in report.rows] == [str(path) for path in paths]
    assert [row.sha256 for row in report.rows] == [sha256(path.read_bytes()) for path in paths]
    assert {ratio_of(row).to for row in report.measured} == {"new/m.onnx"}
    assert report.selection.chosen in ("old/m.onnx", "new/m.onnx") and len(report.selection.reasons) == 1


@pytest.mark.parametrize("at_hand", [True, False])
def test_a_file_of_another_size_is_timed_and_gets_advice(
    at_hand: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same holds whether the dataset of 32x32 images is available or not."""
    (tmp_path / "elsewhere.onnx").write_bytes(fakes.content(size=(48, 48)))
    if at_hand:
        place = tmp_path / "cifar-10"
        place.touch()
        images = data.draw(10, ImageSize(SIDE, SIDE), seed=0)
        source = data.Dataset("cifar10", ("blue", "green", "red"), lambda split: images)
        monkeypatch.setattr(data, "locate", lambda name, data_dir=None: place)
        monkeypatch.setattr(data, "load", lambda name, data_dir=None, *, size=None: source)
    report = edgesqz.bench([tmp_path / "elsewhere.onnx"], rounds=1)
    (row,) = report.measured
    assert (report.dataset, row.accuracy) == (None, None)
    assert row.performance is not None
    reason = (
        "the model takes images of 48x48 pixels, but those of cifar10 have 32x32; use a folder of test images as the "
        "dataset"
    )
    assert row.no_accuracy == reason
    assert (report.title(), report.without_accuracy()) == (f"no accuracy: {reason}", [])


def test_a_model_with_other_classes_than_the_images_it_was_calibrated_on_is_timed(images: Path, tmp_path: Path) -> None:
    fakes.write(tmp_path / "m.int8.tflite", fakes.content(classes=7), dataset=str(images), labels=())
    report = edgesqz.bench(tmp_path / "m.int8.tflite", rounds=1)
    assert report.title() == f"no accuracy: the model has 7 classes, but {images} has 3"
    assert [bool(row.p50_us) for row in report.measured] == [True]
    report = edgesqz.bench(tmp_path / "m.int8.tflite", dataset=images, rounds=1)
    assert errors_of(report) == ["expected a model with the 3 classes of the dataset, got one with 7"]


def test_the_exit_code_says_whether_a_named_file_failed(images: Path, tmp_path: Path) -> None:
    """A failed file takes precedence over a missed budget."""
    (tmp_path / "whole.onnx").write_bytes(fakes.content())
    (tmp_path / "cut.onnx").write_bytes(b"cut")
    names = [str(tmp_path / "whole.onnx"), str(tmp_path / "cut.onnx")]
    options = ["--rounds", "1", "--limit", "6", "--dataset", str(images), "--max-size", "100"]
    result = CliRunner().invoke(app, ["bench", *names, *options])
    assert result.exit_code == 1
    assert "failed: cut.onnx: " in result.stderr
    assert "over budget: whole.onnx: size" in result.stderr
    assert CliRunner().invoke(app, ["bench", names[0], *options]).exit_code == 3
