"""Compare the int4 files in the zoo on an emulated ARM processor and on this one, on the test images of CIFAR-10.

This uses the test images once more. QEMU takes ten minutes on a quiet machine. Run it with:
EDGESQZ_DATA_DIR=FOLDER python -m pytest -s tests/benchmarks/test_int4_on_arm.py
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import edgesqz
from edgesqz import data
from edgesqz.artifact import ZOO
from edgesqz.embedding import embed
from tests.arm import COMPILER, emulated, litert_library, needs_arm
from tests.compiling import executed

CPU = "neoverse-n1"
DATA_DIR = os.environ.get("EDGESQZ_DATA_DIR")
PROGRAM = Path(__file__).with_name("outputs.c")


@needs_arm
@pytest.mark.skipif(not DATA_DIR, reason="needs CIFAR-10 in EDGESQZ_DATA_DIR")
@pytest.mark.parametrize("network", ["squeezenet-nano", "squeezenet"])
def test_int4_is_as_accurate_on_arm(network: str, pytestconfig: pytest.Config, tmp_path: Path) -> None:
    model = ZOO / f"{network}.int4.tflite"
    folder = embed(model, "c", out=tmp_path / "app").folder
    sources = (PROGRAM, *(folder / name for name in ("model.c", "image.c", "test_vectors.c")))
    program, images, outputs = (tmp_path / name for name in ("program", "images", "outputs"))
    compiled = executed(COMPILER, "-O2", "-I", folder, "-o", program, *sources, "-ldl", "-lm")
    assert compiled.returncode == 0, compiled.stderr
    library = litert_library(pytestconfig, tmp_path)

    test = data.load("cifar10", Path(str(DATA_DIR))).test()
    images.write_bytes(test.images.tobytes())
    ran = emulated(CPU, tmp_path / "root", library, program, images, outputs)
    assert ran.returncode == 0, ran.stderr
    on_arm = np.fromfile(outputs, np.int8).reshape(len(test), -1).argmax(axis=1)
    with edgesqz.load(model) as loaded:
        here = loaded.predict(test.images).argmax(axis=1)
    correct_here, correct_on_arm = ((found == test.labels).sum() for found in (here, on_arm))
    print(
        f"{network}: the same label for {(on_arm == here).sum():,} of {len(test):,} images; "
        f"correct: {correct_here:,} here, {correct_on_arm:,} on an emulated {CPU}"
    )
    assert (on_arm == here).mean() > 0.97
