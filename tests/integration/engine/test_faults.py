"""Engines that misbehave in every way affect only their own rows, and leave no process behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import edgesqz
from edgesqz.benchmarking.candidate import Candidate
from edgesqz.engine import engine
from edgesqz.errors import EdgesqzError
from tests import fakes
from tests.processes import has_ended
from tests.rows import errors_by_name, errors_of

EDGESQZ = (sys.executable, "-c", "from edgesqz.cli import main; main()")
EXPORT = "squeezenet-nano.int8.tflite"  # measured beside its source model
HABITS = {
    "segfault": "the engine's process ended unexpectedly while running this model",
    "hang": "the engine did not answer within 1 s",
    "memory": "Unable to allocate",
    "quit": "the engine's process ended unexpectedly while running this model",
    "raise": "an engine's own trouble",
    "nan": "the model's outputs contain NaN or infinity",
}


@pytest.fixture
def exported(fake_exported: Path) -> Path:
    """Files for the fake engine instead of trained models."""
    return fake_exported


@pytest.fixture
def odd_files(tmp_path: Path, fake_engine: None) -> Path:
    """A folder with a file for each type of misbehavior."""
    (tmp_path / "files").mkdir()
    for habit in (*HABITS, "garbage"):
        (tmp_path / "files" / f"{habit}.fake").write_bytes(fakes.content(habit=habit))
    (tmp_path / "files" / "fine.fake").write_bytes(fakes.content())
    return tmp_path / "files"


def workers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if child.is_running()]


def test_misbehaving_engines_affect_only_their_rows(
    odd_files: Path, images: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    warm_up = Candidate.warm_up

    def warm_up_impatiently(candidate: Candidate, *arguments: Any) -> None:
        with monkeypatch.context() as patched:
            if candidate.path.stem == "hang":  # a slow machine can delay the others
                patched.setattr(engine, "ANSWER_TIMEOUT_S", 1)
            warm_up(candidate, *arguments)

    monkeypatch.setattr(Candidate, "warm_up", warm_up_impatiently)
    before = workers()
    report = edgesqz.bench(sorted(odd_files.iterdir()), dataset=str(images), rounds=2, limit=6)
    errors = {name.removesuffix(".fake"): error for name, error in errors_by_name(report).items()}
    for habit, message in HABITS.items():
        assert message in (errors[habit] or ""), habit
        assert "\n" not in (errors[habit] or "")
    for habit in ("garbage", "fine"):
        assert errors[habit] is None
    assert [row.accuracy for row in report.measured] == [1, 1]
    assert capfd.readouterr() == ("", "")
    assert [worker for worker in workers() if worker not in before] == []


def test_a_process_that_stops_reading_is_killed(odd_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more_than_a_pipe_holds = np.zeros((1000, 32, 32, 3), np.uint8)
    before = workers()
    with engine.Engine(fakes.content(), "fake") as stopped:
        (worker,) = (each for each in workers() if each not in before)
        worker.suspend()
        monkeypatch.setattr(engine, "ANSWER_TIMEOUT_S", 1)
        with pytest.raises(EdgesqzError, match="process ended unexpectedly"):
            stopped.predict(more_than_a_pipe_holds)
    assert not worker.is_running()


def test_a_missing_engine_affects_only_its_row(images: Path, exported: Path, tmp_path: Path) -> None:
    (tmp_path / "model.missing").write_bytes(fakes.content())
    names = [tmp_path / "model.missing", exported / "squeezenet-nano.fp32.onnx"]
    report = edgesqz.bench(names, dataset=str(images), rounds=1, limit=6)
    assert [(name, error is None) for name, error in errors_by_name(report).items()] == [
        ("model.missing", False),
        ("squeezenet-nano.keras", True),
        ("squeezenet-nano.fp32.onnx", True),
    ]
    assert "pip install 'edgesqz-missing-engine>=1'" in (errors_of(report)[0] or "")


def test_when_every_engine_fails_each_row_says_why(odd_files: Path, images: Path) -> None:
    report = edgesqz.bench([odd_files / "raise.fake", odd_files / "quit.fake"], dataset=str(images), rounds=1)
    assert all(errors_of(report))
    with pytest.raises(EdgesqzError, match="nothing to plot"):
        report.plot(odd_files / "plot.png")


# The command, modified to print a line each time an engine is timed.
PRINTING = """
from edgesqz.cli import main
from edgesqz.engine import Engine

time_ns = Engine.time_ns
def printing(engine, count):
    print("timing", flush=True)
    return time_ns(engine, count)
Engine.time_ns = printing
main()
"""


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_and_sigterm_end_every_worker(sent: int, code: int, exported: Path) -> None:
    command = [sys.executable, "-c", PRINTING, "bench", EXPORT, "--rounds", "100000", "--workspace", str(exported)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as bench:
        assert bench.stdout
        engines: list[psutil.Process] = []
        while len(engines) < 2:
            assert bench.stdout.readline() == "timing\n"
            engines = psutil.Process(bench.pid).children(recursive=True)
        os.kill(bench.pid, sent)
        try:
            _, errors = bench.communicate(timeout=120)
        finally:
            bench.kill()  # otherwise, the end of the block would wait for a bench that is still running
    assert bench.returncode == code
    assert errors.strip().splitlines()[-1] == "stopped"
    assert "Traceback" not in errors
    assert all(map(has_ended, engines))


def test_two_benches_at_once_do_not_disturb_each_other(workspace: Path) -> None:
    def started(report: str) -> subprocess.Popen[bytes]:
        options = ["--rounds", "3", "--limit", "6", "--json", report, "--html", f"{report}.html"]
        command = [*EDGESQZ, "bench", EXPORT, *options, "--workspace", str(workspace)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    before = {path: path.read_bytes() for path in workspace.glob("*.*") if path.is_file()}
    for bench in [started("one.json"), started("other.json")]:
        assert bench.wait(timeout=300) == 0
    assert {path: path.read_bytes() for path in workspace.glob("*.*") if path.is_file()} == before
    assert {path.name for path in Path().iterdir()} >= {"one.json", "one.json.html", "other.json", "other.json.html"}
