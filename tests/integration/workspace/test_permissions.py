"""A workspace that can be read but not written."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgesqz.workspace import Workspace

# Tests often run as root, which ignores file modes. Without two capabilities, they apply to root as well.
RESTRICTED = """
import ctypes, os, sys
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2
if os.geteuid() == 0:
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-c", *sys.argv[1:]])
"""


COMMAND = "from edgesqz.cli import main; main()"


def run(*arguments: str | Path, program: str = COMMAND) -> subprocess.CompletedProcess[str]:
    """Run a command to which file modes apply."""
    command = [sys.executable, "-c", RESTRICTED, program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def read_only(workspace: Path) -> Iterator[Path]:
    """A workspace that can be read but not written."""
    Workspace(workspace).store_quota("5MB")
    places = [workspace, *workspace.rglob("*")]
    for place in places:
        place.chmod(place.stat().st_mode & ~0o222)
    yield workspace
    for place in places:
        place.chmod(place.stat().st_mode | 0o200)


def test_a_read_only_workspace_can_be_read(read_only: Path, images: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in read_only.rglob("*")}
    image, name = next((images / "test").glob("*/*.png")), "squeezenet-nano.int8.tflite"
    for arguments in (
        ("workspace", "list"),
        ("workspace", "verify"),
        ("workspace", "quota"),
        ("inspect", name),
        ("predict", name, image),
        ("bench", name, "--rounds", "1", "--limit", "6"),
        ("embed", name, "--target", "python"),
    ):
        done = run(*arguments, "--workspace", read_only)
        assert (done.returncode, "error" in done.stderr) == (0, False), (arguments, done.stderr)
    assert {path: path.stat().st_mtime_ns for path in read_only.rglob("*")} == before
