"""Converting in a separate process: its result, its errors, and its end."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from edgesqz.errors import EdgesqzError
from edgesqz.reading.conversion import to_tflite

READS = """
SUFFIXES, REQUIREMENTS, PYTHON = (".model",), (), None


def read(content):
    {body}
"""


def reader(folder: Path, body: str) -> types.ModuleType:
    """Write a reader and import it."""
    path = folder / "reader.py"
    path.write_text(READS.format(body=body))
    module = types.ModuleType("reader")
    module.__file__ = str(path)
    exec(compile(path.read_text(), path, "exec"), module.__dict__)
    return module


def test_the_content_goes_through_another_process(tmp_path: Path) -> None:
    module = reader(tmp_path, "import os; return content + str(os.getppid()).encode()")
    found = to_tflite(module, b"parent: ", ".model")
    assert found.content.startswith(b"parent: ") and found.content != b"parent: "
    assert found.versions == {}


def test_what_the_package_prints_is_hidden(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    module = reader(tmp_path, "import os; print('noise'); os.write(2, b'noise'); return content")
    assert to_tflite(module, b"same", ".model").content == b"same"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise ValueError('no such operator\\nmore')", "ValueError: no such operator$"),
        ("print('\\x1b[31mERROR:\\x1b[0m it has a loop'); raise SystemExit(1)", "ERROR: it has a loop"),
        ("raise SystemExit(1)", "ended without a message"),
        ("import os; os._exit(9)", "ended unexpectedly; it may have run out of memory"),
        ("import no_such_package", "No module named 'no_such_package'"),
    ],
)
def test_an_error_is_one_line(body: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match=message):
        to_tflite(reader(tmp_path, body), b"", ".model")


def test_a_reader_may_have_the_name_of_a_package(tmp_path: Path) -> None:
    module = reader(tmp_path, "import json, sys; return json.__file__.encode()")
    (tmp_path / "json.py").write_text("raise AssertionError")
    found = to_tflite(module, b"", ".model").content
    assert Path(found.decode()).is_relative_to(sys.base_prefix)
