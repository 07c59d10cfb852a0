"""Measure the overhead of the bench over the time of its engines. Takes half a minute on a quiet machine.

Run it with: python -m pytest -s tests/benchmarks/test_harness.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgesqz
from edgesqz.artifact import ZOO, Artifact
from edgesqz.engine import Engine
from edgesqz.lookup import model_files

IMAGES = 10_000  # as many as CIFAR-10's test split has


def cifar_of_noise(folder: Path) -> Path:
    """Write a test split in CIFAR-10's binary format, with images of noise."""
    manifest = Artifact.open(ZOO / "squeezenet-nano.keras").manifest
    assert manifest
    rows = np.random.default_rng(0).integers(0, 256, (IMAGES, 1 + 3 * 32 * 32), np.uint8)
    rows[:, 0] %= len(manifest.labels)
    source = folder / "cifar-10-batches-bin"
    source.mkdir()
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        (source / f"{name}.bin").write_bytes(rows.tobytes())
    (source / "batches.meta.txt").write_text("\n".join(manifest.labels) + "\n")
    return folder


def test_the_harness_adds_less_than_ten_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited = 0.0

    def timed(method: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            nonlocal waited
            started = time.perf_counter()
            try:
                return method(*arguments, **options)
            finally:
                waited += time.perf_counter() - started

        return wrapped

    for name in ("__init__", "predict", "first_us", "time_ns", "peak_rss_bytes"):
        monkeypatch.setattr(Engine, name, timed(getattr(Engine, name)))
    data_dir, files = cifar_of_noise(tmp_path), model_files(ZOO)
    started = time.perf_counter()
    report = edgesqz.bench(files, data_dir=data_dir)
    whole = time.perf_counter() - started
    assert not report.failures()
    print(f"{len(files)} files, {IMAGES} images: {whole:.1f} s, {waited:.1f} of them in engines")
    assert whole - waited < 10
