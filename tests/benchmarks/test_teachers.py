"""Compare how fast a teacher predicts as a Keras model and as an int8 ONNX file. Takes two minutes.

The weights are random, because the speed does not depend on them. The two engines take turns. Run it on a quiet
machine, with:
python -m pytest -s tests/benchmarks/test_teachers.py
"""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path

import numpy as np
import pytest

import edgesqz
from edgesqz import backend
from edgesqz.models import loading

IMAGES, ROUNDS = 1000, 5


@pytest.mark.parametrize("name", ["teacher", "squeezenet"])
def test_an_int8_onnx_file_predicts_twice_as_fast(name: str, tmp_path: Path) -> None:
    edgesqz.export(name, "onnx", variant="int8", untrained=True, calibration=8, workspace=tmp_path)
    network = loading.untrained(name).model
    with backend.hush():
        network.save(tmp_path / f"{name}.keras")
    images = np.random.default_rng(0).integers(0, 256, (IMAGES, 32, 32, 3), np.uint8)
    seconds: dict[str, list[float]] = {f"{name}.keras": [], f"{name}.int8.onnx": []}
    engines = {file: edgesqz.load(tmp_path / file, threads=os.cpu_count() or 1) for file in seconds}
    for round_number in range(ROUNDS + 1):
        for file, engine in engines.items():
            start = time.perf_counter()
            engine.predict(images)
            if round_number:  # the first round compiles
                seconds[file].append(time.perf_counter() - start)
    for file, engine in engines.items():
        print(f"{file}: {IMAGES / statistics.median(seconds[file]):.0f} images/s")
        engine.close()
    keras, onnx = (statistics.median(each) for each in seconds.values())
    assert keras > 2 * onnx
