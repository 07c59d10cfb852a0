"""Compile and run the folders that embed writes."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

STRICT = "-O1 -Wall -Wextra -Wdouble-promotion -Werror"


def executed(*command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command and return its output."""
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **options)


def run_make(folder: Path, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run make in a folder, with all warnings as errors."""
    return executed("make", "-C", folder, f"CFLAGS={STRICT}", f"CXXFLAGS={STRICT}", *arguments, **options)
