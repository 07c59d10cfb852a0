"""Workspaces that are read-only, files of other users, and unreadable files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgesqz.workspace import OWN, Workspace, settle
from tests.permissions import run


@pytest.fixture
def exported(fake_exported: Path) -> Path:
    """Files for the fake engine instead of trained models."""
    return fake_exported


@pytest.fixture(autouse=True, scope="module")
def modes_hold(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skip tests if file modes cannot be enforced."""
    probe = tmp_path_factory.mktemp("modes") / "probe"
    probe.touch(mode=0)
    if not run(probe, program="import sys; open(sys.argv[1])").returncode:
        pytest.skip("file modes do not hold here")


@pytest.mark.parametrize(
    "arguments", [("workspace", "rm", "squeezenet-nano.int8.onnx"), ("workspace", "quota", "9MB"), ("export",)]
)
def test_commands_that_write_to_it_are_rejected_in_one_line(arguments: tuple[str, ...], read_only: Path) -> None:
    done = run(*arguments, "--workspace", read_only)
    assert done.returncode == 1
    assert done.stderr == f"error: the workspace {read_only} cannot be used: Permission denied\n"


def left_in_the_middle(workspace: Path, mark: str) -> None:
    """Leave what a process leaves if it is killed before (``pending``) or after (``committed``) the commit."""
    (workspace / OWN / mark).mkdir()
    (workspace / "squeezenet-nano.int8.onnx.edgesqz-partial").write_bytes(b"new")


@pytest.mark.parametrize(("mark", "code"), [("pending", 0), ("committed", 1)])
def test_an_unfinished_change_is_invisible_to_readers_or_reported(mark: str, code: int, read_only: Path) -> None:
    read_only.chmod(0o755)
    (read_only / OWN).chmod(0o755)
    left_in_the_middle(read_only, mark)
    (read_only / OWN).chmod(0o555)
    read_only.chmod(0o555)
    done = run("workspace", "verify", "--workspace", read_only)
    assert done.returncode == code
    if code:
        assert done.stderr.startswith(f"error: a change of the workspace {read_only} is unfinished")
        assert done.stderr.count("\n") == 1


def test_in_a_writable_workspace_the_change_is_completed_before_reading(workspace: Path) -> None:
    Workspace(workspace).store_quota("5MB")
    left_in_the_middle(workspace, "committed")
    settle(workspace)
    assert (workspace / "squeezenet-nano.int8.onnx").read_bytes() == b"new"


def test_the_scratch_folder_of_another_user_is_not_touched(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from edgesqz.workspace import Workspace
from edgesqz.workspace.scratch import scratch
with scratch(Path(sys.argv[1]), Workspace(Path("workspace")), 0):
    pass
"""
    foreign = tmp_path / "edgesqz-scratch-foreign"
    foreign.mkdir()
    (foreign / ".lock").touch(mode=0)
    foreign.chmod(0o555)
    done = run(tmp_path, program=program)
    foreign.chmod(0o755)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (foreign / ".lock").exists()


def test_an_unreadable_file_affects_only_its_row(workspace: Path) -> None:
    unreadable = [workspace / "squeezenet-nano.int8.tflite", workspace / "foreign.onnx"]
    unreadable[1].touch()
    for path in unreadable:
        path.chmod(0)
    options = ("--rounds", "1", "--limit", "6", "--json", "report.json", "--workspace", workspace)
    done = run("bench", *unreadable, workspace / "squeezenet-nano.fp32.onnx", *options)
    rows = {row["artifact"]: row for row in json.loads(Path("report.json").read_text())["rows"]}
    failed = {name: row["error"] for name, row in rows.items() if "error" in row}
    assert failed == {path.name: f"cannot read {path}: Permission denied" for path in unreadable}
    assert rows.keys() - failed.keys() == {"squeezenet-nano.keras", "squeezenet-nano.fp32.onnx"}
    assert f"failed: foreign.onnx: cannot read {unreadable[1]}: Permission denied" in done.stderr
    for arguments in (("inspect", unreadable[0]), ("predict", unreadable[0], "a.png"), ("export", "foreign.keras")):
        (workspace / "foreign.keras").touch(mode=0)
        result = run(*arguments, "--workspace", workspace)
        assert result.returncode == 1
        assert result.stderr.startswith("error: cannot read ") and result.stderr.count("\n") == 1
