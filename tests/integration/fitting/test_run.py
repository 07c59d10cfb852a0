"""Fit: the best of all available models and variants, within a quota for the kept files only."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from edgesqz import fit
from edgesqz.artifact import Artifact
from edgesqz.benchmarking import Bench
from edgesqz.benchmarking.run import measure
from edgesqz.cli import app
from edgesqz.fitting import run
from edgesqz.fitting.result import FitResult, Kept, Rejected
from edgesqz.workspace import Workspace


@pytest.fixture(scope="module", autouse=True)
def quickly(converting_once: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    """Convert shared files once, and time them in a few rounds."""
    with converting_once(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "Bench", functools.partial(Bench, rounds=3))
        yield


@pytest.fixture(scope="module")
def home(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(trained, tmp_path_factory.mktemp("fit") / "workspace"))


@pytest.fixture(scope="module")
def found(home: Path) -> FitResult:
    used = Workspace(home).used_bytes()
    return fit(quota=used + 80_000, calibration=20, workspace=home)


def test_the_workspace_contains_only_the_kept_files(found: FitResult, home: Path) -> None:
    (best,) = found.kept
    assert {path.name for path in home.glob("*.tflite")} == {best.file_name}
    artifact = Artifact.open(home / best.file_name)
    assert artifact.manifest and artifact.manifest.verification
    assert best.size_bytes == sum((home / name).stat().st_size for name in best.stored_names) <= 80_000


def test_every_variant_was_considered_and_zoo_models_only_if_their_images_are_available(found: FitResult) -> None:
    kinds = ("dynamic", "fp16", "fp32", "int16x8", "int4", "int8")
    files: dict[str, Kept | Rejected] = {each.file_name: each for each in found.kept}
    files |= {each.label: each for each in found.rejected}
    assert sorted(files) == [f"colors.{kind}.tflite" for kind in kinds]
    large = files["colors.fp32.tflite"]
    assert isinstance(large, Rejected) and large.reason.startswith("larger than ")
    assert not any(each.in_workspace for each in files.values())
    assert large.selection_accuracy is None


def test_one_half_selects_and_the_other_half_measures(found: FitResult, home: Path, images: Path) -> None:
    (best,) = found.kept
    plan, console = Bench(home / best.file_name, dataset=images, rounds=1), Console(quiet=True)
    halves = [measure(plan, console, half, with_sources=False).measured for half in (0, 1)]
    assert [row.accuracy for (row,) in halves] == [best.selection_accuracy, best.accuracy]


def test_source_models_are_not_measured(exported: Path, images: Path) -> None:
    path = exported / "colors.int8.tflite"
    assert list(run._bench([path], Bench(dataset=images, rounds=1), run.SELECTS, Console(quiet=True))) == [path]


def test_the_result_as_a_table_and_as_json(found: FitResult) -> None:
    console = Console(width=100, record=True)
    console.print(found.table())
    shown = console.export_text()
    first = next(line for line in shown.splitlines() if "colors." in line)
    assert first.split()[0] == found.kept[0].file_name and "kept" in first
    assert "80.0 kB of the quota of" in shown
    assert json.loads(found.to_json())["kept"][0]["dataset"] == found.kept[0].dataset


def test_a_second_run_keeps_what_the_first_one_found(found: FitResult, home: Path) -> None:
    """Also if the workspace exceeds the quota, and contains reports and files from other tools."""
    (best,) = found.kept
    (home / "report.json").write_text("{}")
    shutil.copy(home / best.file_name, home / "from-elsewhere.tflite")
    before = {path: path.read_bytes() for path in home.iterdir() if path.is_file()}
    again = fit(quota=best.size_bytes, calibration=20, workspace=home)
    assert again.room_bytes < 0
    (stays,) = again.kept
    assert (stays.file_name, stays.in_workspace, stays.accuracy) == (best.file_name, True, best.accuracy)
    assert {path: path.read_bytes() for path in home.iterdir() if path.is_file()} == before
    assert best.file_name not in {each.label for each in again.rejected}
    assert "0 bytes of the quota of" in again.table().caption and "the workspace exceeds it by" in again.table().caption


def test_if_no_file_is_within_the_limits_the_exit_code_is_3(trained: Path, tmp_path: Path) -> None:
    home = shutil.copytree(trained, tmp_path / "workspace")
    options = ["--quota", "1500kB", "--format", "onnx", "--max-latency", "1us", "--workspace", str(home)]
    result = CliRunner().invoke(app, ["fit", *options])
    assert result.exit_code == 3
    assert "latency" in result.stdout
    assert not list(home.glob("*.onnx"))
