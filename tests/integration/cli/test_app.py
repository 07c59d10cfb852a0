"""The command line from training to measurements, and signals during these commands."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from edgesqz.cli import app
from edgesqz.workspace import Workspace
from tests import in_process, small

NOISE = ("tensorflow", "cuda", "oneDNN", "XNNPACK", "Traceback", "WARNING", "INFO", "deprecated")
EDGESQZ = (sys.executable, "-c", "from edgesqz.cli import main; main()")


def run(*arguments: str | Path) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def run_alone(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command in its own process, as a shell does."""
    return subprocess.run([*EDGESQZ, *map(str, arguments)], capture_output=True, text=True, check=False)


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != "lock"}


def test_all_steps(images: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    workspace = ("--workspace", tmp_path / "workspace")
    options = ("--epochs", "5", "--batch-size", "16", "--learning-rate", "0.05", "--quota", "3MB")
    train = run("train", "--model", small.NETWORK, "--name", "colors", "--dataset", images, *options, *workspace)
    formats = ("--format", "tflite", "--format", "onnx")
    export = run_alone("export", *formats, "--quantize", "--variant", "fp32", "--calibration", "50", *workspace)
    assert export.returncode == 0, export.stderr
    predict = run("predict", "colors.int8.tflite", images / "test/green/0.png", *workspace)
    with in_process.tensorflow():
        bench = run("bench", "--max-size", "100kB", "--rounds", "2", "--json", "report.json", *workspace)
    for done in (train, predict, bench):
        assert done.exit_code == 0, done.stderr

    assert capfd.readouterr() == ("", "")  # from the libraries, which bypass Python's streams
    for result in (train, export, bench, predict):
        assert not [word for word in NOISE if word in result.stdout + result.stderr]
    assert "epoch 5/5: loss" in train.stderr
    assert "colors.keras" in train.stdout
    assert files_below(tmp_path / "workspace") == {
        f"colors.{kind}{suffix}"
        for kind in ("keras", "fp32.tflite", "int8.tflite", "fp32.onnx", "int8.onnx")
        for suffix in ("", ".json")
    }
    assert max(map(len, bench.stdout.splitlines())) <= 100
    rows = json.loads(Path("report.json").read_text())["rows"]
    assert {row["artifact"]: row["within_budget"] for row in rows}["colors.int8.tflite"] is True
    assert "green" in predict.stdout


def stop_at_checkpoint(sent: int) -> None:
    """Send a signal to this process once it has written a checkpoint."""
    write = Workspace.write

    def stopping(workspace: Workspace, contents: Mapping[str, bytes], *others: Any) -> None:
        write(workspace, contents, *others)
        if any(name.endswith(".last.npz") for name in contents):
            Workspace.write = write  # type: ignore[method-assign]
            os.kill(os.getpid(), sent)

    Workspace.write = stopping  # type: ignore[method-assign, assignment]


TRAIN = ("train", "--model", small.ONE_FIRE, "--name", "colors", "--workspace", "workspace", "--quota", "10MB")
RECIPE = ("--scratch", "scratch", "--epochs", "3", "--batch-size", "64", "--dataset")
STOPPED = f"""
import signal, sys
sys.path += {[str(Path(__file__).parent), str(Path(__file__).parents[3])]}
from edgesqz.cli import main
from test_app import stop_at_checkpoint
stop_at_checkpoint(signal.SIGTERM)
main()
"""


def test_sigterm_leaves_a_checkpoint(images: Path, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    command = [sys.executable, "-c", STOPPED, *TRAIN, *RECIPE, str(images)]
    stopped = subprocess.run(command, capture_output=True, text=True, check=False)
    assert stopped.returncode == 143, stopped.stderr
    assert "continue with --resume" in stopped.stderr and not [word for word in NOISE if word in stopped.stderr]
    assert files_below(tmp_path / "workspace") == {"colors.best.npz", "colors.last.npz"}
    assert not list((tmp_path / "scratch").iterdir())


def test_ctrl_c_leaves_a_checkpoint_from_which_training_continues(images: Path, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    stop_at_checkpoint(signal.SIGINT)
    stopped = run(*TRAIN, *RECIPE, images)
    assert stopped.exit_code == 130
    assert "continue with --resume" in stopped.stderr
    assert files_below(tmp_path / "workspace") == {"colors.best.npz", "colors.last.npz"}
    assert not list((tmp_path / "scratch").iterdir())
    result = run(*TRAIN, "--resume")
    assert result.exit_code == 0, result.stderr
    assert "epoch 1/3" not in result.stderr and "epoch 3/3" in result.stderr
    assert files_below(tmp_path / "workspace") == {"colors.keras", "colors.keras.json"}


def test_train_on_synthetic_images(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("edgesqz.data.synthetic.COUNTS", {"train": 300, "test": 50})
    result = run("train", "--model", small.ONE_FIRE, "--dataset", "synthetic", "--epochs", "1", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    path = f"edgesqz-workspace/{small.ONE_FIRE}.keras"
    assert (found["path"], found["validation_images"]) == (path, 30)
    assert files_below(tmp_path) == {path, f"{path}.json"}


@pytest.mark.usefixtures("tensorflow_in_process")
def test_demo_replaces_an_earlier_one_with_another_dataset_and_suggests_a_working_command(
    monkeypatch: pytest.MonkeyPatch, workspace: Path, tmp_path: Path
) -> None:
    workspace.rename(tmp_path / "my demo")
    monkeypatch.setattr("edgesqz.defaults.DEMO_SECONDS", 1e-9)  # not enough for one step
    monkeypatch.setattr("edgesqz.defaults.DEMO_MIN_STEPS", 3)
    monkeypatch.setattr("edgesqz.data.synthetic.COUNTS", {"train": 200, "test": 20})
    monkeypatch.setattr("edgesqz.demonstration.MODEL", small.NETWORK)
    monkeypatch.setattr("edgesqz.demonstration.FILES", [("tflite", "fp32"), ("onnx", "fp32")])
    result = run("demo", "--workspace", "my demo")
    assert result.exit_code == 0, result.output
    assert "3 steps in 1 epoch," in result.stderr and "20 test images of synthetic" in result.stdout
    for kind in ("keras", "fp32.tflite", "fp32.onnx"):
        assert f"{small.NETWORK}.{kind}" in result.stdout
    assert sum(path.stat().st_size for path in (tmp_path / "my demo").iterdir()) <= 2_000_000
    program, *command = shlex.split(result.stdout.splitlines()[-1])
    assert program == "edgesqz"
    predicted = run(*command)
    assert predicted.exit_code == 0, predicted.output
    assert "demo-image.png" in predicted.stdout


def test_a_nan_loss(images: Path, tmp_path: Path) -> None:
    recipe = ("--learning-rate", "1e30", "--batch-size", "128")
    result = run("train", "--model", small.ONE_FIRE, "--dataset", images, *recipe)
    assert result.exit_code == 1
    assert "became NaN or infinity in epoch 1, step 1" in result.stderr
    assert "try a --learning-rate below 1e+30" in result.stderr
    assert files_below(tmp_path) == set()


@pytest.mark.usefixtures("tensorflow_in_process")
def test_layers_and_classes_have_separate_tables(exported: Path) -> None:
    tables = ("--layers", "--per-class", "--choose")
    result = run("bench", "colors.int8.onnx", "--rounds", "1", *tables, "--workspace", exported)
    assert result.exit_code == 0, result.output
    for title in ("top-1 accuracy of each class, %", "SQNR of each layer, dB", "chosen: colors."):
        assert title in result.stdout
