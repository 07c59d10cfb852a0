"""The program that converts a model file in a separate process, possibly in another environment.

Usage: worker.py READER SOURCE TARGET, where READER is the file of a reader module. It prints only one line of JSON
with ``version``, the version of the converting package, or ``error``.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import IO

COLORS = re.compile(r"\x1b\[[0-9;]*m")


def convert(reader: Path, source: Path, target: Path) -> dict[str, str]:
    """Convert a file. Return the version of the package that did it, or the error."""
    with tempfile.TemporaryFile("w+", errors="replace") as noise:
        os.dup2(noise.fileno(), 1)
        os.dup2(noise.fileno(), 2)
        try:
            module = runpy.run_path(str(reader))
            target.write_bytes(module["read"](source.read_bytes()))
        except SystemExit:  # some packages exit after printing an error
            return {"error": last_error(noise)}
        except Exception as error:  # noqa: BLE001 (any error is reported to the other process)
            return {"error": f"{type(error).__name__}: {error}".strip().partition("\n")[0]}
        return {"version": version(module["REQUIREMENTS"])}


def version(requirements: tuple[str, ...]) -> str:
    """Return the installed version of the first required package, or an empty string if there is none."""
    return metadata.version(re.split(r"[^\w-]", requirements[0])[0]) if requirements else ""


def last_error(noise: IO[str]) -> str:
    """Return the last printed line that reports an error, or else the last line."""
    sys.stdout.flush()
    noise.seek(0)
    lines = [line.strip() for line in COLORS.sub("", noise.read()).splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["the converting package ended without a message"])[-1]


if __name__ == "__main__":
    answer = os.fdopen(os.dup(1), "w")
    json.dump(convert(*map(Path, sys.argv[1:])), answer)
    answer.close()
