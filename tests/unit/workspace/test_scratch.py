"""Temporary files go to the chosen folder, are measured, and count against the quota in a workspace."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from edgesqz import EdgesqzError
from edgesqz.workspace import Workspace
from edgesqz.workspace.scratch import scratch


def test_temporary_files_of_this_process_and_its_children_go_to_the_folder(tmp_path: Path) -> None:
    before = tempfile.gettempdir()
    with scratch(tmp_path, Workspace(tmp_path / "workspace"), 0):
        with tempfile.NamedTemporaryFile() as here:
            assert tmp_path in Path(here.name).parents
        program = "import tempfile; print(tempfile.mkdtemp())"
        there = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
        assert tmp_path in Path(there.strip()).parents
    assert tempfile.gettempdir() == before
    assert "TMPDIR" not in os.environ
    assert not list(tmp_path.iterdir())


def test_the_peak_size_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "edgesqz")
    with scratch(tmp_path, Workspace(tmp_path / "workspace"), 0):
        for size in (3_000_000, 200_000):
            with (
                tempfile.TemporaryDirectory() as folder
            ):  # removed immediately, so that a sample every 5 ms would miss it
                Path(folder, "a").write_bytes(bytes(size))
    assert caplog.messages == [f"temporary files: 3.0 MB at peak, in {tmp_path}"]


def test_a_scratch_folder_in_the_workspace_is_charged_in_advance(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, 1000)
    with scratch(tmp_path, workspace, 600):
        Path(tempfile.gettempdir(), "a").write_bytes(bytes(100))
        with pytest.raises(EdgesqzError, match="would not fit the quota"):
            Workspace(tmp_path, 1000).write({"a": bytes(400)})
    with pytest.raises(EdgesqzError, match="would not fit the quota"), scratch(tmp_path, workspace, 1001):
        pytest.fail("there was no room")
    assert workspace.used_bytes() == 0


def test_exceeding_the_reserved_space_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(EdgesqzError, match="temporary files took 101 bytes of the workspace, more than the 100 bytes"),
        scratch(tmp_path, Workspace(tmp_path, 1000), 100),
    ):
        Path(tempfile.gettempdir(), "a").write_bytes(bytes(101))


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(
            EdgesqzError, match="no folder .*nowhere for temporary files; create it, or choose another scratch_dir"
        ),
        scratch(tmp_path / "nowhere", Workspace(tmp_path), 0),
    ):
        pytest.fail("there was no folder")


def test_folders_of_killed_processes_are_removed_and_those_of_running_ones_are_not(tmp_path: Path) -> None:
    program = f"""
import os, signal
from pathlib import Path
from edgesqz.workspace import Workspace
from edgesqz.workspace.scratch import scratch
with scratch(Path({str(tmp_path)!r}), Workspace(Path("workspace")), 0):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=False)
    (left,) = tmp_path.glob("edgesqz-scratch-*")
    with scratch(tmp_path, Workspace(tmp_path / "workspace"), 0):
        (living,) = tmp_path.glob("edgesqz-scratch-*")
        assert living != left
        program = program.replace("os.kill(os.getpid(), signal.SIGKILL)", "pass")
        subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
        assert living.is_dir()
    assert not list(tmp_path.glob("edgesqz-scratch-*"))
