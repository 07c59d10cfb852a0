"""Separate Python environments for packages that cannot be installed in this one. uv creates and caches them."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Sequence

from edgesqz.errors import EdgesqzError

INSTALL = "pip install 'edgesqz[tflite-runtime]'"
TIMEOUT_S = 600  # time to download an engine


def python_with(requirements: Sequence[str], python: str | None) -> str:
    """Return the command line of an isolated Python with the given packages and their dependencies.

    Args:
        requirements: Packages, as pip expects them.
        python: Version of Python, such as ``3.11``, or None for the version of this environment.

    Raises:
        EdgesqzError: uv is missing, or cannot create such an environment.
    """
    version = ["--python", python] if python else []
    packages = [part for requirement in requirements for part in ("--with", requirement)]
    # Without --isolated, uv adds the .venv of the current folder after these packages, and its engine might be used.
    command = [_uv(), "run", "--quiet", "--isolated", "--no-project", *version, *packages, "python"]
    try:
        created = subprocess.run([*command, "-c", ""], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise EdgesqzError(
            f"creating an environment with {', '.join(requirements)} took longer than {TIMEOUT_S} s"
        ) from error
    if created.returncode:
        reason = " ".join(created.stderr.split()) or f"uv exited with {created.returncode}"
        raise EdgesqzError(f"cannot create an environment with {', '.join(requirements)}: {reason}")
    return shlex.join(command)


def available() -> bool:
    """Return whether uv is installed."""
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
        raise EdgesqzError("a separate Python environment needs uv; try pip install uv")
    return found
