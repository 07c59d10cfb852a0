"""Compare the bench's latencies with a native C program and LiteRT's own tool. Takes two minutes on a quiet machine.

Run it with: python -m pytest -s tests/benchmarks/test_latency.py
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from edgesqz.artifact import ZOO, Artifact
from edgesqz.engine import open_engine

ROUNDS, RUNS_PER_ROUND = 40, 50
WARM_UP = 300
MIN_US = 50  # shortest latency for which the promise holds


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the command that starts the compiled program, with the library that it loads."""
    binary = tmp_path_factory.mktemp("native") / "native"
    source = Path(__file__).with_name("native.c")
    subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", binary, source, "-ldl"], check=True)
    package = importlib.util.find_spec("ai_edge_litert")
    assert package and package.submodule_search_locations
    return [str(binary), f"{package.submodule_search_locations[0]}/libLiteRt.so"]


@contextmanager
def native(program: list[str], model: Path) -> Iterator[subprocess.Popen[str]]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([*program, str(model)], text=True, **pipes) as process:  # type: ignore[call-overload]
        yield process
        process.stdin.close()


def timed(process: subprocess.Popen[str], count: int) -> list[int]:
    assert process.stdin and process.stdout
    process.stdin.write(f"{count}\n")
    process.stdin.flush()
    return [int(number) for number in process.stdout.readline().split()]


@pytest.mark.parametrize("name", ["squeezenet.int8.tflite", "squeezenet-nano.int8.tflite"])
def test_the_bench_agrees_with_a_native_program(name: str, program: list[str]) -> None:
    core = min(os.sched_getaffinity(0))  # the same for both, because the cores of a shared machine differ in speed
    with (
        open_engine(Artifact.open(ZOO / name), pinned_to=core) as engine,
        native(program, ZOO / name) as process,
    ):
        os.sched_setaffinity(process.pid, {core})
        engine.first_us(np.zeros((1, 32, 32, 3), np.uint8))
        engine.time_ns(WARM_UP)
        timed(process, WARM_UP)
        rounds = [(engine.time_ns(RUNS_PER_ROUND), timed(process, RUNS_PER_ROUND)) for _ in range(ROUNDS)]
    ours, theirs = (statistics.median(statistics.median(pair[who]) / 1000 for pair in rounds) for who in (0, 1))
    print(f"{name}: {ours:.1f} µs in the bench, {theirs:.1f} µs in C, {ours / theirs - 1:+.1%}")
    if theirs <= MIN_US:
        pytest.skip(f"{name} takes {theirs:.1f} µs here; the promise is for models over {MIN_US} µs")
    assert ours == pytest.approx(theirs, rel=0.05)


def measured_by_litert(model: Path, threads: int, report: Path) -> float:
    """Return the median that LiteRT's own benchmark tool reports, in microseconds, to the nearest ten."""
    tool = Path(sys.executable).with_name("litert-benchmark")
    runs = ["--num_runs", str(ROUNDS * RUNS_PER_ROUND), "--warmup_runs", str(WARM_UP)]
    command = [str(tool), "--model", str(model), "--num_threads", str(threads), *runs, "--result_json", str(report)]
    subprocess.run(command, capture_output=True, check=True)
    return 1000 * float(json.loads(report.read_text())["latency"]["median_ms"])


@pytest.mark.parametrize("threads", [1, 2])
def test_the_bench_agrees_with_litert_on_several_threads(threads: int, tmp_path: Path) -> None:
    cores = os.sched_getaffinity(0)
    if threads > len(cores):
        pytest.skip(f"needs {threads} cores, this machine has {len(cores)}")
    model, pairs = ZOO / "squeezenet.int8.tflite", []
    try:
        os.sched_setaffinity(0, sorted(cores)[:threads])  # inherited by the processes of both
        with open_engine(Artifact.open(model), threads=threads) as engine:
            engine.first_us(np.zeros((1, 32, 32, 3), np.uint8))
            for _ in range(9):
                engine.time_ns(WARM_UP)
                ours = statistics.median(engine.time_ns(ROUNDS * RUNS_PER_ROUND)) / 1000
                pairs.append((ours, measured_by_litert(model, threads, tmp_path / "report.json")))
    finally:
        os.sched_setaffinity(0, cores)
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    ours, theirs = (statistics.median(each) for each in zip(*pairs, strict=True))
    print(f"{model.name}, {threads} threads: {ours:.0f} µs in the bench, {theirs:.0f} µs by LiteRT's own tool")
    assert ratio == pytest.approx(1, rel=0.1)
