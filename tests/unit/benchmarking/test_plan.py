"""The options of bench and fit, without measuring anything."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

import edgesqz
from edgesqz import EdgesqzError
from edgesqz.benchmarking import Bench
from edgesqz.benchmarking.budget import Budget
from edgesqz.cli import app
from edgesqz.fitting import Fit


def test_limits_are_parsed() -> None:
    plan = Bench(max_size="500kB", max_latency="2ms", max_memory=64, min_accuracy=0.9, max_accuracy_drop=0.5)
    assert plan.budget == Budget(500_000, 2000, 64, 0.9, 0.5)
    assert Fit(max_latency="2ms", max_memory="1kB", min_accuracy=0.9).budget == Budget(None, 2000, 1000, 0.9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit": 0}, "^limit must be at least 1, got 0$"),
        ({"threads": 0}, "^threads must be at least 1, got 0$"),
        ({"rounds": -1}, "^rounds must be at least 1, got -1$"),
        ({"host": "board"}, "expected a host"),
        ({"host": "ssh://board", "layers": True}, "^layers reads files on this machine; remove host$"),
        ({"pixel_range": "wide"}, "expected a pixel range"),
        ({"max_size": "much"}, "expected a size"),
        ({"min_accuracy": 2}, "^min_accuracy must be from 0 to 1, got 2$"),
    ],
)
def test_options_are_checked_before_any_work(options: dict[str, Any], message: str) -> None:
    with pytest.raises(EdgesqzError, match=message):
        Bench(**options)


def test_the_functions_have_the_fields_as_parameters() -> None:
    assert list(inspect.signature(edgesqz.bench).parameters)[0] == "models"
    assert {"quota", "format", "max_latency"} <= set(inspect.signature(edgesqz.fit).parameters)


def test_the_command_line_passes_its_options(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plans: list[Bench] = []

    def stop(plan: Bench, console: Console) -> None:
        plans.append(plan)
        raise EdgesqzError("that is enough")

    monkeypatch.setattr(Bench, "run", stop)
    options = ["--runtime", "litert", "--max-size", "1kB", "--layers", "--json", str(tmp_path / "report.json")]
    result = CliRunner().invoke(app, ["bench", "a.tflite", "b.onnx", *options])
    assert (result.exit_code, result.stderr) == (1, "error: that is enough\n")
    shared: dict[str, Any] = {"runtimes": ["litert"], "max_size": "1kB", "layers": True}
    assert plans == [Bench(["a.tflite", "b.onnx"], workspace="edgesqz-workspace", **shared)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--json", "-", "--csv", "-"], "only one of --json, --csv, --markdown and --html"),
        (["--csv", "-", "--layers"], "--per-class and --layers print tables"),
        (["--html", "-", "--per-class"], "--per-class and --layers print tables"),
        (["--json", "nowhere/report.json"], "cannot write nowhere/report.json"),
        (["--threads", "0"], "--threads must be at least 1"),
        (["--host", "ssh://board", "--layers"], "--layers reads files on this machine; remove --host"),
    ],
)
def test_bad_options_end_with_one_line(options: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["bench", *options])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {message}") and result.stderr.count("\n") == 1


def test_bench_has_no_quota() -> None:
    assert CliRunner().invoke(app, ["bench", "--quota", "1MB"]).exit_code == 2


@pytest.mark.parametrize(
    ("command", "panels"),
    [
        ("bench", ("Data", "Timing", "Limits", "Output", "Workspace")),
        ("fit", ("Data", "Limits", "Output", "Workspace")),
    ],
)
def test_help_is_in_panels_and_cuts_nothing_off(
    command: str, panels: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = CliRunner().invoke(app, [command, "--help"]).output
    places = [text.index(f"─ {panel} ─") for panel in panels]
    assert places == sorted(places)
    assert "…" not in text
