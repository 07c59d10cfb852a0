"""Separate environments for engines, and messages if one cannot be created."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgesqz import EdgesqzError
from edgesqz.engine import environments
from edgesqz.engine.environments import python_with


@pytest.fixture
def fake_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fake uv that prints its arguments."""
    script = tmp_path / "uv"
    script.write_text(f"#!{sys.executable}\nimport sys\nprint(sys.argv[1:])\n")
    script.chmod(0o755)
    monkeypatch.setitem(sys.modules, "uv", None)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return script


def test_the_command_names_the_packages_and_the_python(fake_uv: Path) -> None:
    command = python_with(["engine==1.2", "numpy<2"], "3.11")
    assert shlex.split(command)[1:] == [
        *("run", "--quiet", "--isolated", "--no-project", "--python", "3.11"),
        *("--with", "engine==1.2", "--with", "numpy<2", "python"),
    ]
    assert "--python" not in shlex.split(python_with(["engine"], None))


def test_a_failed_environment_is_reported_with_the_reason_uv_gave(fake_uv: Path) -> None:
    fake_uv.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('no such\\n  version')\n")
    with pytest.raises(EdgesqzError, match=r"cannot create an environment with engine==9: no such version$"):
        python_with(["engine==9"], None)


def test_creating_an_environment_times_out(fake_uv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(command: list[str], **options: Any) -> None:
        raise subprocess.TimeoutExpired(command, options["timeout"])

    monkeypatch.setattr(subprocess, "run", endless)
    with pytest.raises(EdgesqzError, match="creating an environment with engine took longer than 600 s"):
        python_with(["engine"], None)


def test_without_uv_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uv", None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(EdgesqzError, match=r"needs uv; try pip install uv"):
        python_with(["engine"], None)


def test_a_virtual_environment_in_the_current_folder_is_ignored(tmp_path: Path) -> None:
    if not environments.available():
        pytest.skip("no uv here")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / ".venv"], check=True)
    (site_packages,) = (tmp_path / ".venv/lib").glob("python*/site-packages")
    (site_packages / "an_engine.py").touch()
    try:
        python = shlex.split(python_with([], None))
    except EdgesqzError as error:
        pytest.skip(str(error))
    assert subprocess.run([*python, "-c", "import an_engine"], capture_output=True, check=False).returncode == 1
