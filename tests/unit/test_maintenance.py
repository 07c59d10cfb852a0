"""Maintenance of a workspace: its contents, deletable files, and damaged files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edgesqz import EdgesqzError
from edgesqz.artifact import ZOO, Artifact
from edgesqz.cli import app
from edgesqz.maintenance.cleaning import plan_cleaning
from edgesqz.maintenance.contents import EXPORT, Item, contents, remove
from edgesqz.workspace import Workspace
from edgesqz.workspace.sizes import format_size

EXPORTS = [f"squeezenet-nano.{kind}" for kind in ("fp32.onnx", "fp32.tflite", "int8.onnx", "int8.tflite")]


def run(*arguments: str | Path, typed: str = "") -> Result:
    return CliRunner().invoke(app, ["workspace", *map(str, arguments)], input=typed)


@pytest.fixture
def full(workspace: Path) -> Path:
    """A workspace with a source model, four exports, a checkpoint and a file of notes."""
    (workspace / "squeezenet.last.npz").write_bytes(bytes(1000))
    (workspace / "notes.txt").write_bytes(bytes(70))
    return workspace


def names(items: tuple[Item, ...]) -> list[str]:
    return [item.name for item in items]


def test_everything_is_listed_once_with_its_origin(full: Path, images: Path) -> None:
    listed = contents(Workspace(full, "2MB"))
    origins = {item.name: (item.kind, item.origin) for item in listed.items}
    assert origins == {
        "squeezenet-nano.keras": ("source model", f"trained on {images}"),
        **dict.fromkeys(EXPORTS, ("export", "squeezenet-nano.keras")),
        "squeezenet.last.npz": ("checkpoint", "unfinished training of squeezenet"),
        "notes.txt": ("other", ""),
    }
    assert sum(item.size_bytes for item in listed.items) == listed.used_bytes
    assert [item.size_bytes for item in listed.items] == sorted(
        (item.size_bytes for item in listed.items), reverse=True
    )


def test_exports_state_whether_they_come_from_the_zoo_from_random_weights_or_from_a_lost_model(full: Path) -> None:
    (full / "squeezenet-nano.keras").unlink()
    (full / "squeezenet-nano.int8.tflite").write_bytes(b"damaged")
    path = full / "squeezenet-nano.fp32.onnx.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"untrained": True, "source_sha256": None}))
    origins = {item.name: item.origin for item in contents(Workspace(full)).items}
    assert origins["squeezenet-nano.fp32.onnx"] == "squeezenet-nano with random weights"
    assert origins["squeezenet-nano.fp32.tflite"] == "squeezenet-nano, not in the workspace"
    assert origins["squeezenet-nano.int8.tflite"] == "damaged; see edgesqz workspace verify"


def test_the_list_as_a_table(full: Path) -> None:
    used = Workspace(full).used_bytes()
    shown = run("list", "--workspace", full, "--quota", str(2 * used)).output
    size = sum((full / name).stat().st_size for name in ("squeezenet-nano.keras", "squeezenet-nano.keras.json"))
    # The figures of the row, which are after its name, or below a name that would take half of the width.
    assert f"source model {size / 1000:.1f} kB {size / 2 / used:.1%}" in " ".join(shown.split())
    assert "50.0% of the quota" in " ".join(shown.split())


def test_the_list_as_json(full: Path) -> None:
    found = json.loads(run("list", "--workspace", full, "--json").output)
    assert {item["name"] for item in found["items"]} == {path.name for path in full.iterdir()} - {
        path.name for path in full.glob("*.json")
    } - {".edgesqz"}


def test_a_model_is_removed_with_its_manifest(full: Path) -> None:
    result = run("rm", "squeezenet-nano.fp32.onnx", "notes.txt", "--workspace", full)
    assert result.exit_code == 0
    assert "removed squeezenet-nano.fp32.onnx, notes.txt: " in result.output
    assert not list(full.glob("*fp32.onnx*"))
    assert not (full / "notes.txt").exists()


def test_a_missing_name_removes_nothing(full: Path) -> None:
    result = run("rm", "notes.txt", "nothing", "--workspace", full)
    assert result.exit_code == 1
    assert "no 'nothing' in" in result.output and "squeezenet-nano.keras" in result.output
    assert (full / "notes.txt").exists()


def test_files_of_running_work_are_not_removed(full: Path) -> None:
    running = Workspace(full, "10MB")
    with running.claim(["squeezenet.last.npz"], 2000):
        with pytest.raises(EdgesqzError, match="squeezenet.last.npz is in use"):
            remove(Workspace(full), ["squeezenet.last.npz"])
        assert "squeezenet.last.npz" not in names(plan_cleaning(Workspace(full), 1).items)


def test_cleaning_deletes_the_smallest_export_that_is_enough(full: Path) -> None:
    workspace = Workspace(full)
    used = workspace.used_bytes()
    sizes = {item.name: item.size_bytes for item in contents(workspace).items}
    smallest, *_, second, largest = sorted(EXPORTS, key=sizes.__getitem__)
    for freed, dropped in (
        (0, []),
        (1, [smallest]),
        (sizes[smallest] + 1, [sorted(EXPORTS, key=sizes.__getitem__)[1]]),
        (sizes[largest], [largest]),
        (sizes[largest] + 1, [largest, smallest]),
        (sizes[largest] + sizes[second], [largest, second]),
    ):
        plan = plan_cleaning(workspace, used - freed)
        assert names(plan.items) == dropped
        assert plan.after_bytes == used - sum(sizes[name] for name in dropped) <= used - freed


def test_checkpoints_are_deleted_last_and_those_of_a_run_together(full: Path) -> None:
    (full / "squeezenet.best.npz").write_bytes(bytes(500))
    (full / "other.last.npz").write_bytes(bytes(200))
    workspace = Workspace(full)
    used = workspace.used_bytes()
    exports = sum(item.size_bytes for item in contents(workspace).items if item.kind == EXPORT)
    for freed, runs in ((exports, set()), (exports + 1, {"other.last.npz"})):
        assert set(names(plan_cleaning(workspace, used - freed).items)) == {*EXPORTS, *runs}
    of_both = names(plan_cleaning(workspace, used - exports - 201).items)
    assert of_both[-2:] == ["squeezenet.last.npz", "squeezenet.best.npz"]
    assert "other.last.npz" not in of_both
    assert set(names(plan_cleaning(workspace, 1).items)) == {*EXPORTS, *of_both[-2:], "other.last.npz"}


def test_deleting_a_checkpoint_spares_exports_that_are_then_not_needed(full: Path) -> None:
    (full / "squeezenet.last.npz").write_bytes(bytes(5_000_000))
    assert names(plan_cleaning(Workspace(full), 3_000_000).items) == ["squeezenet.last.npz"]


def test_files_that_cannot_be_recreated_are_kept(full: Path) -> None:
    (full / "squeezenet.last.npz").unlink()
    (full / "squeezenet-nano.keras").unlink()
    assert plan_cleaning(Workspace(full), 1).items == ()
    for name in ("squeezenet-nano.keras", "squeezenet-nano.int8.tflite"):  # copies of the zoo's
        for suffix in ("", ".json"):
            shutil.copy(ZOO / f"{name}{suffix}", full / f"{name}{suffix}")
    assert set(names(plan_cleaning(Workspace(full), 1).items)) == {
        "squeezenet-nano.keras",
        "squeezenet-nano.int8.tflite",
    }


def test_cleaning_shows_the_plan_and_asks(full: Path) -> None:
    least = plan_cleaning(Workspace(full), 1).after_bytes
    refused = run("clean", "--to", str(least), "--workspace", full, typed="n\n")
    assert refused.exit_code == 1
    assert all(name in refused.output for name in EXPORTS)
    assert (full / EXPORTS[0]).exists()
    agreed = run("clean", "--to", str(least), "--workspace", full, typed="y\n")
    assert agreed.exit_code == 0
    kept = {"notes.txt", ".edgesqz", "squeezenet-nano.keras", "squeezenet-nano.keras.json"}
    assert {path.name for path in full.iterdir()} == kept
    assert Workspace(full).used_bytes() == least


def test_cleaning_deletes_nothing_if_the_target_cannot_be_reached(full: Path) -> None:
    before = set(full.rglob("*"))
    least = plan_cleaning(Workspace(full), 1).after_bytes
    refused = run("clean", "--to", "1", "--yes", "--workspace", full)
    assert (refused.exit_code, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
    assert f"to 1 byte: the files that cannot be reproduced or are in use take {format_size(least)}" in refused.stderr
    assert f"try --to {least}, or remove" in refused.stderr
    assert set(full.rglob("*")) == before

    assert run("clean", "--to", str(least), "--yes", "--workspace", full).exit_code == 0
    stuck = run("clean", "--to", "1", "--yes", "--workspace", full)
    assert "all files are in use or cannot be reproduced" in stuck.stderr and "--to" not in stuck.stderr


def test_cleaning_frees_down_to_the_quota_by_default(full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without = run("clean", "--workspace", full)
    assert (without.exit_code, "expected --to for a workspace without a quota" in without.output) == (1, True)
    monkeypatch.setenv("EDGESQZ_QUOTA", str(Workspace(full).used_bytes() - 500))
    assert run("clean", "--yes", "--workspace", full).exit_code == 0
    left = [name for name in EXPORTS if (full / name).exists()]
    assert (full / "squeezenet.last.npz").exists() and len(left) == len(EXPORTS) - 1
    assert "nothing to delete" in run("clean", "--yes", "--workspace", full).output


def test_intact_files_pass_verification(workspace: Path) -> None:
    result = run("verify", "--workspace", workspace)
    assert (result.exit_code, result.output) == (0, "5 files checked, no problems\n")


@pytest.mark.parametrize("place", [0, -1])
def test_one_bit_of_damage_is_found(place: int, workspace: Path) -> None:
    path = workspace / "squeezenet-nano.int8.tflite"
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    result = run("verify", "--workspace", workspace, "--json")
    assert result.exit_code == 1
    found = json.loads(result.output)
    assert found["checked"] == 5
    assert [problem["name"] for problem in found["problems"]] == [path.name]


def test_damaged_checkpoints_and_lone_manifests_are_named(full: Path) -> None:
    (full / "squeezenet-nano.int8.onnx").unlink()
    (full / "report.json").write_text("{}")
    shown = " ".join(run("verify", "--workspace", full).output.split())
    assert "squeezenet.last.npz the checkpoint" in shown and "is damaged" in shown
    assert "squeezenet-nano.int8.onnx.json a manifest without its model" in shown
    assert "report.json" not in shown
    assert "5 files checked, 2 problems" in shown


def test_a_lone_manifest_can_be_removed(full: Path) -> None:
    (full / "squeezenet-nano.int8.onnx").unlink()
    assert run("rm", "squeezenet-nano.int8.onnx.json", "--workspace", full).exit_code == 0
    (full / "squeezenet.last.npz").unlink()
    assert run("verify", "--workspace", full).exit_code == 0


def test_a_quota_is_kept_shown_and_dropped(full: Path) -> None:
    assert "no quota" in run("quota", "--workspace", full).output
    assert "a quota of 3.0 MB" in run("quota", "3MB", "--workspace", full).output
    assert "a quota of 3.0 MB" in run("quota", "--workspace", full).output
    assert Artifact.open(full / EXPORTS[0]).manifest
    refused = run("quota", "10kB", "--workspace", full)
    assert refused.exit_code == 1 and "edgesqz workspace clean --to 10kB" in refused.output
    assert "no quota" in run("quota", "none", "--workspace", full).output


def test_a_result_is_also_available_as_data(full: Path) -> None:
    shown = json.loads(run("quota", "3MB", "--workspace", full, "--json").output)
    assert shown == {"folder": str(full), "quota_bytes": 3_000_000, "used_bytes": Workspace(full).used_bytes()}
    removed = json.loads(run("rm", "notes.txt", "notes.txt", "--workspace", full, "--json").output)
    assert [(item["name"], item["size_bytes"]) for item in removed["items"]] == [("notes.txt", 70)]
    listed = contents(Workspace(full))
    assert [record["name"] for record in listed.records] == names(listed.items)
    assert repr(listed) == f"Contents(folder='{full}', quota_bytes=3000000, used_bytes={listed.used_bytes}, items=<6>)"
