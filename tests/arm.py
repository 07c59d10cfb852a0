"""Compile the C folder for 64-bit ARM, and run its program on an emulated processor with LiteRT's library."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.compiling import executed

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

needs_arm = pytest.mark.skipif(
    not (shutil.which(COMPILER) and shutil.which(EMULATOR) and (SYSROOT / "lib/libstdc++.so.6").exists()),
    reason="needs the Debian packages gcc-aarch64-linux-gnu, libc6-dev-arm64-cross, libstdc++6-arm64-cross, qemu-user",
)


def litert_library(config: pytest.Config, scratch: Path) -> Path:
    """Return LiteRT's shared library for aarch64, of the installed version. Downloads it once."""
    number = version("ai-edge-litert")
    kept = config.cache.mkdir("litert-aarch64") / f"libLiteRt-{number}.so"
    if not kept.exists():
        wheel = (
            "--no-deps",
            "--only-binary=:all:",
            "--platform",
            "manylinux_2_27_aarch64",
            f"ai-edge-litert=={number}",
        )
        got = executed(sys.executable, "-m", "pip", "download", "--quiet", "--dest", scratch, *wheel)
        if got.returncode:
            pytest.skip(f"pip cannot download the aarch64 wheel of ai-edge-litert: {got.stderr}")
        with zipfile.ZipFile(next(scratch.glob("*.whl"))) as content:
            Path(content.extract("ai_edge_litert/libLiteRt.so", scratch)).replace(kept)
    return kept


def emulated(cpu: str, root: Path, library: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program for ARM on an emulated processor.

    Args:
        cpu: A key of ``FEATURES``.
        root: An empty folder for the files that the program finds at ``/``.
        library: LiteRT's shared library.
        command: The program and its arguments.
    """
    (root / "proc").mkdir(parents=True)
    (root / "proc/cpuinfo").write_text(CPUINFO.format(features=FEATURES[cpu], part=PARTS[cpu]))
    (root / "lib").symlink_to(SYSROOT / "lib")
    return executed(EMULATOR, "-cpu", cpu, "-L", root, "-E", f"LITERT_LIBRARY={library}", *command)
