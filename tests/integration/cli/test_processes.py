"""The command line in its own process: imports, broken streams and exit codes. The engines are fake."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edgesqz.cli import app


@pytest.fixture
def exported(fake_exported: Path) -> Path:
    """Files for the fake engine instead of trained models."""
    return fake_exported


def run(*arguments: str | Path) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


EXPORT = "squeezenet-nano.int8.tflite"


EDGESQZ = (sys.executable, "-c", "from edgesqz.cli import main; main()")


def run_alone(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command in its own process, as a shell does."""
    return subprocess.run([*EDGESQZ, *map(str, arguments)], capture_output=True, text=True, check=False)


# Imports determine how long help takes. tests/benchmarks/test_help_speed.py measures it.
HEAVY = (
    "ai_edge_litert execnet filelock flatbuffers jinja2 keras matplotlib numpy onnx onnxruntime PIL psutil "
    "rich.progress tensorflow tf2onnx"
)


@pytest.mark.parametrize("arguments", [("--help",), ("bench", "--help"), ("workspace", "clean", "--help")])
def test_help_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    program = "import sys; from edgesqz.cli import main\ntry: main()\nfinally: print(*sys.modules, file=sys.stderr)"
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert not set(HEAVY.split()) & set(done.stderr.split())


@pytest.mark.parametrize("arguments", ["models", "--version", "train", "--help"])
def test_a_closed_standard_output_is_one_clear_line(arguments: str) -> None:
    command = ["sh", "-c", 'exec "$@" >&-', "sh", *EDGESQZ, arguments]
    closed = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    assert closed.returncode == 1
    assert closed.stderr == "error: cannot write the output: the stream is closed\n"


def test_a_closed_standard_error_puts_nothing_into_the_output() -> None:
    command = ["sh", "-c", 'exec "$@" 2>&-', "sh", *EDGESQZ, "export", "nothing"]
    closed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    assert (closed.returncode, closed.stdout) == (1, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("arguments", [("models",), ("models", "--json"), ("--help",), ("models", "--help")])
def test_a_full_standard_output_is_one_clear_line(arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        command = [*EDGESQZ, *arguments]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "error: cannot write the output: No space left on device\n"


def test_a_failed_row_is_reported_and_does_not_affect_others(workspace: Path) -> None:
    for path in workspace.glob("*.onnx*"):
        path.unlink()
    (workspace / "torn.onnx").write_bytes(b"torn")
    result = run("bench", "--rounds", "1", "--limit", "6", "--workspace", workspace)
    assert result.exit_code == 0
    assert "failed: torn.onnx: " in result.stderr
    assert "failed" in result.stdout and "squeezenet-nano.int8.tflite" in result.stdout


def test_importing_the_package_imports_nothing_heavy() -> None:
    program = "import edgesqz, sys; assert not {'tensorflow', 'keras', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_report_goes_to_standard_output(exported: Path) -> None:
    piped = run_alone("bench", EXPORT, "--rounds", "1", "--json", "-", "--workspace", exported)
    assert piped.returncode == 0, piped.stderr
    assert len(json.loads(piped.stdout)["rows"]) == 2


def test_a_missed_budget_exits_with_3(exported: Path) -> None:
    options = ("--max-size", "10kB", "--rounds", "1", "--limit", "6", "--choose", "--workspace", exported)
    refused = run("bench", EXPORT, *options)
    assert refused.exit_code == 3
    assert f"over budget: {EXPORT}: size " in refused.stderr
    assert "chosen: none; no file is within the budget" in refused.stdout
