"""Fit: the best of every model and variant at hand, within a quota that nothing else goes into."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

import edgesqz
from edgesqz import EdgesqzError, fitting
from edgesqz.artifact import Artifact
from edgesqz.cli import app
from edgesqz.fitting import Fitted, fit
from edgesqz.workspace import Workspace


def file(name: str, size: int, accuracy: float, dataset: str = "cifar10", reason: str | None = None) -> Fitted:
    return Fitted(name, dataset, size, accuracy, latency_us=100, reason=reason)


def kept(files: list[Fitted], room: int) -> set[str]:
    return {each.file_name for each in fitting._chosen(files, room) if each.reason is None}


def test_the_most_accurate_that_fits_is_kept_of_equal_ones_the_smaller() -> None:
    files = [file("small", 100, 0.8), file("large", 300, 0.9), file("as good", 250, 0.9), file("larger", 400, 0.95)]
    assert kept(files, 100) == {"small"}
    assert kept(files, 300) == {"as good"}
    assert kept(files, 400) == {"larger"}
    assert kept(files, 99) == set()


def test_several_datasets_share_the_quota() -> None:
    files = [
        file("cifar small", 100, 0.8),
        file("cifar large", 300, 0.9),
        file("digits small", 50, 0.97, "mnist"),
        file("digits large", 200, 0.99, "mnist"),
    ]
    assert kept(files, 500) == {"cifar large", "digits large"}
    assert kept(files, 350) == {"cifar large", "digits small"}  # ten points are more than two
    assert kept(files, 149) == {"digits small"}


def test_why_each_is_not_kept_is_told() -> None:
    files = [
        file("small", 100, 0.8),
        file("good", 200, 0.9),
        file("as good", 250, 0.9),
        file("slow", 200, 0.95, reason="latency 9 µs"),
    ]
    reasons = {each.file_name: each.reason for each in fitting._chosen(files, 300)}
    assert reasons == {
        "small": "less accurate than good",
        "good": None,
        "as good": "as accurate as good, but larger",
        "slow": "latency 9 µs",
    }


@pytest.fixture(scope="module")
def home(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(trained, tmp_path_factory.mktemp("fit") / "workspace"))


@pytest.fixture(scope="module")
def found(home: Path) -> fitting.Fit:
    used = Workspace(home).used_bytes()
    return fit(used + 200_000, calibration=20, workspace=home)


def test_only_what_is_kept_is_in_the_workspace(found: fitting.Fit, home: Path) -> None:
    (best,) = found.kept
    assert {path.name for path in home.glob("*.tflite")} == {best.file_name}
    artifact = Artifact.open(home / best.file_name)
    assert artifact.manifest and artifact.manifest.proof
    assert best.size_bytes == sum((home / name).stat().st_size for name in best.stored_names) <= 200_000


def test_every_variant_was_looked_at_and_the_zoos_models_only_where_their_pictures_are(found: fitting.Fit) -> None:
    kinds = ("dynamic", "fp16", "fp32", "int16x8", "int8")
    assert sorted(each.file_name for each in found.files) == [f"squeezenet-nano.{kind}.tflite" for kind in kinds]
    by_name = {each.file_name.split(".")[1]: each for each in found.files}
    assert by_name["fp32"].reason == "too large"
    assert by_name["fp32"].accuracy is None


def test_one_half_chooses_and_the_other_judges(found: fitting.Fit, home: Path, pictures: Path) -> None:
    (best,) = found.kept
    halves = [
        edgesqz.bench([home / best.file_name], dataset=str(pictures), half=half, rounds=1, workspace=home).rows[-1]
        for half in (0, 1)
    ]
    assert [row.accuracy for row in halves] == [best.accuracy, best.judged_accuracy]
    assert best.accuracy == max(each.accuracy or 0 for each in found.files)


def test_the_result_as_people_and_programs_see_it(found: fitting.Fit) -> None:
    from rich.console import Console

    console = Console(width=100, record=True)
    console.print(found.table())
    shown = console.export_text()
    first = next(line for line in shown.splitlines() if "squeezenet-nano." in line)
    assert first.split()[0] == found.kept[0].file_name and "kept" in first
    assert "200.0 kB of the quota of" in shown
    assert json.loads(found.to_json())["files"][0]["dataset"] == found.files[0].dataset


def test_if_nothing_is_within_the_limits_the_exit_code_says_so(trained: Path, tmp_path: Path) -> None:
    home = shutil.copytree(trained, tmp_path / "workspace")
    options = ["--quota", "1500kB", "--format", "onnx", "--max-latency", "1us", "--workspace", str(home)]
    result = CliRunner().invoke(app, ["fit", *options])
    assert result.exit_code == 3
    assert "latency" in result.stdout
    assert not list(home.glob("*.onnx"))


def test_without_a_quota_there_is_nothing_to_fit(tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match="fit needs a quota; name it with --quota, such as --quota 300kB"):
        fit(workspace=tmp_path)


def test_without_pictures_nothing_can_be_chosen(tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match="pictures that the models were trained on are not at hand: cifar10; name"):
        fit("300kB", workspace=tmp_path)
    assert not list(tmp_path.iterdir())


def test_bad_input_is_told_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match="unknown format 'caffe'"):
        fit("300kB", format="caffe", workspace=tmp_path)
    with pytest.raises(EdgesqzError, match="expected a time above zero"):
        fit("300kB", max_latency="soon", workspace=tmp_path)
