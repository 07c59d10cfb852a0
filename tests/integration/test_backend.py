"""Starting Keras."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys
{first}
from edgesqz import backend
backend.start_keras()
print("matplotlib" in sys.modules, "pandas" in sys.modules)
import matplotlib, pandas
"""


@pytest.mark.parametrize(("first", "imported"), [("import edgesqz.cli", "False False"), ("", "True True")])
def test_the_command_line_starts_keras_without_what_it_does_not_need(first: str, imported: str) -> None:
    command = [sys.executable, "-c", PROGRAM.format(first=first)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, imported), done.stderr
