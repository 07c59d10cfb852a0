"""The runtimes in an installed browser. The tests are skipped without one, or without the npm package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import edgesqz
from edgesqz import data
from edgesqz.artifact import ZOO, Artifact
from edgesqz.benchmarking import candidate
from edgesqz.benchmarking.candidate import Candidate
from edgesqz.engine import engine, open_engine
from tests.browsers import install_fake, install_or_skip
from tests.rows import errors_by_name, errors_of
from tests.waiting import wait_for


def test_a_page_predicts_the_same_as_the_native_engine_and_a_damaged_file_costs_its_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_or_skip("onnxruntime-web")
    monkeypatch.setattr(candidate, "MAX_WARM_UP_ROUNDS", 1)
    content = (ZOO / "squeezenet-nano.int8.onnx").read_bytes()
    names = "intact.onnx", "damaged.onnx"
    for name, part in zip(names, (content, content[:1000]), strict=True):
        (tmp_path / name).write_bytes(part)  # without a manifest and without its source model
    report = edgesqz.bench(
        names, runtimes=["onnxruntime", "onnxruntime-web"], rounds=2, threads=2, dataset="synthetic", limit=20
    )
    assert [name for name, error in errors_by_name(report).items() if error] == ["damaged.onnx"]
    native, page = report.measured
    assert (native.runtime, page.runtime) == ("onnxruntime", "onnxruntime-web")
    assert page.runtime_version and page.runtime_version.startswith("1.30.0 (Chrome ")
    assert page.runtime_version.endswith(", SIMD, 2 threads)")
    assert native.evaluation and page.evaluation
    assert page.evaluation.confusion == native.evaluation.confusion
    assert page.performance
    latency = page.performance.latency_us
    assert latency.p50 > 0 and latency.n >= 200 and latency.batch == 100 and latency.p99 is None
    assert page.performance.memory_bytes is None or page.performance.memory_bytes > 2**20


def test_an_int8_tflite_file_gives_the_same_bytes_in_a_page_as_natively() -> None:
    install_or_skip("@tensorflow/tfjs-tflite")
    artifact = Artifact.open(ZOO / "squeezenet-nano.int8.tflite")
    images = data.draw(4, 32, seed=1).images[:4]
    with open_engine(artifact, runtime="litert-web") as page, open_engine(artifact) as native:
        assert (page.input, page.output) == (native.input, native.output)  # with their scales
        np.testing.assert_array_equal(page.predict(images), native.predict(images))
        assert page.version.startswith("0.0.1-alpha.10 (Chrome ")


@pytest.mark.parametrize(
    ("habit", "message"),
    [
        ("sys.exit()", "the browser ended unexpectedly"),
        ("continue", "the engine did not answer within 1 s"),  # as if the page's script were in an infinite loop
        ("os.kill(os.getpid(), signal.SIGSTOP)", "the engine did not answer within 1 s"),
    ],
)
def test_a_browser_that_fails_costs_only_its_row_and_leaves_nothing_behind(
    habit: str, message: str, fake_exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_or_skip("onnxruntime-web")
    install_fake(tmp_path, monkeypatch, f"if values['expression'].startswith('set'): {habit}")
    warm_up = Candidate.warm_up

    def warm_up_impatiently(candidate: Candidate, *arguments: Any) -> None:
        with monkeypatch.context() as patched:
            if str(candidate.choice) == "onnxruntime-web":  # a slow machine can delay the others
                patched.setattr(engine, "ANSWER_TIMEOUT_S", 1)
            warm_up(candidate, *arguments)

    monkeypatch.setattr(Candidate, "warm_up", warm_up_impatiently)
    report = edgesqz.bench(
        "squeezenet-nano.int8.onnx", runtimes=["fake", "onnxruntime-web"], rounds=1, limit=3, workspace=fake_exported
    )
    assert errors_of(report) == [None, None, message]
    wait_for(lambda: not list(tmp_path.glob("edgesqz-browser-*")))
    wait_for(lambda: not [each for each in psutil.process_iter(["cmdline"]) if started_in(tmp_path, each)])


def started_in(folder: Path, process: psutil.Process) -> bool:
    return str(folder) in " ".join(process.info["cmdline"] or ())
