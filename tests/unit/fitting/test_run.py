"""Fit: which files are kept, and what it refuses; tests/integration/fitting runs it on real models."""

from __future__ import annotations

import io
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from edgesqz import EdgesqzError, data, fit, plugins
from edgesqz.artifact import ZOO, Artifact, Manifest, PixelRange, Tensor
from edgesqz.benchmarking.budget import Budget
from edgesqz.benchmarking.entries import Entry, entries
from edgesqz.cli import app
from edgesqz.data import Dataset, Split
from edgesqz.errors import NoRoomError
from edgesqz.exporting import Export
from edgesqz.exporting.job import Job
from edgesqz.fitting import Fit, run
from edgesqz.fitting.result import FitResult, Kept, Rejected
from edgesqz.fitting.run import Candidate, TestData
from edgesqz.workspace import Workspace
from tests.rows import measured

CLASSES = ("blue", "green", "red")


def file(name: str, size: int, right: int, dataset: str = "cifar10", p50: float = 100, **others: Any) -> Candidate:
    """A file that was measured, with ``right`` of the images correct."""
    (entry,) = entries([measured(name, right, p50, size_bytes=size)], Budget())
    return replace(Candidate(name.rpartition("/")[2], dataset, size_bytes=size, entry=entry), **others)


def select(files: list[Candidate], room: int, folder: Path = Path("nowhere")) -> list[Candidate]:
    return run.select_files(files, room, Workspace(folder, 10**9))


def kept(files: list[Candidate], room: int) -> set[str]:
    return {each.label for each in select(files, room) if each.reason is None}


def test_the_most_accurate_file_that_fits_is_kept_or_a_smaller_one_without_a_significant_difference() -> None:
    files = [file("small", 100, 800), file("large", 300, 901), file("as good", 250, 900), file("larger", 400, 950)]
    assert kept(files, 100) == {"small"}
    assert kept(files, 300) == {"as good"}
    assert kept(files, 400) == {"larger"}
    assert kept(files, 99) == set()


def test_a_slow_file_is_not_kept_for_slightly_better_size_or_accuracy() -> None:
    assert kept([file("int16x8", 99, 901, p50=8000), file("int8", 100, 900)], 300) == {"int8"}


def test_several_datasets_share_the_quota() -> None:
    files = [
        file("cifar small", 100, 800),
        file("cifar large", 300, 900),
        file("digits small", 50, 970, "mnist"),
        file("digits large", 200, 990, "mnist"),
    ]
    assert kept(files, 500) == {"cifar large", "digits large"}
    assert kept(files, 350) == {"cifar large", "digits small"}  # ten points are more than two
    assert kept(files, 149) == {"digits small"}


def test_a_file_without_room_beside_those_for_other_datasets_says_so() -> None:
    files = [file("cifar", 300, 900), file("digits", 200, 990, "mnist"), file("digits small", 50, 970, "mnist")]
    reasons = {each.file_name: each.reason for each in select(files, 350)}
    assert str(reasons["digits"]).startswith(
        "no room beside the files kept for other datasets: 200 bytes, 50 bytes free, but better than what is kept"
    )


@pytest.mark.parametrize(
    ("room", "reason"),
    [
        (90_000, "larger than the 90.0 kB that the quota allows for exports"),
        (-1, "no room: files other than exports fill the quota"),
    ],
)
def test_an_export_larger_than_all_the_room_says_so(
    room: int, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(plan: Export, console: Console) -> None:
        raise NoRoomError("no room")

    monkeypatch.setattr(Export, "run", refuse)
    job = Job(plugins.converter("tflite"), "int8")
    found = run._export(Export("m.keras"), job, "cifar10", room, Workspace(tmp_path, 1), Console(quiet=True))
    assert found.reason == reason


def test_a_file_from_the_zoo_is_not_called_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    printed, job = io.StringIO(), Job(plugins.converter("tflite"), "int4")
    workspace, console = Workspace(tmp_path, 10**6), Console(file=printed, width=100)
    run._export(Export(ZOO / "squeezenet-nano.keras"), job, "cifar10", 90_000, workspace, console)
    assert printed.getvalue() == "squeezenet-nano.int4.tflite: copied from the zoo\n"
    monkeypatch.setattr(Export, "run", lambda plan, console: (tmp_path / "m.int4.tflite").write_bytes(b""))
    monkeypatch.setattr(Candidate, "stored_names", ("m.int4.tflite",))
    run._export(Export("m.keras"), job, "cifar10", 90_000, workspace, console)
    assert printed.getvalue().endswith("m.int4.tflite: exported\n")


@pytest.mark.parametrize("there", [False, True])
def test_a_quota_of_60_kb_finds_the_int4_file_of_the_zoo(
    there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a larger file is in the workspace, it does not stay in its place, and the result says what to remove."""

    def refuse(plan: Export, console: Console) -> None:
        raise NoRoomError("no room")

    def bench(paths: Sequence[Path], *_: Any) -> dict[Path, Entry]:
        found = entries([measured(path.name, 900, size_bytes=path.stat().st_size) for path in paths], Budget())
        return dict(zip(paths, found, strict=True))

    monkeypatch.setattr(Export, "run", refuse)
    monkeypatch.setattr(run, "_bench", bench)
    manifest = Artifact.open(ZOO / "squeezenet-nano.keras").manifest
    assert manifest
    larger = "squeezenet-nano.int8.tflite"
    for name in (larger, f"{larger}.json"):
        if there:
            shutil.copy(ZOO / name, tmp_path)
    with data.provided(Dataset("images", manifest.labels, dict[str, Split]().__getitem__)):
        result = fit(quota="60kB", dataset="images", workspace=tmp_path)
    if there:
        reasons = {each.label: each.reason for each in result.rejected}
        assert not result.kept and reasons[larger] == "larger than the quota of 60.0 kB"
        removal = f"edgesqz workspace rm {larger} --workspace {tmp_path} makes room for it"
        assert reasons["squeezenet-nano.int4.tflite"].endswith(f", 0 bytes free; {removal}")
        return
    (best,) = result.kept
    assert best.file_name == "squeezenet-nano.int4.tflite"
    assert sorted(path.name for path in tmp_path.glob("squeezenet*")) == [best.file_name, f"{best.file_name}.json"]
    assert {each.label for each in result.rejected} >= {"squeezenet-nano.int8.tflite", "squeezenet.int4.tflite"}


def test_an_export_is_not_listed_beside_the_same_file_in_the_workspace(tmp_path: Path) -> None:
    for folder, names in (("home", "same other refused"), ("made", "same other new")):
        (tmp_path / folder).mkdir()
        for name in names.split():
            (tmp_path / folder / name).write_text(name if name == "same" else folder)
    existing = [Candidate(name, "cifar10", in_workspace=True) for name in ("same", "other", "refused")]
    new = [Candidate(name, "cifar10", size_bytes=4) for name in ("same", "other", "new")]
    new.append(Candidate("refused", "cifar10", reason="too large"))
    additional = run._additional(new, existing, tmp_path / "made", tmp_path / "home")
    assert [each.file_name for each in additional] == ["other", "new"]


def test_the_reason_for_each_decision_is_reported() -> None:
    files = [
        file("small", 100, 800),
        file("good", 200, 900),
        file("as good", 250, 901),
        file("too large", 301, 950),
        file("slow", 200, 950, reason="latency 9 µs"),
        file("ruined", 10, 110),
    ]
    outcomes = {each.file_name: each.reason or each.note for each in select(files, 300)}
    assert outcomes == {
        "small": "accuracy 80.00%, as good has 90.10% (p < 0.001)",
        "good": "accuracy 90.00%, not significantly below the highest, 90.10% of as good (1,000 images, p = 1.000); "
        "200 bytes and 100.0 µs against 250 bytes and 100.0 µs",
        "as good": "accuracy 90.10%, the highest but not significantly so; "
        "good costs less, 200 bytes and 100.0 µs against 250 bytes and 100.0 µs",
        "too large": "no room beside the files in the workspace: 301 bytes, 300 bytes free, "
        "but better than what is kept; raise the quota",
        "slow": "latency 9 µs",
        "ruined": "accuracy 11.00%, not significantly better than guessing (1,000 images)",
    }


@pytest.mark.parametrize("room", [0, -500])
def test_an_existing_file_stays_if_it_is_the_best_even_without_free_space(room: int) -> None:
    files = [file("there", 300, 900, in_workspace=True), file("new", 200, 800)]
    assert kept(files, room) == {"there"}
    assert kept(files[1:], room) == set()
    assert kept([], room) == set()


def test_a_better_file_that_does_not_fit_is_reported_with_advice() -> None:
    files = [
        file("worse", 100, 700, in_workspace=True),
        file("there", 300, 800, in_workspace=True),
        file("new", 350, 900),
    ]
    reasons = {each.file_name: each.reason for each in select(files, 60)}
    assert reasons["there"] is None
    assert reasons["new"] == (
        "no room beside the files in the workspace: 350 bytes, 60 bytes free, but better than what is kept; "
        "edgesqz workspace rm there --workspace nowhere makes room for it"
    )
    assert kept(files, 350) == {"new"}


def test_no_file_is_overwritten_by_a_better_one_of_its_name() -> None:
    files = [file("old/m.tflite", 300, 800, in_workspace=True), file("new/m.tflite", 200, 900)]
    there, new = select(files, 1000)
    assert (there.reason, new.reason) == (
        None,
        "another file has this name, but better than what is kept; "
        "edgesqz workspace rm m.tflite --workspace nowhere makes room for it",
    )


def test_fit_needs_a_quota(tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match="^fit needs a quota; give quota, for example 300kB$"):
        fit(workspace=tmp_path)


def test_without_images_nothing_can_be_chosen(tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match="images that the models were trained on are not available: cifar10; give"):
        fit(quota="300kB", workspace=tmp_path)
    assert not list(tmp_path.iterdir())


def test_bad_input_is_reported_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match="unknown format 'caffe'"):
        fit(quota="300kB", format="caffe", workspace=tmp_path)
    with pytest.raises(EdgesqzError, match="expected a time above zero"):
        fit(quota="300kB", max_latency="soon", workspace=tmp_path)
    with pytest.raises(EdgesqzError, match="^calibration must be at least 1, got 0"):
        fit(quota="300kB", calibration=0, workspace=tmp_path)


def manifest(dataset: str | None, labels: tuple[str, ...] = CLASSES, untrained: bool = False) -> Manifest:
    shared = {"name": "m", "variant": "int8", "format": "tflite", "size_bytes": 1, "sha256": "", "versions": {}}
    tensor = Tensor(shape=(1, 32, 32, 3), dtype="int8")
    about = {"input": tensor, "output": tensor, "pixels": PixelRange(), "labels": labels}
    return Manifest(**(shared | about), dataset=dataset, untrained=untrained)  # type: ignore[arg-type]


def test_each_model_is_measured_on_its_training_dataset_if_available(images: Path, tmp_path: Path) -> None:
    test_data = TestData.find(None, tmp_path)
    assert test_data.of(manifest(str(images))) == str(images)
    for elsewhere in (str(tmp_path / "gone"), "cifar10", "mnist", None):
        assert test_data.of(manifest(elsewhere)) is None
    assert test_data.of(manifest(str(images), untrained=True)) is None


def test_a_requested_dataset_applies_to_models_with_its_classes(images: Path) -> None:
    test_data = TestData.find(str(images), None)
    assert test_data.of(manifest("a folder that was moved")) == str(images)
    assert test_data.of(manifest(str(images), labels=())) == str(images)
    assert test_data.of(manifest("cifar10", labels=("cat", "dog"))) is None


def test_the_command_has_the_options_of_bench_for_data_and_limits(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans: list[Fit] = []

    def record(plan: Fit, console: Console) -> FitResult:
        plans.append(plan)
        return FitResult(1, 1, (), ())

    monkeypatch.setattr(run, "run", record)
    limits = ["--dataset", str(images), "--data-dir", str(tmp_path), "--max-memory", "64MB"]
    assert CliRunner().invoke(app, ["fit", "--quota", "1MB", *limits]).exit_code == 3
    (plan,) = plans
    assert (plan.quota, plan.dataset, plan.data_dir) == ("1MB", str(images), str(tmp_path))
    assert (plan.max_memory, list(plan.format)) == ("64MB", ["tflite"])
    monkeypatch.undo()
    with pytest.raises(EdgesqzError, match="expected a size"):
        fit(quota="1MB", max_memory="much", workspace=tmp_path)


def test_a_dataset_that_no_model_knows_is_reported(images: Path, tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match="no model in .* or the zoo has the classes of .*: blue, green, red; train"):
        fit(quota="1MB", dataset=str(images), workspace=tmp_path)


def test_a_result_is_records_for_pandas_json_and_a_table() -> None:
    kept = file("good", 200, 900, note="the best").kept(0.89)
    rejected = file("bad", 100, 800).rejected("too bad")
    assert isinstance(kept, Kept) and isinstance(rejected, Rejected)
    others = [Candidate(name, "cifar10").rejected("too large") for name in ("fp32", "fp16")]
    result = FitResult(1000, 300, (kept,), (rejected, *others))
    assert [record["selection_accuracy"] for record in result.records] == [0.9, 0.8, None, None]
    assert [row[0] for row in result.table().rows if row] == ["good", "bad"]
    assert result.table().caption.splitlines()[1:] == ["not measured: fp32, fp16: too large"]
    assert (result.to_dict()["kept"][0]["accuracy"], result.to_dict()["rejected"][0]["reason"]) == (0.89, "too bad")
