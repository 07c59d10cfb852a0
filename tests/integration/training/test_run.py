"""Training: written files, exact resumption after Ctrl-C, errors, and the parts of a step."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import io
import itertools
import json
import logging
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import edgesqz
from edgesqz import EdgesqzError, backend, data
from edgesqz.artifact import ZOO, Artifact
from edgesqz.data import synthetic
from edgesqz.image_size import ImageSize, ImageSizeLike
from edgesqz.models.architectures import network_graph
from edgesqz.outputs import softmax
from edgesqz.training import Train, checkpoint
from edgesqz.training.checkpoint import Checkpoint, Progress
from edgesqz.training.learner import LocalLearner
from edgesqz.training.recipe import Recipe, fastest_precision
from edgesqz.training.result import TrainResult
from edgesqz.workspace import Workspace
from edgesqz.workspace.sizes import parse_size
from tests import small
from tests.foreign import color_onnx

MODEL = small.ONE_FIRE
EPOCHS, STEPS_PER_EPOCH = 3, 3
HOLDOUT = 27  # a tenth of 270
CHECKPOINT = f"{MODEL}.last.npz"
PROCESSOR = Path("/proc/cpuinfo")
Step = Callable[[np.ndarray, int, np.ndarray], tuple[float, int]]
StandIn = Callable[[Step], list[Any]]


def train(folder: Path, workspace: Path, **options: Any) -> TrainResult:
    """Train for three epochs of three steps, unless the options differ."""
    chosen = {"epochs": EPOCHS, "batch_size": 64, "learning_rate": 0.1} | options
    console = chosen.pop("console", Console(quiet=True))
    return Train(MODEL, str(folder), workspace=workspace, **chosen).run(console)


def resume(workspace: Path, **options: Any) -> TrainResult:
    return edgesqz.train(MODEL, resume=True, workspace=workspace, **options)


@pytest.fixture(scope="module", autouse=True)
def keras_on_tensorflow() -> None:
    backend.start_keras()


@pytest.fixture(scope="module")
def train_only(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``images`` with garbage as the test split, so that reading it fails."""
    folder = Path(shutil.copytree(images, tmp_path_factory.mktemp("train_only") / "images"))
    for file in (folder / "test").rglob("*.png"):
        file.write_bytes(b"garbage")
    return folder


@dataclass
class Finished:
    """An uninterrupted run."""

    artifact: TrainResult
    checkpoints: list[Checkpoint]  # one checkpoint per epoch
    shown: str  # the output on the console

    @property
    def facts(self) -> dict[str, Any]:
        assert self.artifact.manifest and self.artifact.manifest.training
        return self.artifact.manifest.training


def recorded_checkpoints(patch: pytest.MonkeyPatch) -> list[Checkpoint]:
    """Record the checkpoints as they are written, because a finished run removes them."""
    written: list[Checkpoint] = []
    write = Checkpoint.write

    def recording(self: Checkpoint, workspace: Workspace) -> None:
        write(self, workspace)
        written.append(dataclasses.replace(self, progress=dataclasses.replace(self.progress)))

    patch.setattr(Checkpoint, "write", recording)
    return written


@pytest.fixture(scope="module")
def finished(train_only: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    shown = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        checkpoints = recorded_checkpoints(patch)
        artifact = train(
            train_only, tmp_path_factory.mktemp("finished"), console=Console(file=shown, width=60, color_system=None)
        )
    return Finished(artifact, checkpoints, shown.getvalue())


def press_ctrl_c(patch: pytest.MonkeyPatch, at_step: int) -> None:
    """Send SIGINT during a step of the next training run."""
    import edgesqz.training.step

    real, steps = edgesqz.training.step.training_step, itertools.count(1)

    def training_step(*arguments: Any) -> tuple[Any, Any]:
        optimizer, take_step = real(*arguments)

        def pressing(*of_step: Any) -> Any:
            if next(steps) == at_step:
                signal.raise_signal(signal.SIGINT)
            return take_step(*of_step)

        return optimizer, pressing

    patch.setattr(edgesqz.training.step, "training_step", training_step)


@pytest.fixture(scope="module")
def interrupted(train_only: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which Ctrl-C was pressed during the fifth step of nine, the second of the second epoch."""
    workspace = tmp_path_factory.mktemp("interrupted")
    handler = signal.getsignal(signal.SIGINT)
    with pytest.MonkeyPatch.context() as patch:
        press_ctrl_c(patch, at_step=5)
        with pytest.raises(KeyboardInterrupt, match="stopped after step 5 of 9; continue with resume"):
            train(train_only, workspace)
    assert signal.getsignal(signal.SIGINT) is handler
    return workspace


@pytest.fixture
def interrupted_copy(interrupted: Path, tmp_path: Path) -> Path:
    """A copy of ``interrupted`` that one test can modify."""
    return Path(shutil.copytree(interrupted, tmp_path / "at-rest"))


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Replace the step by a function, for tests that depend only on its results. Records the optimizers.

    The evaluation finds no image correct, because TensorFlow would take longer to compile it than the rest of the run.
    """
    import edgesqz.training.step

    real = edgesqz.training.step.training_step

    def put(step: Step) -> list[Any]:
        optimizers: list[Any] = []

        def training_step(*arguments: Any) -> tuple[Any, Step]:
            optimizers.append(real(*arguments)[0])
            return optimizers[-1], step

        monkeypatch.setattr(edgesqz.training.step, "training_step", training_step)
        monkeypatch.setattr(edgesqz.training.step, "evaluation", lambda network: lambda split: 0.0)
        return optimizers

    return put


@pytest.fixture
def drifting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the training step with one that only adds to the weights, for tests of which weights are written."""
    import edgesqz.training.step

    real = edgesqz.training.step.training_step

    def training_step(network: Any, *others: Any) -> tuple[Any, Step]:
        def step(indices: np.ndarray, view: int, wanted: np.ndarray) -> tuple[float, int]:
            for variable in network.trainable_variables:
                variable.assign(variable + 0.01)
            return 1.0, 20

        return real(network, *others)[0], step

    monkeypatch.setattr(edgesqz.training.step, "training_step", training_step)


def loaded(path: Path) -> Any:
    """Return the Keras model of a file."""
    import keras

    return keras.models.load_model(path, compile=False)


def assert_same_arrays(found: Any, expected: Any) -> None:
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


# A finished run


def test_a_finished_run_leaves_only_the_model_and_its_manifest(finished: Finished) -> None:
    folder = finished.artifact.path.parent
    assert finished.artifact.path == folder / f"{MODEL}.keras"
    assert {path.name for path in folder.iterdir()} == {f"{MODEL}.keras", f"{MODEL}.keras.json", ".edgesqz"}
    assert Artifact.open(finished.artifact.path).manifest == finished.artifact.manifest


def test_the_manifest_records_the_recipe_and_its_results(finished: Finished, train_only: Path) -> None:
    manifest, facts = finished.artifact.manifest, finished.facts
    assert manifest is not None
    assert (manifest.name, manifest.variant, manifest.format) == (MODEL, "fp32", "keras")
    assert manifest.labels == ("blue", "green", "red")
    assert manifest.dataset == str(train_only)
    assert (manifest.input.shape, manifest.output.shape) == ((None, 32, 32, 3), (None, 3))
    assert {"edgesqz", "keras", "tensorflow", "numpy"} <= set(manifest.versions)
    precision = fastest_precision()
    few: dict[str, Any] = {"contrast": 0.3, "brightness": 0.15, "kept_epoch": "last"}
    recipe = Recipe(MODEL, str(train_only), EPOCHS, 64, 0.1, precision=precision, **few)
    assert facts["recipe"] == dataclasses.asdict(recipe)
    assert facts["validation_images"] == HOLDOUT
    assert len(facts["history"]) == EPOCHS
    assert facts["validation_accuracy"] == facts["history"][-1]["validation_accuracy"]
    assert facts["history"][-1]["loss"] < facts["history"][0]["loss"]
    assert facts["history"][-1]["training_accuracy"] > 0.5  # a third by chance


def test_the_history_has_the_learning_rate_and_the_speed_of_each_epoch(finished: Finished) -> None:
    recipe, steps = Recipe(**finished.facts["recipe"]), EPOCHS * STEPS_PER_EPOCH
    ends = [recipe.rate_at(step, steps) for step in (2, 5, 8)]  # of the last step of each epoch
    assert [entry["learning_rate"] for entry in finished.artifact.history] == pytest.approx(ends, rel=1e-5)
    assert all(entry["images_per_second"] > 0 for entry in finished.artifact.history)


def test_training_never_reads_the_test_split(finished: Finished, train_only: Path) -> None:
    with pytest.raises(EdgesqzError, match="cannot read the image"):
        data.load(str(train_only)).test()
    assert finished.artifact.path.is_file()


def test_the_saved_model_contains_only_standard_keras_layers(finished: Finished) -> None:
    with zipfile.ZipFile(finished.artifact.path) as archive:
        layers = json.loads(archive.read("config.json"))["config"]["layers"]
    assert {layer["module"] for layer in layers} == {"keras.layers"}
    assert "BatchNormalization" in {layer["class_name"] for layer in layers}


def test_the_saved_model_is_as_accurate_as_its_manifest_says(trained: Path, images: Path) -> None:
    _, holdout = data.holdout_split(data.load(str(images)).train(), seed=0)
    described = Artifact.open(trained / "colors.keras")
    top1 = loaded(described.path).predict(holdout.images, verbose=0).argmax(axis=1)
    assert len(holdout) == HOLDOUT
    assert described.manifest and described.manifest.training
    assert np.mean(top1 == holdout.labels) == described.manifest.training["validation_accuracy"] > 0.5  # of 3 classes


def test_the_console_shows_a_line_per_epoch(finished: Finished) -> None:
    lines = [line for line in finished.shown.splitlines() if line.startswith("epoch")]
    for number, (line, entry) in enumerate(zip(lines, finished.facts["history"], strict=True), start=1):
        assert line.startswith(
            f"epoch {number}/3: loss {entry['loss']:.3f}, accuracy {entry['training_accuracy']:.2%}, "
            f"validation {entry['validation_accuracy']:.2%}, "
        )
        assert line.endswith(" images/s")


@pytest.mark.parametrize(("min_images", "written_epoch"), [(HOLDOUT, 1), (HOLDOUT + 1, 2)])
def test_the_best_epoch_is_written_unless_there_are_too_few_validation_images(
    min_images: int,
    written_epoch: int,
    train_only: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    drifting: None,
) -> None:
    import edgesqz.training.step

    counts = (9, 18, 12)
    remaining = iter(counts)
    monkeypatch.setattr("edgesqz.training.recipe.MIN_VALIDATION_IMAGES", min_images)
    monkeypatch.setattr(edgesqz.training.step, "evaluation", lambda network: lambda split: next(remaining))
    written = recorded_checkpoints(monkeypatch)
    artifact = train(train_only, tmp_path)
    assert artifact.manifest and artifact.manifest.training
    assert artifact.manifest.training["validation_accuracy"] == pytest.approx(counts[written_epoch] / HOLDOUT)
    saved = loaded(artifact.path).get_weights()
    assert_same_arrays(saved, written[written_epoch].weights)
    other_epoch = written[3 - written_epoch]
    assert not all(np.allclose(one, other) for one, other in zip(saved, other_epoch.weights, strict=True))


def test_the_last_of_equally_good_epochs_is_written(
    train_only: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drifting: None
) -> None:
    import edgesqz.training.step

    counts = iter((9, 18, 18))
    monkeypatch.setattr("edgesqz.training.recipe.MIN_VALIDATION_IMAGES", 1)
    monkeypatch.setattr(edgesqz.training.step, "evaluation", lambda network: lambda split: next(counts))
    written = recorded_checkpoints(monkeypatch)
    artifact = train(train_only, tmp_path)
    assert_same_arrays(loaded(artifact.path).get_weights(), written[2].weights)


@pytest.mark.parametrize("min_images", [1, 1000])
def test_the_statistics_are_estimated_before_a_validation_that_selects_the_epoch(
    min_images: int, train_only: Path, tmp_path: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[object] = []

    def count_correct(self: LocalLearner, split: data.Split) -> float:
        events.append("validation")
        return 20.0

    stand_in(lambda *arguments: (1.0, 20))
    monkeypatch.setattr("edgesqz.training.recipe.MIN_VALIDATION_IMAGES", min_images)
    monkeypatch.setattr(LocalLearner, "estimate_statistics", lambda self, batches, view: events.append(batches.shape))
    monkeypatch.setattr(LocalLearner, "count_correct", count_correct)
    train(train_only, tmp_path)
    each_epoch = [(STEPS_PER_EPOCH, 64), "validation"] if min_images == 1 else ["validation"]
    assert events == EPOCHS * each_epoch


def test_another_seed_gives_other_weights(finished: Finished, train_only: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        written = recorded_checkpoints(patch)
        train(train_only, tmp_path, seed=1)
    kernels = [
        (one, other)
        for one, other in zip(written[-1].weights, finished.checkpoints[-1].weights, strict=True)
        if one.ndim == 4
    ]
    assert kernels
    assert not any(np.allclose(one, other, atol=1e-3) for one, other in kernels)


def test_the_seed_determines_the_initial_weights(
    train_only: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stand_in: StandIn
) -> None:
    stand_in(lambda *arguments: (1.0, 0))  # learns nothing
    written = recorded_checkpoints(monkeypatch)
    for trial, seed in enumerate((3, 4, 3)):
        train(train_only, tmp_path / str(trial), epochs=1, seed=seed)
    first, other, again = (
        np.concatenate([weight.ravel() for weight in checkpoint.weights if weight.ndim == 4]) for checkpoint in written
    )
    np.testing.assert_array_equal(first, again)
    assert np.mean(first == other) < 0.01


def test_each_epoch_uses_each_image_at_most_once_in_a_new_order(
    train_only: Path, tmp_path: Path, stand_in: StandIn
) -> None:
    taken: list[np.ndarray] = []

    def step(indices: np.ndarray, view: int, wanted: np.ndarray) -> tuple[float, int]:
        taken.append(indices)
        return 1.0, 0

    stand_in(step)
    train(train_only, tmp_path, epochs=2)
    first, second = np.concatenate(taken[:STEPS_PER_EPOCH]), np.concatenate(taken[STEPS_PER_EPOCH:])
    for indices in (first, second):
        assert len(np.unique(indices)) == len(indices) == STEPS_PER_EPOCH * 64
        assert indices.min() >= 0
        assert indices.max() < 270 - HOLDOUT
    assert not np.array_equal(first, second)


def test_each_step_has_the_view_of_its_epoch_and_the_rate_of_the_recipe(
    train_only: Path, tmp_path: Path, stand_in: StandIn
) -> None:
    views: list[int] = []
    rates: list[float] = []

    def step(indices: np.ndarray, view: int, wanted: np.ndarray) -> tuple[float, int]:
        views.append(view)
        rates.append(float(optimizers[0].learning_rate))
        return 1.0, 0

    optimizers = stand_in(step)
    train(train_only, tmp_path, learning_rate=0.3)
    steps = EPOCHS * STEPS_PER_EPOCH
    assert views == np.repeat(range(EPOCHS), STEPS_PER_EPOCH).tolist()
    recipe = Recipe(MODEL, learning_rate=0.3)
    np.testing.assert_allclose(rates, [recipe.rate_at(number, steps) for number in range(steps)], rtol=1e-6)


def test_the_targets_are_the_smoothed_labels(train_only: Path, tmp_path: Path, stand_in: StandIn) -> None:
    batches: list[tuple[np.ndarray, np.ndarray]] = []

    def step(indices: np.ndarray, view: int, wanted: np.ndarray) -> tuple[float, int]:
        batches.append((indices, wanted))
        return 1.0, 0

    stand_in(step)
    train(train_only, tmp_path, epochs=1, label_smoothing=0.3)
    fitted, _ = data.holdout_split(data.load(str(train_only)).train(), seed=0)
    for indices, wanted in batches:
        assert wanted.dtype == np.float32
        np.testing.assert_allclose(wanted, np.array([0.1, 0.8])[np.eye(3, dtype=int)[fitted.labels[indices]]])


# Few images, a short run, nothing learned


def test_defaults_depend_on_the_number_of_images_and_are_printed_before_training(
    train_only: Path, tmp_path: Path, stand_in: StandIn
) -> None:
    stand_in(lambda *arguments: (1.0, 5))
    shown = io.StringIO()
    console = Console(file=shown, width=300, color_system=None)
    artifact = Train(MODEL, str(train_only), epochs=2, workspace=tmp_path).run(console)
    assert artifact.manifest and artifact.manifest.training
    recipe = artifact.manifest.training["recipe"]
    assert (recipe["epochs"], recipe["batch_size"], recipe["learning_rate"]) == (2, 16, 0.0088)
    said = shown.getvalue()
    before = said[: said.index("epoch 1/2")]
    assert "3 classes (blue, green, red); 243 images for training, 27 for validation, 30 for testing" in before
    assert "30 steps in 2 epochs, 16 images per step, peak learning rate 0.0088" in before


@pytest.mark.parametrize("validation_split", [0.1, 0])
def test_only_a_run_that_learned_nothing_prints_a_warning(
    validation_split: float, train_only: Path, tmp_path: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    import edgesqz.training.step

    for correct, warns in ((9, True), (25, False)):  # of 27 validation images, or of 27 of a step
        stand_in(lambda *arguments, correct=correct: (1.0, correct))
        monkeypatch.setattr(edgesqz.training.step, "evaluation", lambda network, n=correct: lambda split: n)
        options = {"epochs": 1, "batch_size": 27, "validation_split": validation_split, "force": True}
        artifact = train(train_only, tmp_path, **options)
        assert artifact.manifest and artifact.manifest.training
        warning = artifact.manifest.training["warning"]
        assert bool(warning) is warns
        if warning:
            assert "33.3% of" in warning and "is not significantly better than guessing, 33.3%; try " in warning


def test_the_speed_determines_the_number_of_steps_of_a_run_with_a_duration(
    train_only: Path, tmp_path: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(100_000))
    monkeypatch.setattr("edgesqz.training.loop.time.perf_counter", lambda: next(clock))  # each step takes a second
    stand_in(lambda *arguments: (1.0, 20))
    written = recorded_checkpoints(monkeypatch)
    artifact = edgesqz.train(MODEL, str(train_only), seconds=5.5, batch_size=64, workspace=tmp_path)
    assert artifact.manifest and artifact.manifest.training
    assert written[-1].progress.step == 5
    assert len(artifact.manifest.training["history"]) == artifact.manifest.training["recipe"]["epochs"] == 2
    assert artifact.manifest.training["history"][-1]["training_accuracy"] == pytest.approx(20 / 64)


def test_the_learning_curves_are_plotted(train_only: Path, tmp_path: Path, stand_in: StandIn) -> None:
    stand_in(lambda *arguments: (1.0, 20))
    shown = io.StringIO()
    plot = tmp_path / "curves.svg"
    train(train_only, tmp_path / "workspace", plot=plot, console=Console(file=shown, width=60, color_system=None))
    assert "<!-- learning rate -->" in plot.read_text(encoding="utf-8")
    assert shown.getvalue().endswith(f"wrote {plot}\n")


# Names


def test_two_models_of_one_network_coexist_and_each_resumes_by_its_name(
    train_only: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stand_in: StandIn
) -> None:
    stand_in(lambda *arguments: (1.0, 20))
    train(train_only, tmp_path)
    before = (tmp_path / f"{MODEL}.keras").read_bytes()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        press_ctrl_c(patch, at_step=2)
        train(train_only, tmp_path, name="colors-1.1", seed=1)
    assert checkpoint.exists(Workspace(tmp_path), "colors-1.1")
    assert not checkpoint.exists(Workspace(tmp_path), MODEL)
    artifact = resume(tmp_path, name="colors-1.1")
    assert artifact.path == tmp_path / "colors-1.1.keras"
    assert artifact.manifest and artifact.manifest.name == "colors-1.1"
    assert artifact.manifest.training and artifact.manifest.training["recipe"]["model"] == MODEL
    assert (tmp_path / f"{MODEL}.keras").read_bytes() == before
    assert not list(tmp_path.glob("*.npz"))


def test_a_finished_model_is_kept_unless_forced_and_this_is_reported_before_any_image_is_read(
    train_only: Path, tmp_path: Path, stand_in: StandIn
) -> None:
    stand_in(lambda *arguments: (1.0, 20))
    finished = train(train_only, tmp_path, epochs=1)
    before = finished.path.read_bytes()
    for options in ({}, {"resume": True}):
        with pytest.raises(EdgesqzError, match=rf"{MODEL}\.keras already exists; replace it with force, or "):
            train(tmp_path / "no such folder", tmp_path, **options)
    assert finished.path.read_bytes() == before
    assert train(train_only, tmp_path, epochs=1, seed=1, force=True).path == finished.path
    assert finished.path.read_bytes() != before


@pytest.mark.parametrize(
    "name", ["", "a/b", "..", "mine.int8", "mine.", ".hidden", "-x", "a b", "a\\b", "x" * 65, "x\n"]
)
def test_an_invalid_model_name_is_rejected(name: str, tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match="name must be at most 64 letters, digits, hyphens and underscores"):
        train(tmp_path / "no such folder", tmp_path / "workspace", name=name)


# All images, and a teacher


def test_without_a_validation_split_all_images_train_and_the_last_epoch_is_written(
    train_only: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = recorded_checkpoints(monkeypatch)
    shown = io.StringIO()
    artifact = train(train_only, tmp_path, validation_split=0, console=Console(file=shown, width=60, color_system=None))
    assert artifact.manifest and artifact.manifest.training
    facts = artifact.manifest.training
    assert (facts["validation_accuracy"], facts["validation_images"]) == (None, 0)
    assert all("validation_accuracy" not in entry for entry in facts["history"])
    assert written[-1].progress.step == EPOCHS * (270 // 64)
    assert_same_arrays(loaded(artifact.path).get_weights(), written[-1].weights)
    assert "0 for validation" in shown.getvalue() and ", validation " not in shown.getvalue()


@pytest.mark.usefixtures("tensorflow_in_process")
def test_the_targets_are_the_teachers_predictions_instead_of_the_labels(
    finished: Finished, train_only: Path, tmp_path: Path, stand_in: StandIn
) -> None:
    batches: list[tuple[np.ndarray, int, np.ndarray]] = []

    def step(indices: np.ndarray, view: int, wanted: np.ndarray) -> tuple[float, int]:
        batches.append((indices, view, wanted))
        return 1.0, 0

    stand_in(step)
    artifact = train(
        train_only, tmp_path, epochs=12, validation_split=0, precision="float32", teacher=finished.artifact.path
    )
    assert artifact.manifest and artifact.manifest.training
    assert finished.artifact.manifest
    recipe = Recipe(**artifact.manifest.training["recipe"])
    assert recipe.teacher == finished.artifact.manifest.sha256
    assert artifact.manifest.training["models"] == {"teacher": finished.artifact.path.name}

    from edgesqz.training.step import Views

    split = data.load(str(train_only)).train()
    views = Views(split, split.size, recipe)
    teacher = loaded(finished.artifact.path)
    for indices, view, wanted in batches[::7]:
        softened = teacher.predict(views.pixels(indices, view), verbose=0) ** (1 / recipe.temperature)
        expected = softened / softened.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(wanted, expected, atol=1e-4)
    assert [view for _, view, _ in batches] == np.repeat([*range(10), 0, 1], 270 // 64).tolist()


@pytest.mark.usefixtures("tensorflow_in_process")
def test_a_student_learns_to_predict_like_its_teacher(trained: Path, images: Path, tmp_path: Path) -> None:
    teacher = trained / "colors.keras"
    student = train(images, tmp_path, epochs=5, batch_size=16, learning_rate=0.05, seed=1, teacher=teacher)
    assert student.manifest and student.manifest.training
    losses = [entry["loss"] for entry in student.manifest.training["history"]]  # its divergence from the teacher
    assert losses[-1] < losses[0] / 2


@pytest.mark.usefixtures("tensorflow_in_process")
def test_a_teacher_with_other_inputs_or_classes_is_rejected(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthetic, "COUNTS", {"train": 200, "test": 20})
    with pytest.raises(EdgesqzError, match=r"takes images of shape \(32, 32, 3\) and predicts 3 classes; .* and 10"):
        edgesqz.train(MODEL, "synthetic", teacher=finished.artifact.path, workspace=tmp_path)


def test_a_teacher_of_another_format_predicts_logits(
    train_only: Path, tmp_path: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures: list[str] = []  # not read from a terminal, which is redrawn only ten times a second

    @contextlib.contextmanager
    def progress_bar(*arguments: Any) -> Iterator[Callable[[int, str, str], None]]:
        yield lambda step, epoch, shown: figures.append(shown)

    monkeypatch.setattr("edgesqz.training.loop.progress_bar", progress_bar)
    batches: list[tuple[np.ndarray, int, np.ndarray]] = []

    def step(indices: np.ndarray, view: int, wanted: np.ndarray) -> tuple[float, int]:
        batches.append((indices, view, wanted))
        return 1.0, 0

    stand_in(step)
    teacher, shown = color_onnx(tmp_path / "teacher.onnx"), io.StringIO()
    artifact = train(train_only, tmp_path, validation_split=0, teacher=teacher, console=Console(file=shown, width=200))
    assert f"teacher: {teacher}, which classifies " in shown.getvalue()
    assert figures.count("the teacher predicts the images") == EPOCHS

    from edgesqz.training.step import Views

    assert artifact.manifest and artifact.manifest.training
    recipe = Recipe(**artifact.manifest.training["recipe"])
    split = data.load(str(train_only)).train()
    views = Views(split, split.size, recipe)
    with edgesqz.load(teacher) as engine:
        for indices, view, wanted in batches[::7]:
            logits = engine.predict(views.pixels(indices, view))
            np.testing.assert_allclose(wanted, softmax(logits / recipe.temperature), atol=1e-5)


def test_a_teacher_that_rounds_its_probabilities_is_rejected(train_only: Path, tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match=r"rounds its probabilities to int8.*; export its source model"):
        train(train_only, tmp_path, teacher="squeezenet-nano.int8.tflite")


def test_a_teacher_without_weights_must_be_trained_first(train_only: Path, tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match="no model file 'teacher'; .*; to train it, run edgesqz train"):
        train(train_only, tmp_path, teacher="teacher")


def test_a_teacher_for_images_of_any_size_is_rejected(train_only: Path, tmp_path: Path) -> None:
    teacher = color_onnx(tmp_path / "any.onnx", size="size")
    with pytest.raises(EdgesqzError, match=r"teacher .*any\.onnx: expected a model for images of one size"):
        train(train_only, tmp_path, teacher=teacher)


@pytest.mark.usefixtures("tensorflow_in_process")
def test_a_teacher_with_other_classes_is_rejected(finished: Finished, train_only: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(train_only, tmp_path / "renamed"))
    for split in ("train", "test"):
        (folder / split / "red").rename(folder / split / "zinc")
    with pytest.raises(EdgesqzError, match="class 2 is 'red' in the teacher, but 'zinc' in the dataset"):
        train(folder, tmp_path, teacher=finished.artifact.path)


def test_a_teacher_that_guesses_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic, "COUNTS", {"train": 200, "test": 20})
    teacher = shutil.copy(ZOO / "squeezenet-nano.int8.onnx", tmp_path / "guessing.onnx")  # without its class names
    with pytest.raises(EdgesqzError, match=r"of 200 training images correctly, which is no better than guessing"):
        edgesqz.train(MODEL, "synthetic", teacher=teacher, validation_split=0, workspace=tmp_path / "none")
    assert not list((tmp_path / "none").glob("*.*"))


@pytest.mark.usefixtures("tensorflow_in_process")
def test_a_run_with_a_teacher_is_resumed_only_with_the_same_teacher(
    finished: Finished, train_only: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stand_in: StandIn
) -> None:
    stand_in(lambda *arguments: (1.0, 20))
    teacher = shutil.copy(finished.artifact.path, tmp_path / "teacher.keras")
    with (
        monkeypatch.context() as patch,
        pytest.raises(KeyboardInterrupt, match="continue with resume and the same teacher"),
    ):
        press_ctrl_c(patch, at_step=2)
        train(train_only, tmp_path, teacher=teacher)
    with pytest.raises(EdgesqzError, match=r"was started with teacher teacher\.keras; specify it again"):
        resume(tmp_path)
    with pytest.raises(EdgesqzError, match=r"was started with teacher teacher\.keras; continue it the same way"):
        resume(tmp_path, teacher="squeezenet-nano")
    assert resume(tmp_path, teacher=teacher).path.is_file()


@pytest.mark.skipif(
    not PROCESSOR.is_file() or "avx512_bf16" not in PROCESSOR.read_text(),
    reason="this processor has no bfloat16 instructions",
)
def test_bfloat16_trains_nearly_the_same_and_touches_nothing_else(train_only: Path, tmp_path: Path) -> None:
    import tensorflow as tf

    losses = {}
    for precision in ("float32", "bfloat16"):
        artifact = train(train_only, tmp_path / precision, epochs=1, precision=precision)
        assert artifact.manifest and artifact.manifest.training
        losses[precision] = artifact.manifest.training["history"][0]["loss"]
        assert not any(tf.config.optimizer.get_experimental_options().values())
    assert losses["float32"] != losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.05)


# Ctrl-C and resuming


def test_ctrl_c_leaves_a_checkpoint_and_no_model(interrupted: Path) -> None:
    assert not list(interrupted.glob("*.keras*"))
    left = Checkpoint.read(Workspace(interrupted), MODEL)
    assert left.progress.step == 5
    assert len(left.progress.history) == 1
    assert left.recipe.epochs == EPOCHS


def test_a_resumed_run_gives_the_same_result_as_an_uninterrupted_one(
    finished: Finished, interrupted_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = recorded_checkpoints(monkeypatch)
    artifact = resume(interrupted_copy)
    resumed, straight = written[-1], finished.checkpoints[-1]
    assert resumed.progress.step == straight.progress.step == EPOCHS * STEPS_PER_EPOCH
    assert_same_arrays(resumed.weights, straight.weights)
    assert_same_arrays(resumed.optimizer, straight.optimizer)
    assert artifact.manifest and artifact.manifest.training
    for found, expected in zip(artifact.history, finished.artifact.history, strict=True):
        assert found.pop("images_per_second") > 0
        assert found == pytest.approx({name: expected[name] for name in found}, rel=1e-4)
        assert len(found) == len(expected) - 1
    assert not list(interrupted_copy.glob("*.npz"))


def scalars(folder: Path) -> dict[str, dict[int, float]]:
    """Read the values of each tag by step from the event files of a folder, each of which must occur once."""
    import tensorflow as tf

    found: dict[str, dict[int, float]] = {}
    for path in sorted(folder.iterdir()):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                steps = found.setdefault(value.tag, {})
                assert value.metadata.plugin_data.plugin_name == "scalars"
                assert event.step not in steps
                steps[event.step] = float(tf.make_ndarray(value.tensor))
    return found


def test_tensorboard_can_read_each_epoch_once_it_ends_and_a_resumed_run_continues(
    train_only: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stand_in: StandIn
) -> None:
    import edgesqz.training.step

    counts = itertools.count(1)  # results that differ in each step and each epoch
    stand_in(lambda *arguments: (next(counts) / 2, next(counts)))
    monkeypatch.setattr(edgesqz.training.step, "evaluation", lambda network: lambda split: next(counts))
    workspace, events = tmp_path / "workspace", tmp_path / "runs" / "first"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        press_ctrl_c(patch, at_step=5)
        train(train_only, workspace, tensorboard=events)
    assert set(scalars(events)["loss"]) == {1}
    history = resume(workspace, tensorboard=events).history
    assert len(list(events.iterdir())) == 2
    assert scalars(events) == {
        tag: {epoch: pytest.approx(entry[name]) for epoch, entry in enumerate(history, start=1)}
        for tag, name in (
            ("loss", "loss"),
            ("accuracy/training", "training_accuracy"),
            ("accuracy/validation", "validation_accuracy"),
            ("learning_rate", "learning_rate"),
            ("images_per_second", "images_per_second"),
        )
    }
    assert not list(workspace.rglob("*tfevents*"))


def test_a_run_resumed_with_a_new_tensorboard_folder_writes_all_epochs(
    interrupted_copy: Path, tmp_path: Path, stand_in: StandIn
) -> None:
    stand_in(lambda *arguments: (1.0, 20))
    resume(interrupted_copy, tensorboard=tmp_path / "events")
    assert list(scalars(tmp_path / "events")["loss"]) == [1, 2, 3]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("epochs", 4, "epochs 3, not 4; remove epochs or resume"),
        ("batch_size", 32, "batch_size 64, not 32"),
        ("learning_rate", 0.2, r"learning_rate 0\.1, not 0\.2"),
        ("seed", 1, "seed 0, not 1"),
        ("dataset", "synthetic", "dataset .*, not synthetic"),
    ],
)
def test_a_run_is_not_resumed_with_another_recipe(name: str, value: Any, message: str, interrupted: Path) -> None:
    with pytest.raises(EdgesqzError, match=f"the interrupted run has {message}"):
        resume(interrupted, **{name: value})


def test_an_unfinished_run_is_replaced_only_on_request(
    train_only: Path, interrupted_copy: Path, stand_in: StandIn
) -> None:
    stand_in(lambda *arguments: (1.0, 20))
    with pytest.raises(EdgesqzError, match=f"the checkpoint of an unfinished {MODEL}; continue it with resume, start"):
        train(train_only, interrupted_copy, epochs=1)
    assert checkpoint.exists(Workspace(interrupted_copy), MODEL)
    assert train(train_only, interrupted_copy, epochs=1, force=True).path.is_file()


def test_without_a_checkpoint_there_is_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match=rf"no checkpoint .*{re.escape(CHECKPOINT)} to resume from; .*resume"):
        resume(tmp_path / "workspace")


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def packed_otherwise(content: bytes) -> bytes:
    """Return a file whose directory names a nonexistent compression method."""
    method = content.index(b"PK\x01\x02") + 10
    return content[:method] + b"\x63\x00" + content[method + 2 :]


def without_facts(_: bytes) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, weight0=np.zeros(1))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "damage",
    [
        truncated,
        lambda content: b"",
        lambda content: b"garbage",
        without_facts,
        packed_otherwise,
    ],
    ids=["truncated", "empty", "garbage", "foreign", "packed otherwise"],
)
def test_the_error_for_a_damaged_checkpoint_names_its_path(
    damage: Callable[[bytes], bytes], interrupted_copy: Path
) -> None:
    path = interrupted_copy / CHECKPOINT
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(EdgesqzError, match=rf"the checkpoint .*{re.escape(CHECKPOINT)} is damaged"):
        resume(interrupted_copy)


def test_a_damaged_checkpoint_is_closed(interrupted_copy: Path) -> None:
    path = interrupted_copy / CHECKPOINT
    path.write_bytes(truncated(path.read_bytes()))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with contextlib.suppress(EdgesqzError):
            resume(interrupted_copy)
        gc.collect()
    assert not [str(warning.message) for warning in caught]


@pytest.mark.parametrize("part", ["weights", "optimizer"])
def test_a_checkpoint_of_another_network_is_refused(part: str, interrupted_copy: Path) -> None:
    workspace = Workspace(interrupted_copy)
    left = Checkpoint.read(workspace, MODEL)
    dataclasses.replace(left, **{part: getattr(left, part)[:-1]}).write(workspace)
    with pytest.raises(EdgesqzError, match=f"the checkpoint of {MODEL} is damaged"):
        resume(interrupted_copy)


def test_a_checkpoint_is_read_as_it_was_written(tmp_path: Path) -> None:
    progress = Progress(7, 1.5, 3.25, 40, 0.75, 0.5, [{"loss": 1.0}])
    weights = [
        np.full((2, 3), k, np.float32) for k in range(12)
    ]  # enough that sorting by name would give a wrong order
    Checkpoint(MODEL, Recipe(MODEL, seed=3), progress, weights, [np.array(9, np.int64)]).write(Workspace(tmp_path))
    found = Checkpoint.read(Workspace(tmp_path), MODEL)
    assert (found.recipe, found.progress) == (Recipe(MODEL, seed=3), progress)
    assert [array.tolist() for array in found.weights] == [array.tolist() for array in weights]
    (iterations,) = found.optimizer
    assert (int(iterations), iterations.dtype) == (9, np.dtype(np.int64))


def test_missing_best_weights_are_reported(tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match=rf"the checkpoint .*{MODEL}\.best\.npz is damaged"):
        checkpoint.read_best(Workspace(tmp_path), MODEL)


# Errors during a run


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_nan_loss_stops_the_run_and_keeps_the_previous_epoch(
    loss: float, train_only: Path, tmp_path: Path, stand_in: StandIn
) -> None:
    losses = iter([1.0] * (STEPS_PER_EPOCH + 1) + [loss])
    stand_in(lambda *arguments: (next(losses), 20))
    with pytest.raises(EdgesqzError, match=rf"the loss became {loss} in epoch 2, step 2; .*kept.*learning_rate below"):
        train(train_only, tmp_path)
    left = Checkpoint.read(Workspace(tmp_path), MODEL)
    assert left.progress.step == STEPS_PER_EPOCH
    assert left.progress.epoch_loss == STEPS_PER_EPOCH
    assert not list(tmp_path.glob("*.keras"))


@pytest.mark.parametrize(
    ("learning_rate", "batch_size", "message"),
    [
        (1e30, 64, "the loss became nan in epoch 1, step 2"),
        (1e40, 400, "weights became NaN or infinity in epoch 1, step 1"),  # after a finite loss
        (1e38, 400, "predictions became NaN or infinity in epoch 1, step 1"),  # after finite weights
    ],
)
def test_a_far_too_high_learning_rate_is_reported_and_nothing_is_kept(
    learning_rate: float, batch_size: int, message: str, train_only: Path, tmp_path: Path
) -> None:
    with pytest.raises(EdgesqzError, match=f"{message}; try a learning_rate below"):
        train(train_only, tmp_path, epochs=1, learning_rate=learning_rate, batch_size=batch_size)
    assert {path.name for path in tmp_path.iterdir()} == set()


KEPT = {
    "250kB": checkpoint.Detail.FULL,
    "200kB": checkpoint.Detail.WEIGHTS,
    "150kB": checkpoint.Detail.NOTHING,
}


@pytest.mark.parametrize("quota", KEPT)
def test_checkpoints_keep_as_much_as_fits_the_quota(
    quota: str, train_only: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stand_in: StandIn, peaks: list[int]
) -> None:
    stand_in(lambda *arguments: (1.0, 20))
    written = recorded_checkpoints(monkeypatch)
    shown = io.StringIO()
    artifact = train(train_only, tmp_path, quota=quota, console=Console(file=shown, width=300))
    assert KEPT[quota].value in shown.getvalue()
    assert {bool(each.optimizer) for each in written} == {
        checkpoint.Detail.FULL: {True},
        checkpoint.Detail.WEIGHTS: {False},
        checkpoint.Detail.NOTHING: set(),
    }[KEPT[quota]]
    assert artifact.manifest == Artifact.open(artifact.path).manifest
    assert 100_000 < max(peaks) <= parse_size(quota)
    assert {path.name for path in tmp_path.glob("*.*")} == {".edgesqz", f"{MODEL}.keras", f"{MODEL}.keras.json"}


def test_a_run_reserves_the_space_that_it_needs(
    train_only: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stand_in: StandIn, peaks: list[int]
) -> None:
    stand_in(lambda *arguments: (1.0, 20))
    claimed, claim = list[int](), Workspace.claim

    def noted(home: Workspace, names: Sequence[str], size_bytes: int) -> contextlib.AbstractContextManager[None]:
        claimed.append(size_bytes)
        return claim(home, names, size_bytes)

    monkeypatch.setattr(Workspace, "claim", noted)
    train(train_only, tmp_path, quota="2MB")
    assert claimed[0] * 0.98 < max(peaks) <= claimed[0] + 1000  # the claim itself has some bytes


def test_too_little_space_for_the_finished_model_is_reported_before_the_first_step(
    train_only: Path, tmp_path: Path, stand_in: StandIn
) -> None:
    stand_in(lambda *arguments: pytest.fail("a step was taken"))
    with pytest.raises(EdgesqzError, match=rf"the finished {MODEL}\.keras: .* would not fit the quota of 100\.0 kB"):
        train(train_only, tmp_path, quota="100kB")
    assert not list(tmp_path.glob("*.*z"))


def test_a_run_resumes_without_the_optimizer_state(interrupted_copy: Path) -> None:
    workspace = Workspace(interrupted_copy)
    left = Checkpoint.read(workspace, MODEL)
    dataclasses.replace(left, optimizer=[]).write(workspace)
    assert resume(interrupted_copy).path.is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [({"quota": "lots"}, "expected a size"), ({"epochs": 0}, "epochs must be above 0")],
)
def test_bad_input_is_reported_before_any_work(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match=message):
        train(tmp_path / "no images here", tmp_path / "workspace", **options)


# A step

SIDE = 8


def small_network(normalization: Any = None) -> Any:
    return network_graph(MODEL, classes=3, input_size=SIDE).to_keras(normalization)


def small_split(count: int) -> data.Split:
    return data.Split(noise(count, SIDE, SIDE), np.random.default_rng(1).integers(0, 3, count))


def labels_of(split: data.Split) -> np.ndarray:
    return np.eye(3, dtype=np.float32)[split.labels]


def reference(
    network: Any, views: Any, labels: np.ndarray, wanted: np.ndarray, view: int, temperature: float
) -> tuple[float, int, list[np.ndarray]]:
    """Compute the loss, the number of correct images and the gradients with stock layers, op by op."""
    import keras
    import tensorflow as tf

    scores = keras.Model(network.input, network.get_layer("logits").output)
    batch = tf.cast(views(np.arange(len(labels)), view), tf.float32)
    with tf.GradientTape() as tape:
        logits = scores(batch, training=True)
        difference = tf.math.log(wanted) - tf.nn.log_softmax(logits / temperature)
        loss = temperature**2 * tf.reduce_mean(tf.reduce_sum(wanted * difference, axis=1))
    gradients = tape.gradient(loss, [variable.value for variable in network.trainable_variables])
    correct = np.sum(np.asarray(logits).argmax(axis=1) == labels)
    return float(loss), int(correct), [np.asarray(gradient) for gradient in gradients]


@pytest.mark.parametrize("teacher", [None, "a teacher"])
def test_a_step_uses_nesterov_momentum_and_decays_only_kernels(teacher: str | None) -> None:
    from edgesqz.training.step import FusedBatchNormalization, Views, training_step

    recipe = Recipe(MODEL, learning_rate=0.05, weight_decay=0.3, seed=5, teacher=teacher)
    split = small_split(64)
    stock, fused = small_network(), small_network(FusedBatchNormalization)
    fused.set_weights(stock.get_weights())
    views = Views(split, split.size, recipe)
    wanted = 0.9 * labels_of(split)[:16] + np.float32(0.1 / 3)
    loss, correct, gradients = reference(stock, views, split.labels[:16], wanted, 2, 4.0 if teacher else 1.0)
    before = {variable.path: np.asarray(variable) for variable in fused.trainable_variables}
    _, take_step = training_step(fused, views, recipe)
    found_loss, found_correct = take_step(np.arange(16), 2, wanted)
    assert float(found_loss) == pytest.approx(loss, rel=1e-4)
    assert int(found_correct) == correct
    for variable, gradient in zip(fused.trainable_variables, gradients, strict=True):
        start = before[variable.path]
        decay = 0.3 * start if variable.path.endswith("/kernel") else 0
        expected = start - 0.05 * (1 + recipe.momentum) * (gradient + decay)
        np.testing.assert_allclose(variable, expected, rtol=1e-3, atol=1e-5, err_msg=variable.path)


def test_a_step_uses_the_requested_view() -> None:
    from edgesqz.training.step import Views, training_step

    split, recipe = small_split(32), Recipe(MODEL)
    optimizer, take_step = training_step(small_network(), Views(split, split.size, recipe), recipe)
    optimizer.learning_rate = 0.0
    losses = [float(take_step(np.arange(32), view, labels_of(split))[0]) for view in (0, 1, 0)]
    assert losses[0] == pytest.approx(losses[2], rel=1e-6)
    assert losses[0] != pytest.approx(losses[1], rel=1e-4)


@pytest.mark.parametrize("count", [3, 500, 1203])
def test_the_evaluation_counts_every_image_once(count: int) -> None:
    from edgesqz.training.step import evaluation

    network, split = small_network(), small_split(count)
    top1 = np.asarray(network(split.images.astype(np.float32), training=False)).argmax(axis=1)
    assert evaluation(network)(data.Split(split.images, top1)) == count
    assert evaluation(network)(split) == np.sum(top1 == split.labels)


# Augmentation

SHIFT = 4


def seen(images: np.ndarray, view: int = 0, size: ImageSizeLike | None = None, **recipe: Any) -> np.ndarray:
    """Return images as training sees them."""
    from edgesqz.training.step import Views

    split = data.Split(images, np.zeros(len(images), np.int64))
    return np.asarray(
        Views(split, ImageSize.parse(size or split.size), Recipe(MODEL, **recipe))(np.arange(len(split)), view)
    )


def noise(count: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), np.uint8)


def moved(image: np.ndarray) -> dict[tuple[int, int, bool], np.ndarray]:
    """Return all augmented versions of an image, by its shifts down and right, and whether it is mirrored."""
    side = image.shape[0]
    wide = np.pad(image, ((SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)), mode="reflect")
    return {
        (down, right, mirror): wide[down : down + side, right : right + side][:, :: -1 if mirror else 1]
        for down in range(2 * SHIFT + 1)
        for right in range(2 * SHIFT + 1)
        for mirror in (False, True)
    }


def which(image: np.ndarray, found: np.ndarray) -> tuple[int, int, bool]:
    (choice,) = (choice for choice, crop in moved(image).items() if np.array_equal(crop, found))
    return choice


def test_a_view_is_reproducible_and_differs_from_other_views() -> None:
    images = noise(5, 8, 8)
    first = seen(images, 7, seed=3)
    assert (first.shape, first.dtype) == (images.shape, images.dtype)
    np.testing.assert_array_equal(seen(images, 7, seed=3), first)
    assert not np.array_equal(seen(images, 8, seed=3), first)
    assert not np.array_equal(seen(images, 7, seed=4), first)


def test_a_view_augments_an_image_independently_of_the_batch() -> None:
    from edgesqz.training.step import Views

    split = small_split(20)
    views = Views(split, split.size, Recipe(MODEL))
    everything = np.asarray(views(np.arange(20), 3))
    np.testing.assert_array_equal(views(np.array([7, 2, 19]), 3), everything[[7, 2, 19]])


def test_images_are_shifted_and_reflected_at_the_border_and_half_of_them_mirrored() -> None:
    images = noise(600, 12, 12)
    found = [which(*pair) for pair in zip(images, seen(images), strict=True)]
    assert 240 < sum(mirrored for _, _, mirrored in found) < 360
    for down_or_right in (0, 1):  # every possible shift, in both directions
        assert {choice[down_or_right] for choice in found} == set(range(2 * SHIFT + 1))
    assert len(set(found)) > 100  # of 162, because the three choices are independent


def test_an_image_is_mirrored_in_every_other_view() -> None:
    images = noise(30, 12, 12)
    mirrored = np.array(
        [[which(*pair)[2] for pair in zip(images, seen(images, view), strict=True)] for view in range(4)]
    )
    assert (mirrored[0] == mirrored[2]).all()
    assert (mirrored[1] == mirrored[3]).all()
    assert (mirrored[0] != mirrored[1]).all()


def test_digits_are_shifted_but_not_mirrored() -> None:
    images = noise(200, 12, 12)
    for view in (0, 1):
        found = [which(*pair)[2] for pair in zip(images, seen(images, view, dataset="mnist"), strict=True)]
        assert not any(found)


def test_images_that_are_not_square_are_shifted_on_both_axes() -> None:
    images = noise(300, 12, 20)
    found = set()
    for view, image in zip(seen(images, dataset="mnist"), images, strict=True):
        assert view.shape == image.shape
        wide = np.pad(image, ((SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)), mode="reflect")
        places = [(down, right) for down in range(2 * SHIFT + 1) for right in range(2 * SHIFT + 1)]
        found |= {(d, r) for d, r in places if np.array_equal(wide[d : d + 12, r : r + 20], view)}
    assert len(found) > 60  # of 81


def test_crops_have_their_own_range_on_each_axis() -> None:
    images = noise(300, 8, 12)
    found = set()
    for crop, image in zip(seen(images, size=ImageSize(8, 9), dataset="mnist"), images, strict=True):
        found |= {right for right in range(4) if np.array_equal(image[:, right : right + 9], crop)}
    assert found == set(range(4))


def test_the_evaluation_uses_the_center_on_each_axis() -> None:
    import keras

    from edgesqz.training.step import evaluation

    network = keras.Sequential([keras.Input((4, 6, 3)), keras.layers.GlobalMaxPooling2D()])
    images = np.zeros((1, 6, 10, 3), np.uint8)
    images[0, 1, 2, 1] = 1  # the corner of the center; brighter pixels are outside it
    images[0, 0, :, 0] = images[0, :, 1, 0] = images[0, 5, :, 2] = images[0, :, 8, 2] = 2
    assert evaluation(network)(data.Split(images, np.array([1]))) == 1


def test_crops_are_anywhere_inside_the_image() -> None:
    images = noise(300, 8, 8)
    found = set()
    for crop, image in zip(seen(images, size=5, dataset="mnist"), images, strict=True):
        places = [(down, right) for down in range(4) for right in range(4)]
        found |= {(d, r) for d, r in places if np.array_equal(image[d : d + 5, r : r + 5], crop)}
    assert len(found) == 16


# Batch normalization


def normalizations() -> tuple[Any, Any, np.ndarray]:
    """Return the stock and the fused layer with the same weights, and input for them."""
    import keras

    from edgesqz.training.step import FusedBatchNormalization

    rng = np.random.default_rng(0)
    stock, fused = keras.layers.BatchNormalization(), FusedBatchNormalization()
    for layer in (stock, fused):
        layer.build((None, 4, 5, 3))
    weights = [rng.uniform(0.5, 2, weight.shape) for weight in stock.get_weights()]
    stock.set_weights(weights)
    fused.set_weights(weights)
    return stock, fused, rng.normal(3, 2, (6, 4, 5, 3)).astype(np.float32)


@pytest.mark.parametrize("learning", [False, True], ids=["inference", "training"])
def test_the_fused_normalization_equals_the_stock_one(learning: bool) -> None:
    stock, fused, values = normalizations()
    expected = np.asarray(stock(values, training=learning))
    np.testing.assert_allclose(np.asarray(fused(values, training=learning)), expected, rtol=1e-4, atol=1e-5)


def test_the_fused_normalization_has_the_gradients_of_the_stock_one() -> None:
    import tensorflow as tf

    gradients = []
    for layer in normalizations()[:2]:
        values = tf.Variable(normalizations()[2])
        towards = tf.constant(np.random.default_rng(1).normal(size=values.shape), tf.float32)
        with tf.GradientTape() as tape:
            objective = tf.reduce_sum(layer(values, training=True) * towards)
        of = (values, *(variable.value for variable in layer.trainable_variables))
        gradients.append([np.asarray(gradient) for gradient in tape.gradient(objective, of)])
    for found, expected in zip(*gradients, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_the_fused_normalization_updates_its_averages_like_the_stock_one() -> None:
    stock, fused, values = normalizations()
    before = np.asarray(fused.moving_variance)
    for layer in (stock, fused):
        layer(values, training=True)
    np.testing.assert_allclose(fused.moving_mean, stock.moving_mean, rtol=1e-5)
    # The kernel averages the unbiased variance, and Keras the biased one. Their ratio is n / (n - 1), with n values per
    # channel. For a batch of 128 images of 8 x 8 pixels, the difference is one part in eight thousand.
    count = values[..., 0].size
    step = (np.asarray(stock.moving_variance) - 0.99 * before) * count / (count - 1)
    np.testing.assert_allclose(fused.moving_variance, 0.99 * before + step, rtol=1e-5)


def test_inference_does_not_change_the_averages() -> None:
    _, fused, values = normalizations()
    before = [weight.copy() for weight in fused.get_weights()]
    fused(values, training=False)
    for found, expected in zip(fused.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, expected)


# Hidden output


def say_in_python() -> None:
    print("noise")


def say_on_the_error_stream() -> None:
    print("noise", file=sys.stderr)


def say_by_descriptor_1() -> None:
    os.write(1, b"noise\n")


def say_by_descriptor_2() -> None:
    os.write(2, b"noise\n")


def say_by_a_child() -> None:
    subprocess.run(["/bin/echo", "noise"], check=True)


SAYING = (say_in_python, say_on_the_error_stream, say_by_descriptor_1, say_by_descriptor_2, say_by_a_child)


@pytest.mark.parametrize("say", SAYING)
def test_noise_is_hidden_and_later_output_is_not(say: Callable[[], None], capfd: pytest.CaptureFixture[str]) -> None:
    with backend.hush():
        say()
    assert "".join(capfd.readouterr()) == ""
    say()
    assert "".join(capfd.readouterr()) == "noise\n"


@pytest.mark.parametrize("say", SAYING)
def test_an_exception_carries_the_noise_that_came_before_it(
    say: Callable[[], None], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match="the reason") as caught, backend.hush():
        say()
        raise ValueError("the reason")
    assert caught.value.__notes__ == ["noise\n"]
    print("heard")
    assert "".join(capfd.readouterr()) == "heard\n"


def test_an_exception_carries_the_end_of_much_noise() -> None:
    with pytest.raises(ValueError, match="the reason") as caught, backend.hush():
        print("begin" + 5000 * "." + "end")
        raise ValueError("the reason")
    (note,) = caught.value.__notes__
    assert note.endswith("...end\n")
    assert len(note) == 2000


@pytest.fixture
def without_info() -> Iterator[None]:
    """Configure logging to show only warnings and errors."""
    logging.disable(logging.INFO)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("without_info")
def test_logging_is_hidden_and_restored_afterward(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("edgesqz.noisy")
    logger.setLevel(logging.DEBUG)
    with backend.hush():
        logger.critical("noise")
    logger.info("disabled as before")
    logger.warning("heard")
    assert [record.getMessage() for record in caplog.records] == ["heard"]


def test_warnings_are_hidden_and_restored_afterward() -> None:
    with backend.hush():
        warnings.warn("noise", UserWarning, stacklevel=1)
    with pytest.raises(UserWarning, match="heard"):  # the tests make warnings errors
        warnings.warn("heard", UserWarning, stacklevel=1)


# Other networks and preprocessing


def test_a_network_of_the_comparison_can_be_trained(train_only: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"epochs": 1, "input_size": 48, "batch_size": 64}
    artifact = edgesqz.train("squeezenet-1.1", str(train_only), workspace=tmp_path, **options)
    assert artifact.manifest and artifact.manifest.input.shape == (None, 48, 48, 3)


def test_the_course_crops_at_random_and_its_model_crops_the_center(train_only: Path, tmp_path: Path) -> None:
    recipe: dict[str, Any] = {"preprocessing": "course", "epochs": 1, "batch_size": 64}
    with pytest.raises(EdgesqzError, match="cannot crop images to a larger size"):
        edgesqz.train("squeezenet-course", "synthetic", input_size=40, workspace=tmp_path, **recipe)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic, "COUNTS", {"train": 200, "test": 20})
        artifact = edgesqz.train("squeezenet-course", "synthetic", input_size=24, workspace=tmp_path, **recipe)
    images = synthetic.draw(20, 32, seed=0).images
    rimmed = images.copy()
    for rim in (np.s_[:, :4], np.s_[:, -4:], np.s_[:, :, :4], np.s_[:, :, -4:]):
        rimmed[rim] = 255
    model = loaded(artifact.path)
    seen, expected = model.predict(rimmed, verbose=0), model.predict(images, verbose=0)
    brighter = model.predict((images // 2 + 60).astype(np.uint8), verbose=0)
    np.testing.assert_allclose(seen, expected, atol=1e-6)
    np.testing.assert_allclose(brighter, expected, atol=0.02)  # each image is standardized separately


def test_without_changes_of_the_light_images_stay_bytes_and_with_them_the_same_pixels_move() -> None:
    images = noise(30, 12, 12) // 2 + 64  # without pixels that would be clipped
    same, lit = seen(images, 5), seen(images, 5, contrast=0.2, brightness=0.1)
    assert [each.dtype.name for each in (same, lit)] == ["uint8", "float32"]
    scales = lit.std(axis=(1, 2, 3)) / same.std(axis=(1, 2, 3))
    offsets = lit.mean(axis=(1, 2, 3)) - same.mean(axis=(1, 2, 3))
    assert 0.8 <= scales.min() < 0.9 < 1.1 < scales.max() <= 1.2
    assert -25.5 <= offsets.min() < -10 < 10 < offsets.max() <= 25.5
    expected = same.mean(axis=(1, 2, 3), keepdims=True) * (1 - scales[:, None, None, None])
    expected = expected + scales[:, None, None, None] * same + offsets[:, None, None, None]
    np.testing.assert_allclose(lit, expected, atol=0.01)


def test_the_light_of_a_view_is_reproducible_and_clipped() -> None:
    images = noise(30, 12, 12)
    lit = seen(images, 5, contrast=0.3, brightness=0.15)
    np.testing.assert_array_equal(seen(images, 5, contrast=0.3, brightness=0.15), lit)
    assert (lit.min(), lit.max()) == (0, 255)
    assert not np.array_equal(seen(images, 7, contrast=0.3, brightness=0.15), lit)
