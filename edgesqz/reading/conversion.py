"""Convert another tool's model file to a float .tflite file, in a separate process and, if necessary, environment."""

from __future__ import annotations

import contextlib
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgesqz import plugins
from edgesqz.engine import environments
from edgesqz.errors import EdgesqzError


@dataclass(frozen=True, eq=False)
class Conversion:
    """A converted file.

    Attributes:
        content: A .tflite file with float weights.
        versions: The version of the package that converted it, by the package's name. Empty if none was necessary.
    """

    content: bytes
    versions: dict[str, str]


def to_tflite(reader: plugins.Reader, content: bytes, suffix: str) -> Conversion:
    """Convert a model file.

    Args:
        reader: The reader of the file's format.
        content: The file, as the reader prepared it.
        suffix: The suffix of the file.

    Raises:
        EdgesqzError: The environment that the reader needs cannot be created, or the file cannot be converted.
    """
    program = [str(path) for path in plugins.reader_program(reader)]
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / f"source{suffix}", Path(folder) / "target.tflite"
        source.write_bytes(content)
        # -P keeps the program's folder out of the module path: a reader may have the same name as a package.
        with _running([*_python(reader), "-P", *program, str(source), str(target)]) as process:
            output, _ = process.communicate()
        answer = _parsed(output)
        if "error" in answer:
            raise EdgesqzError(answer["error"])
        package = reader.REQUIREMENTS[0].split(">")[0].split("=")[0] if reader.REQUIREMENTS else ""
        return Conversion(target.read_bytes(), {package: answer["version"]} if package else {})


def _python(reader: plugins.Reader) -> list[str]:
    if not reader.REQUIREMENTS:
        return [sys.executable]
    return shlex.split(environments.python_with(reader.REQUIREMENTS, reader.PYTHON))


def _parsed(output: bytes) -> dict[str, str]:
    try:
        return dict(json.loads(output))
    except ValueError:  # the process was killed, for example because memory ran out
        return {"error": "the converting process ended unexpectedly; it may have run out of memory"}


@contextlib.contextmanager
def _running(command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command. If the block raises, kill the process and those that it started."""
    import psutil

    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        except BaseException:
            with contextlib.suppress(psutil.NoSuchProcess):
                for child in psutil.Process(process.pid).children(recursive=True):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        child.kill()
            process.kill()
            raise
