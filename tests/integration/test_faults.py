"""Engines that misbehave in every way cost their own rows, and nothing of them stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import edgesqz
from edgesqz import plugins
from edgesqz.benchmarking.candidate import Candidate
from edgesqz.engine import engine
from edgesqz.errors import EdgesqzError

RUNTIME = '''
import os, sys, time

import numpy as np

ENGINE, REQUIREMENTS, SUFFIXES, PYTHON = "numpy", ("numpy",), (".odd",), None
TIMED = True


def load(model_bytes, threads):
    return Session(model_bytes.decode())


class Session:
    """Answers the mean of each channel in the order of blue, green and red; the file says what else it does."""

    inputs = [{"shape": [1, 32, 32, 3], "dtype": "float32", "scale": None, "zero_point": None}]
    outputs = [{"shape": [1, 3], "dtype": "float32", "scale": None, "zero_point": None}]

    def __init__(self, habit):
        self.habit = habit
        self.batch = np.zeros((1, 32, 32, 3), np.float32)

    def set_input(self, batch):
        self.batch = batch

    def run_once(self):
        match self.habit:
            case "segfault":
                import ctypes

                ctypes.string_at(0)
            case "hang":
                time.sleep(1000)
            case "garbage":
                os.write(1, b"\\0garbage" * 1000)
                os.write(2, b"garbage")
                print("garbage")
                sys.stdout.flush()
            case "memory":
                import resource

                resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
                self.hoard = np.ones(2**32, np.uint8)
            case "quit":
                os._exit(0)
            case "raise":
                raise RuntimeError("an engine's own trouble\\nin two lines")
            case "nan":
                return np.full((1, 3), np.nan, np.float32)
        return self.batch.mean(axis=(1, 2))[:, ::-1]

    def run(self, batch):
        self.batch = batch
        return self.run_once()
'''
EDGESQZ = (sys.executable, "-c", "from edgesqz.cli import main; main()")
HABITS = {
    "segfault": "the engine's process ended while it worked on this model",
    "hang": "the engine gave no answer in 1 s",
    "memory": "Unable to allocate",
    "quit": "the engine's process ended while it worked on this model",
    "raise": "an engine's own trouble",
    "nan": "the model's outputs contain NaN or infinity",
}


@pytest.fixture
def odd_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a file for each habit of an engine that is installed for this test."""
    installed, files = tmp_path / "site-packages", tmp_path / "files"
    about = installed / "edgesqz_odd-1.0.dist-info"
    about.mkdir(parents=True)
    files.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: edgesqz-odd\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[edgesqz.runtimes]\nodd = edgesqz_odd_runtime\n")
    (installed / "edgesqz_odd_runtime.py").write_text(RUNTIME)
    for habit in (*HABITS, "garbage", "fine"):
        (files / f"{habit}.odd").write_text(habit)
    monkeypatch.syspath_prepend(installed)
    plugins._modules.cache_clear()
    yield files
    plugins._modules.cache_clear()
    sys.modules.pop("edgesqz_odd_runtime", None)


def workers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if child.is_running()]


def test_engines_that_misbehave_cost_their_rows_alone(
    odd_engine: Path, images: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    warm_up = Candidate.warm_up

    def warm_up_impatiently(candidate: Candidate, *arguments: Any) -> None:
        with monkeypatch.context() as patched:
            if candidate.path.stem == "hang":  # the others may be as slow as the machine makes them
                patched.setattr(engine, "ANSWER_TIMEOUT_S", 1)
            warm_up(candidate, *arguments)

    monkeypatch.setattr(Candidate, "warm_up", warm_up_impatiently)
    before = workers()
    report = edgesqz.bench(sorted(odd_engine.iterdir()), dataset=str(images), rounds=2, limit=6)
    rows = {row.artifact.removesuffix(".odd"): row for row in report.rows}
    for habit, told in HABITS.items():
        assert told in (rows[habit].error or ""), habit
        assert "\n" not in (rows[habit].error or "")
    for habit in ("garbage", "fine"):
        assert rows[habit].error is None
        assert rows[habit].accuracy == 1
    assert capfd.readouterr() == ("", "")
    assert [worker for worker in workers() if worker not in before] == []


def test_a_process_that_reads_no_longer_is_given_up(odd_engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more_than_a_pipe_holds = np.zeros((1000, 32, 32, 3), np.uint8)
    before = workers()
    with engine.Engine(b"fine", "odd") as stopped:
        (worker,) = (each for each in workers() if each not in before)
        worker.suspend()
        monkeypatch.setattr(engine, "ANSWER_TIMEOUT_S", 1)
        with pytest.raises(EdgesqzError, match="process ended while"):
            stopped.predict(more_than_a_pipe_holds)
    assert not worker.is_running()


def test_a_missing_engine_costs_its_row_alone(
    odd_engine: Path, images: Path, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = plugins.engine_version
    monkeypatch.setattr(
        plugins, "engine_version", lambda runtime: None if ".odd" in runtime.SUFFIXES else version(runtime)
    )
    names = [odd_engine / "fine.odd", exported / "squeezenet-nano.fp32.onnx"]
    report = edgesqz.bench(names, dataset=str(images), rounds=1, limit=6)
    assert [(row.artifact, row.error is None) for row in report.rows] == [
        ("fine.odd", False),
        ("squeezenet-nano.keras", True),
        ("squeezenet-nano.fp32.onnx", True),
    ]
    assert "pip install" in (report.rows[0].error or "")


def test_where_every_engine_fails_all_rows_tell_why(odd_engine: Path, images: Path) -> None:
    report = edgesqz.bench([odd_engine / "raise.odd", odd_engine / "quit.odd"], dataset=str(images), rounds=1)
    assert all(row.error for row in report.rows)
    with pytest.raises(EdgesqzError, match="nothing to draw"):
        report.plot(odd_engine / "plot.png")


# The command, which says when an engine is at work.
TELLING = """
from edgesqz.cli import main
from edgesqz.engine import Engine

time_ns = Engine.time_ns
def telling(engine, count):
    print("at work", flush=True)
    return time_ns(engine, count)
Engine.time_ns = telling
main()
"""


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_and_sigterm_end_every_worker(sent: int, code: int, exported: Path) -> None:
    command = [sys.executable, "-c", TELLING, "bench", "--rounds", "100000", "--workspace", str(exported)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as bench:
        assert bench.stdout
        engines: list[psutil.Process] = []
        while len(engines) < 5:
            assert bench.stdout.readline() == "at work\n"
            engines = psutil.Process(bench.pid).children(recursive=True)
        os.kill(bench.pid, sent)
        try:
            _, told = bench.communicate(timeout=120)
        finally:
            bench.kill()  # a bench that goes on would be waited for
    assert bench.returncode == code
    assert told.strip().splitlines()[-1] == "stopped"
    assert "Traceback" not in told
    assert not [engine for engine in engines if engine.is_running() and engine.status() != psutil.STATUS_ZOMBIE]


def test_two_benches_at_once_do_not_disturb_each_other(workspace: Path) -> None:
    def started(report: str) -> subprocess.Popen[bytes]:
        options = ["--rounds", "3", "--limit", "6", "--json", report, "--html", f"{report}.html"]
        command = [*EDGESQZ, "bench", *options, "--workspace", str(workspace)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    before = {path: path.read_bytes() for path in workspace.glob("*.*") if path.is_file()}
    for bench in [started("one.json"), started("other.json")]:
        assert bench.wait(timeout=300) == 0
    assert {path: path.read_bytes() for path in workspace.glob("*.*") if path.is_file()} == before
    assert {path.name for path in Path().iterdir()} >= {"one.json", "one.json.html", "other.json", "other.json.html"}


@pytest.mark.parametrize("kind", ["int8.tflite", "fp32.onnx"])
def test_damaged_files_give_a_result_or_a_failed_row(
    kind: str, damaged: Callable[[bytes, int], bytes], exported: Path, images: Path, tmp_path: Path
) -> None:
    """A few of the thousand that the benchmark of damage makes."""
    source_model = (exported / f"squeezenet-nano.{kind}").read_bytes()
    paths = [tmp_path / f"{seed}.{kind}" for seed in range(8)]
    for seed, path in enumerate(paths):
        path.write_bytes(damaged(source_model, seed))
    report = edgesqz.bench(paths, dataset=str(images), pixel_range="-2..1.984", rounds=1, limit=6)
    assert len(report.rows) == len(paths)
    for row in report.rows:
        assert row.accuracy is not None or (row.error and "\n" not in row.error)
    assert any(row.error for row in report.rows)
