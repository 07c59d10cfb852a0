"""The C folder on ARM: cross-compiled, and run by QEMU with LiteRT's library for aarch64."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgesqz.embedding import embed
from tests.arm import COMPILER, FEATURES, emulated, litert_library, needs_arm
from tests.compiling import run_make

MODEL = "squeezenet-nano.int8.tflite"

pytestmark = needs_arm


@pytest.fixture(scope="module")
def library(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LiteRT's shared library for aarch64, of the installed version."""
    return litert_library(pytestconfig, tmp_path_factory.mktemp("wheel"))


def compile_app(folder: Path) -> None:
    """Compile the program of a folder."""
    built = run_make(folder, f"CC={COMPILER}")
    assert built.returncode == 0, built.stderr


def passed_on(cpu: str, folder: Path, library: Path, root: Path) -> str:
    """Run a folder's self-test on an emulated processor, and return its output."""
    tested = emulated(cpu, root, library, folder / "edgesqz_app", "--self-test")
    assert tested.returncode == 0, tested.stderr
    return tested.stdout


def test_int8_outputs_on_arm_are_those_of_x86_to_the_byte(library: Path, tmp_path: Path) -> None:
    folder = embed(MODEL, "c", out=tmp_path / "app").folder
    assert "return the same bytes on x86-64, on an emulated Cortex-A72" in (folder / "CONTRACT.md").read_text()
    compile_app(folder)
    for cpu in FEATURES:
        output = passed_on(cpu, folder, library, tmp_path / cpu)
        assert "self-test passed: 8 images, every byte as expected from litert" in output


def test_int4_outputs_on_arm_differ_by_less_than_the_tolerance_that_the_contract_states(
    library: Path, tmp_path: Path
) -> None:
    folder = embed("squeezenet-nano.int4.tflite", "c", out=tmp_path / "app").folder
    contract = " ".join((folder / "CONTRACT.md").read_text().split())
    assert "set `OUTPUT_TOLERANCE` in `test_vectors.h` to 32" in contract
    assert "return the same bytes on x86-64" not in contract
    header = folder / "test_vectors.h"
    header.write_text(header.read_text().replace("OUTPUT_TOLERANCE 0", "OUTPUT_TOLERANCE 32"))
    compile_app(folder)
    for cpu in FEATURES:
        output = passed_on(cpu, folder, library, tmp_path / cpu)
        assert "self-test passed: 8 images, every value within 32 from litert" in output


def test_float_outputs_on_arm_differ_by_less_than_the_tolerance(library: Path, exported: Path, tmp_path: Path) -> None:
    folder = embed(exported / "colors.fp32.tflite", "c", out=tmp_path / "app").folder
    compile_app(folder)
    assert "every value within 0.001 from litert" in passed_on("cortex-a72", folder, library, tmp_path / "root")
