"""Python environments for engines that cannot live in this one, or not at that version; uv makes and keeps them."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Sequence

from edgesqz.errors import EdgesqzError

INSTALL = "pip install 'edgesqz[tflite-runtime]'"
TIMEOUT_S = 600  # for downloading an engine


def python_with(requirements: Sequence[str], python: str | None) -> str:
    """The command line of a Python that has packages and what they need, but nothing of this environment.

    Args:
        requirements: as pip would take them.
        python: the version of Python, such as ``3.11``; None for this one's.

    Raises:
        EdgesqzError: uv is missing, or it cannot make such an environment.
    """
    version = ["--python", python] if python else []
    packages = [part for requirement in requirements for part in ("--with", requirement)]
    # Without --isolated, uv puts a .venv of the current folder behind these packages, and its engine may be taken.
    command = [_uv(), "run", "--quiet", "--isolated", "--no-project", *version, *packages, "python"]
    try:
        made = subprocess.run([*command, "-c", ""], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise EdgesqzError(f"no environment with {', '.join(requirements)} in {TIMEOUT_S} s") from error
    if made.returncode:
        reason = " ".join(made.stderr.split()) or f"uv ended with {made.returncode}"
        raise EdgesqzError(f"cannot make an environment with {', '.join(requirements)}: {reason}")
    return shlex.join(command)


def can_be_made() -> bool:
    """Whether uv is at hand."""
    try:
        _uv()
    except EdgesqzError:
        return False
    return True


def _uv() -> str:
    try:
        from uv import find_uv_bin
    except ImportError:
        found = shutil.which("uv")
    else:
        found = find_uv_bin()
    if not found:
        raise EdgesqzError(f"an engine in an environment of its own needs uv; try {INSTALL}")
    return found
