"""The C folder on ARM: cross-compiled, and run by QEMU with LiteRT's library for aarch64."""

from __future__ import annotations

import shutil
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from edgesqz.embedding import embed
from tests.compiling import executed, run_make

MODEL = "squeezenet-nano.int8.tflite"
COMPILER, EMULATOR, SYSROOT = "aarch64-linux-gnu-gcc", "qemu-aarch64", Path("/usr/aarch64-linux-gnu")

# LiteRT chooses its kernels by the features in /proc/cpuinfo, so QEMU needs a processor's own file there. Do not use
# "-cpu max": QEMU 7.2 emulates its SME instructions, for which LiteRT has kernels too, wrongly.
FEATURES = {
    "cortex-a72": "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid",
    "neoverse-n1": "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
}
PARTS = {"cortex-a72": "0xd08", "neoverse-n1": "0xd0c"}
CPUINFO = """\
processor\t: 0
Features\t: {features}
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: {part}
CPU revision\t: 3
"""

pytestmark = pytest.mark.skipif(
    not (shutil.which(COMPILER) and shutil.which(EMULATOR) and (SYSROOT / "lib/libstdc++.so.6").exists()),
    reason="needs the Debian packages gcc-aarch64-linux-gnu, libc6-dev-arm64-cross, libstdc++6-arm64-cross, qemu-user",
)


@pytest.fixture(scope="module")
def library(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LiteRT's shared library for aarch64, of the installed version."""
    number = version("ai-edge-litert")
    kept = pytestconfig.cache.mkdir("litert-aarch64") / f"libLiteRt-{number}.so"
    if not kept.exists():
        folder = tmp_path_factory.mktemp("wheel")
        wheel = (
            "--no-deps",
            "--only-binary=:all:",
            "--platform",
            "manylinux_2_27_aarch64",
            f"ai-edge-litert=={number}",
        )
        got = executed(sys.executable, "-m", "pip", "download", "--quiet", "--dest", folder, *wheel)
        if got.returncode:
            pytest.skip(f"pip cannot download the aarch64 wheel of ai-edge-litert: {got.stderr}")
        with zipfile.ZipFile(next(folder.iterdir())) as content:
            Path(content.extract("ai_edge_litert/libLiteRt.so", folder)).replace(kept)
    return kept


def compile_app(folder: Path) -> None:
    """Compile the program of a folder."""
    built = run_make(folder, f"CC={COMPILER}")
    assert built.returncode == 0, built.stderr


def passed_on(cpu: str, folder: Path, library: Path, root: Path) -> str:
    """Run a folder's self-test on an emulated processor, and return its output."""
    (root / "proc").mkdir(parents=True)
    (root / "proc/cpuinfo").write_text(CPUINFO.format(features=FEATURES[cpu], part=PARTS[cpu]))
    (root / "lib").symlink_to(SYSROOT / "lib")
    setting = f"LITERT_LIBRARY={library}"
    tested = executed(EMULATOR, "-cpu", cpu, "-L", root, "-E", setting, folder / "edgesqz_app", "--self-test")
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
