"""Compare the int4 files in the zoo on an emulated ARM processor and on this one, on the test images of CIFAR-10.

This uses the test images once more. QEMU takes five minutes on a quiet machine. Run it with:
EDGESQZ_DATA_DIR=FOLDER python -m pytest -s tests/benchmarks/test_int4_on_arm.py
"""

from __future__ import annotations

import os
from collections.abc import Callable
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
@pytest.mark.parametrize(("network", "count"), [("squeezenet-nano", 10_000), ("squeezenet", 4_000)])
def test_int4_is_as_accurate_on_arm(network: str, count: int, pytestconfig: pytest.Config, tmp_path: Path) -> None:
    embedding = embed(ZOO / f"{network}.int4.tflite", "c", out=tmp_path / "app")
    vectors, expected = embedding.contract.images, embedding.contract.outputs["litert"].values
    test = data.load("cifar10", Path(str(DATA_DIR))).test().take(np.arange(count))
    run = build(embedding.folder, litert_library(pytestconfig, tmp_path))

    found = run(vectors)
    differing, steps = (found != expected).sum(), np.abs(found - expected.astype(int)).max()
    same = (found.argmax(axis=1) == expected.argmax(axis=1)).sum()
    print(
        f"{network} on an emulated {CPU}: {differing} of {found.size} bytes of the test vectors differ, by up to "
        f"{steps} steps; the same label for {same} of {len(vectors)}"
    )
    on_arm = run(test.images).argmax(axis=1)
    with edgesqz.load(ZOO / f"{network}.int4.tflite") as model:
        here = model.predict(test.images).argmax(axis=1)
    correct_here, correct_on_arm = ((predicted == test.labels).sum() for predicted in (here, on_arm))
    print(
        f"the same label for {(on_arm == here).sum():,} of the first {count:,} test images; correct: "
        f"{correct_here:,} here, {correct_on_arm:,} on the {CPU}"
    )
    assert (on_arm == here).mean() > 0.97


def build(folder: Path, library: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Compile a folder for ARM, and return the function that turns images into outputs there, int8 (N, classes)."""
    sources = (PROGRAM, *(folder / name for name in ("model.c", "image.c", "test_vectors.c")))
    compiled = executed(COMPILER, "-O2", "-I", folder, "-o", folder / "program", *sources, "-ldl", "-lm")
    assert compiled.returncode == 0, compiled.stderr

    def run(images: np.ndarray) -> np.ndarray:
        given, written, root = (folder / f"{name}-{len(images)}" for name in ("images", "outputs", "root"))
        given.write_bytes(images.tobytes())
        ran = emulated(CPU, root, library, folder / "program", given, written)
        assert ran.returncode == 0, ran.stderr
        return np.fromfile(written, np.int8).reshape(len(images), -1)

    return run
