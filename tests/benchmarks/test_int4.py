"""Compare the int4 files in the zoo with the fp32 and int8 files, on the 10,000 test images of CIFAR-10.

This uses the test images once more. Run it with:
EDGESQZ_DATA_DIR=FOLDER python -m pytest -s tests/benchmarks/test_int4.py
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest

import edgesqz
from edgesqz import data
from edgesqz.artifact import ZOO
from edgesqz.stats import mcnemar_p

DATA_DIR = os.environ.get("EDGESQZ_DATA_DIR")


def predictions(name: str, images: np.ndarray) -> np.ndarray:
    with edgesqz.load(ZOO / name) as model:
        return np.asarray(model.predict(images).argmax(axis=1))


@pytest.mark.skipif(not DATA_DIR, reason="needs CIFAR-10 in EDGESQZ_DATA_DIR")
@pytest.mark.parametrize(("network", "minimum"), [("squeezenet", 0.92), ("squeezenet-nano", 0.888)])
def test_int4_is_nearly_as_accurate_as_fp32(network: str, minimum: float) -> None:
    test = data.load("cifar10", Path(str(DATA_DIR))).test()
    int4 = predictions(f"{network}.int4.tflite", test.images)
    for other in ("keras", "int8.tflite"):
        compared, count = predictions(f"{network}.{other}", test.images), len(test)
        lost = int(((compared == test.labels) & (int4 != test.labels)).sum())
        gained = int(((int4 == test.labels) & (compared != test.labels)).sum())
        # Wald's interval of a difference between paired proportions.
        error = 1.96 * math.sqrt(lost + gained - (lost - gained) ** 2 / count) / count
        agreement, points = (int4 == compared).mean(), 100 * (lost - gained) / count
        print(
            f"{network}.int4.tflite agrees with {network}.{other} on {agreement:.2%} of {count:,} images; "
            f"it loses {points:.2f} ± {100 * error:.2f} points (p = {mcnemar_p(gained, lost):.2g})"
        )
    assert (int4 == test.labels).mean() >= minimum
