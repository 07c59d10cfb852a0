"""Starting Keras."""

from __future__ import annotations

import functools
import os
import subprocess
import sys

import pytest

LIBRARY, COMMAND_LINE = "", "import edgesqz.cli"
PROGRAM = """
import sys
{first}
from edgesqz import backend
backend.start_keras()
print("matplotlib" in sys.modules, "pandas" in sys.modules)
print("started", file=sys.stderr)
import keras, matplotlib, pandas, tensorflow
print(keras.backend.backend())
tensorflow.get_logger().warning("a retracing, say")
"""


@functools.cache
def started(first: str) -> subprocess.CompletedProcess[str]:
    """Run a Python that starts Keras with a user's ``KERAS_BACKEND``, after which TensorFlow logs something."""
    command, environment = [sys.executable, "-c", PROGRAM.format(first=first)], os.environ | {"KERAS_BACKEND": "jax"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True)


@pytest.mark.parametrize(("first", "imported"), [(COMMAND_LINE, "False False"), (LIBRARY, "True True")])
def test_the_command_line_starts_keras_without_what_it_does_not_need(first: str, imported: str) -> None:
    assert started(first).stdout.splitlines()[0] == imported


@pytest.mark.parametrize("first", [COMMAND_LINE, LIBRARY])
def test_keras_starts_on_tensorflow_silently(first: str) -> None:
    assert started(first).stdout.splitlines()[1:] == ["tensorflow"]
    assert started(first).stderr.startswith("started\n")


@pytest.mark.parametrize("first", [COMMAND_LINE, LIBRARY])
def test_later_tensorflow_logs_do_not_reach_a_closed_file(first: str) -> None:
    assert "Logging error" not in started(first).stderr
