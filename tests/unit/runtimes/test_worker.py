"""The worker: the models it takes, and its description of its machine, which may report less than this one."""

from __future__ import annotations

import importlib
import os
import platform
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edgesqz.machine import machine

worker = importlib.import_module("edgesqz.runtimes.worker")

# The distinctive lines of /proc/cpuinfo on different machines.
PI_OS = """processor\t: 3
BogoMIPS\t: 108.00
CPU implementer\t: 0x41
CPU part\t: 0xd08

Revision\t: c03114
Model\t\t: Raspberry Pi 4 Model B Rev 1.4
"""
PI_OS_32_BIT = "model name\t: ARMv7 Processor rev 3 (v7l)\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n"
PC = "vendor_id\t: AuthenticAMD\nmodel\t\t: 1\nmodel name\t: AMD EPYC: seventh\n"
OTHER_BOARD = "processor\t: 0\nCPU implementer\t: 0x41\n"


def proc(folder: Path, **files: str) -> Path:
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_", "-")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"cpuinfo": PI_OS}, "Raspberry Pi 4 Model B Rev 1.4"),
        ({"cpuinfo": PI_OS_32_BIT}, "Raspberry Pi 4 Model B Rev 1.4"),
        ({"cpuinfo": PC}, "AMD EPYC: seventh"),
        ({"cpuinfo": OTHER_BOARD, "device_tree__model": "Jetson Nano\0"}, "Jetson Nano"),
        ({}, platform.processor() or platform.machine()),
    ],
)
def test_a_machine_has_the_same_name_locally_and_through_a_host(
    files: dict[str, str], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "PROC", proc(tmp_path / "proc", **files))
    assert worker.machine()["cpu"] == name == machine().cpu


def test_memory_that_the_system_does_not_report_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status = "Name:\tpython\nVmRSSx:\t1 kB\nVmRSS:\t  2048 kB\nThreads:\t1\n"
    monkeypatch.setattr(worker, "PROC", proc(tmp_path / "proc", self__status=status))
    assert (worker.status_bytes("VmRSS"), worker.status_bytes("VmHWM")) == (2048 * 1024, None)
    monkeypatch.setattr(worker, "PROC", tmp_path / "nowhere")
    assert worker.status_bytes("VmRSS") is None


def test_a_system_without_sysconf_has_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert worker.machine()["memory_bytes"] > 2**20
    monkeypatch.delattr(os, "sysconf")
    assert worker.machine()["memory_bytes"] is None


def test_an_engine_for_models_of_one_output_rejects_several() -> None:
    image = {"shape": [1, 8, 8, 3], "dtype": "float32", "scale": None, "zero_point": None}
    scores = {"shape": [1, 2], "dtype": "float32", "scale": None, "zero_point": None}
    session = SimpleNamespace(inputs=[image], outputs=[scores, scores])
    runtime = SimpleNamespace(load=lambda content, threads: session)
    with pytest.raises(ValueError, match="expected a model with one input and one output for this engine, got 1 and 2"):
        worker.Worker(runtime, b"", 1, 1.0, 0.0)


class Sums:
    """A session with two inputs, whose outputs are their sum and the first input."""

    inputs = [
        {"name": "a", "shape": [1, 2], "dtype": "float32", "scale": None, "zero_point": None},
        {"name": "b", "shape": [1, 2], "dtype": "int8", "scale": 0.5, "zero_point": 3},
    ]
    outputs = [
        {"shape": [1, 2], "dtype": "float32", "scale": None, "zero_point": None},
        {"shape": [2], "dtype": "float32", "scale": None, "zero_point": None},
    ]

    def run_all(self, *batches: np.ndarray) -> list[np.ndarray]:
        """Return the outputs for stored values."""
        assert [batch.dtype for batch in batches] == [np.float32, np.int8]
        return [batches[0] + 0.5 * (batches[1].astype(np.float32) - 3), batches[0][0]]


def test_a_model_with_several_inputs_runs_once_per_sample() -> None:
    runtime = SimpleNamespace(load=lambda content, threads: Sums())
    found = worker.Worker(runtime, b"", 1, 1.0, 0.0)
    assert not found.takes_images
    a, b = np.arange(6, dtype=np.float32).reshape(3, 1, 2), np.full((3, 1, 2), 10, np.float32)
    batch = worker.unpacked([worker.packed(values) for values in (a, b)])
    np.testing.assert_array_equal(found.predict(batch), np.concatenate([(a + b)[:, 0], a[:, 0]], axis=1))


def test_values_that_are_not_numbers_are_rejected() -> None:
    text = {"shape": [1], "dtype": "string", "scale": None, "zero_point": None}
    session = SimpleNamespace(inputs=[text], outputs=[text], run_all=None)
    with pytest.raises(ValueError, match=r"expected inputs and outputs of numbers, got string of shape \(1,\)"):
        worker.Worker(SimpleNamespace(load=lambda content, threads: session), b"", 1, 1.0, 0.0)
