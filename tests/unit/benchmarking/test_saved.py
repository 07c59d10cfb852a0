"""Saved reports: figures are found by a file's content, not by its name."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from edgesqz import EdgesqzError
from edgesqz.artifact import sha256
from edgesqz.benchmarking.report import Report
from edgesqz.benchmarking.rows import Ratio, Row
from edgesqz.zoo import __main__ as zoo
from tests.rows import comparison, failed, measured, performance, report


def row(path: str, content: bytes, runtime: str = "litert", error: str | None = None) -> Row:
    about = {"path": path, "sha256": sha256(content), "runtime": runtime}
    name = Path(path).name
    return failed(name, error, **about) if error else measured(name, 900, 100, **about)


def saved(folder: Path, *rows: Row) -> Report:
    path = folder / "report.json"
    path.write_text(report(*rows).to_json())
    return Report.read(path)


FULL = measured(
    "new/m.tflite",
    comparison=comparison(gained=1, lost=2, mcnemar_p=1.0, agreement=0.99),
    performance=performance(5, latency_ratio=Ratio("m.keras", 0.5, (0.4, 0.6))),
    layer_sqnr_db={"normalize": None, "stem": 37.25},
    arena_bytes=1000,
    flips="sheet.png",
)


def test_a_report_survives_the_round_trip() -> None:
    written = report(FULL, measured("bare.onnx", None, None), failed("cut.onnx", sha256=None), models=["a"], rounds=7)
    read = Report.from_json(written.to_json())
    assert read.rows == written.rows
    assert (read.machine, read.dataset, read.versions) == (written.machine, written.dataset, written.versions)
    assert (read.plan.models, read.plan.rounds) == (["a"], 7)
    assert read.selection == written.selection
    assert read.to_json() == written.to_json()


def test_a_report_from_another_machine_can_be_read() -> None:
    text = report(FULL).to_json().replace('"threads": 1', '"threads": 4096')
    assert Report.from_json(text).plan.threads == 4096


def test_a_report_says_how_to_repeat_it() -> None:
    found = report(FULL, models=["a b.tflite", "c.onnx"], runtimes=["litert"], max_size="1MB", layers=True)
    assert found.command == "edgesqz bench 'a b.tflite' c.onnx --runtime litert --max-size 1MB --layers"
    assert json.loads(found.to_json())["command"] == found.command


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.tflite"
    path.write_bytes(b"this very content")
    return path


def test_figures_are_found_by_content_regardless_of_the_name(model: Path, tmp_path: Path) -> None:
    read = saved(tmp_path, row("old/m.tflite", b"other"), row("new/renamed.tflite", model.read_bytes()))
    found = read.row_of(model, "litert")
    assert (found.path, found.accuracy) == ("new/renamed.tflite", 0.9)


def test_a_file_of_the_same_name_and_size_but_different_content_gets_no_figures(model: Path, tmp_path: Path) -> None:
    other = model.read_bytes()[::-1]
    message = f"figures for another file named m.tflite, with SHA-256 {sha256(other)[:12]} instead of "
    with pytest.raises(EdgesqzError, match=message + sha256(model.read_bytes())[:12]):
        saved(tmp_path, row("m.tflite", other)).row_of(model)


def test_missing_measurements_are_reported(model: Path, tmp_path: Path) -> None:
    own = model.read_bytes()
    with pytest.raises(EdgesqzError, match="no figures for m.tflite on litert; measure it with edgesqz bench"):
        saved(tmp_path, row("m.tflite", own, "tflite-micro")).row_of(model, "litert")
    with pytest.raises(EdgesqzError, match="no figures for m.tflite, because measuring it failed: it died"):
        saved(tmp_path, row("m.tflite", own, error="it died")).row_of(model)


def test_the_zoo_rejects_figures_of_different_content(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = tmp_path / "zoo"
    ours.mkdir()
    monkeypatch.setattr(zoo, "ZOO", ours)
    rows = [row(path.name, path.read_bytes()) for path in sorted(workspace.glob("*.tflite"))]
    read = saved(tmp_path, *rows, row("elsewhere/squeezenet-nano.keras", b"an older one"))
    with pytest.raises(EdgesqzError, match=re.escape("another file named squeezenet-nano.keras")):
        zoo.admit(workspace, read)
    assert not list(ours.iterdir())
    admitted = zoo.admit(workspace, saved(tmp_path, *rows))
    assert [path.name for path in admitted] == ["squeezenet-nano.fp32.tflite", "squeezenet-nano.int8.tflite"]
