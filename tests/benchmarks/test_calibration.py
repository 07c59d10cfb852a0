"""Compare the calibration methods for squeezenet-nano, on training images of CIFAR-10 that did not calibrate it.

The files are the ones that export makes, whether or not it would keep them. Run it with:
EDGESQZ_DATA_DIR=FOLDER python -m pytest -s tests/benchmarks/test_calibration.py
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import edgesqz
from edgesqz import backend, data, plugins
from edgesqz.data import Split
from edgesqz.engine import Engine
from edgesqz.exporting import precision
from edgesqz.models import loading
from edgesqz.workspace import Workspace

MODEL = "squeezenet-nano"
DATA_DIR = os.environ.get("EDGESQZ_DATA_DIR")
FILES = (
    ("onnx", "int8", plugins.MIN_MAX),
    ("onnx", "int8", plugins.PERCENTILE),
    ("tflite", "int4", plugins.MIN_MAX),
    ("tflite", "int4", plugins.MSE),
)


@pytest.mark.skipif(not DATA_DIR, reason="needs CIFAR-10 in EDGESQZ_DATA_DIR")
def test_calibration_methods(tmp_path: Path) -> None:
    train, other = data.holdout_split(data.load("cifar10", Path(str(DATA_DIR))).train(), seed=0)
    calibration, images = data.sample(train, 500, seed=0), data.sample(other, 3000, seed=0)
    with edgesqz.load(f"{MODEL}.keras") as source:
        expected = source.predict(images.images).argmax(axis=1)
    print(f"source model: {(expected == images.labels).mean():.1%} of {len(images):,} images correct")
    accuracies = dict[tuple[str, str], float]()
    for form, variant, method in FILES:
        found = predictions(form, variant, method, calibration, images, Workspace(tmp_path))
        accuracies[variant, method] = (found == images.labels).mean()
        agreement = (found == expected).mean()
        print(f"{form} {variant}, {method}: {accuracies[variant, method]:.1%} correct, agreement {agreement:.1%}")
    assert accuracies["int4", plugins.MIN_MAX] > accuracies["int4", plugins.MSE]


def predictions(
    form: str, variant: str, method: str, calibration: Split, images: Split, workspace: Workspace
) -> np.ndarray:
    converter: Any = plugins.converter(form)
    kind = converter.VARIANTS[variant]
    model, pixels = loading.find(MODEL, workspace, None, None).network(takes_bytes=kind.takes_bytes)
    values = calibration.images.astype(np.float32)
    values[0, 0, :2, 0] = 0, 255  # as in an export, the input spans all bytes
    with backend.hush():
        layerwise = cast(plugins.LayerwiseConverter, converter).layerwise(
            model, [pixels.values(values)[:, None]], method
        )
        content = layerwise.quantize(precision.choose_bits(layerwise.layers, kind.layer_bits, precision.Keep()))
    with Engine(content, plugins.runtime_for(converter.SUFFIX), pixels=pixels) as engine:
        return np.asarray(engine.predict(images.images).argmax(axis=1))
