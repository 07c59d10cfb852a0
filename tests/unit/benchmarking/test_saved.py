"""Saved reports: figures are found by a file's content, not by its name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgesqz import EdgesqzError
from edgesqz.artifact import sha256
from edgesqz.benchmarking.budget import Budget
from edgesqz.benchmarking.report import Latency, Report, Row
from edgesqz.benchmarking.saved import SavedReport
from edgesqz.machine import Machine
from edgesqz.zoo import __main__ as zoo

LATENCY = Latency(100, 100, 100, 1, (100,) * 21)


def row(path: str, content: bytes, runtime: str = "litert", error: str | None = None) -> Row:
    name = Path(path).name
    shared = Row(name, "tflite", "int8", runtime, "2.3", 9, 9, 1, path=path, sha256=sha256(content), error=error)
    return shared if error else Row(**(vars(shared) | {"accuracy": 0.9, "latency_us": LATENCY}))


def saved(folder: Path, *rows: Row) -> SavedReport:
    report = Report(
        machine=Machine("A processor"),
        versions={},
        dataset={"name": "cifar10", "split": "test", "images": 10, "labels": ()},
        budget=Budget(),
        rows=rows,
    )
    path = folder / "report.json"
    path.write_text(report.to_json())
    return SavedReport.read(path)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.tflite"
    path.write_bytes(b"this very content")
    return path


def test_figures_are_found_by_content_whatever_the_name(model: Path, tmp_path: Path) -> None:
    report = saved(tmp_path, row("old/m.tflite", b"other"), row("new/renamed.tflite", model.read_bytes()))
    found = report.row_of(model, "litert")
    assert (found.path, found.accuracy) == (Path("new/renamed.tflite"), 0.9)


def test_a_file_of_the_same_name_and_size_and_another_content_gets_no_figures(model: Path, tmp_path: Path) -> None:
    other = model.read_bytes()[::-1]
    told = f"figures of another file named m.tflite, with SHA-256 {sha256(other)[:12]}, not of this one with "
    with pytest.raises(EdgesqzError, match=told + sha256(model.read_bytes())[:12]):
        saved(tmp_path, row("m.tflite", other)).row_of(model)


def test_what_was_not_measured_is_told(model: Path, tmp_path: Path) -> None:
    own = model.read_bytes()
    with pytest.raises(EdgesqzError, match="no figures of m.tflite on litert; measure it with edgesqz bench"):
        saved(tmp_path, row("m.tflite", own, "tflite-micro")).row_of(model, "litert")
    with pytest.raises(EdgesqzError, match="no figures of m.tflite, which failed there: it died"):
        saved(tmp_path, row("m.tflite", own, error="it died")).row_of(model)


def test_the_zoo_takes_no_figures_of_another_content(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = tmp_path / "zoo"
    ours.mkdir()
    monkeypatch.setattr(zoo, "ZOO", ours)
    rows = [row(path.name, path.read_bytes()) for path in sorted(workspace.glob("*.tflite"))]
    report = saved(tmp_path, *rows, row("elsewhere/squeezenet-nano.keras", b"an older one"))
    with pytest.raises(EdgesqzError, match=re.escape("another file named squeezenet-nano.keras")):
        zoo.admit(workspace, report)
    assert not list(ours.iterdir())
    admitted = zoo.admit(workspace, saved(tmp_path, *rows))
    assert [path.name for path in admitted] == ["squeezenet-nano.fp32.tflite", "squeezenet-nano.int8.tflite"]
