"""A complete sweep with real training on small generated images: its files, its reports, and the input it rejects."""

from __future__ import annotations

import csv
import io
import json
import shutil
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import edgesqz
from edgesqz.artifact import Artifact
from edgesqz.cli.app import app
from edgesqz.errors import EdgesqzError
from edgesqz.sweeping.keeper import record_path
from edgesqz.workspace import Workspace

pytestmark = pytest.mark.skipif(not find_spec("ray"), reason="needs ray")  # importing it takes a second

SPACE: dict[str, Any] = {
    "network": {"stem": [4, 6], "stage1": {"fires": 1, "squeeze": 4, "expand": [8, 16]}, "input_size": 16},
    "recipe": {"epochs": 2, "batch_size": 16, "learning_rate": 0.05},
}


@pytest.fixture(scope="module")
def swept(bright_and_dark: Path, tmp_path_factory: pytest.TempPathFactory) -> edgesqz.sweeping.result.SweepResult:
    workspace = tmp_path_factory.mktemp("sweep") / "workspace"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(bright_and_dark.parent)  # each trial runs in its own folder, where this relative path is invalid
        return edgesqz.sweep(
            SPACE, dataset=bright_and_dark.name, workspace=workspace, quota="300kB", trials=3, concurrent=1
        )


def test_every_trial_has_an_outcome_and_the_quota_holds(swept: Any) -> None:
    assert len(swept.trials) == 3
    assert {trial.state for trial in swept.trials} <= {"finished", "stopped"}
    assert Workspace(swept.folder).used_bytes() <= 300_000
    kept = [file.name for trial in swept.trials for file in trial.files if file.kept]
    assert kept and all((swept.folder / name).is_file() for name in kept)


def test_files_are_artifacts_that_were_verified_and_benchmarked(swept: Any) -> None:
    kept = [swept.folder / file.name for trial in swept.trials for file in trial.files if file.kept]
    assert all(Artifact.open(path).manifest.verification for path in kept)  # type: ignore[union-attr]
    assert swept.report is not None
    assert {Path(row.path) for row in swept.report.rows} <= set(kept)
    assert any(record["test_accuracy"] is not None for record in swept.records)


def test_the_best_trial_can_be_trained_again(swept: Any, bright_and_dark: Path, tmp_path: Path) -> None:
    spec = tmp_path / "best.toml"
    spec.write_text(swept.spec())
    assert tomllib.loads(swept.spec())["network"]["model"] == swept.best.model
    trained = edgesqz.train(dataset=bright_and_dark, spec=spec, workspace=tmp_path / "workspace")
    assert trained.manifest.training
    assert trained.manifest.training["recipe"]["model"] == swept.best.model
    assert trained.manifest.training["recipe"]["learning_rate"] == 0.05


def test_results_are_rendered_in_every_format(swept: Any, tmp_path: Path) -> None:
    assert json.loads(swept.to_json())["trials"][0]["model"].startswith("squeezenet-")
    rows = list(csv.DictReader(io.StringIO(swept.to_csv())))
    assert len(rows) == len(swept.records)
    page = swept.to_html()
    assert swept.best.model in page and "https://" not in page.replace("http://www.w3.org", "")
    swept.plot(tmp_path / "front.svg")
    assert "kept in" in "\n".join(swept.table().lines(100))


def test_a_dry_run_lists_what_fits_and_writes_nothing(bright_and_dark: Path, tmp_path: Path) -> None:
    found = edgesqz.sweep(SPACE, dataset=bright_and_dark, workspace=tmp_path / "none", search="grid", dry_run=True)
    assert [trial.state for trial in found.trials] == ["waiting"] * 4
    assert not (tmp_path / "none").exists()
    assert "4 candidates within the limits" in "\n".join(found.table().lines(100))


def test_a_second_sweep_of_the_same_name_is_refused_and_resuming_a_finished_one_changes_nothing(
    swept: Any, bright_and_dark: Path
) -> None:
    before = record_path(swept.folder, "sweep").read_bytes()
    with pytest.raises(EdgesqzError, match="already exists"):
        edgesqz.sweep(SPACE, dataset=bright_and_dark, workspace=swept.folder)
    assert record_path(swept.folder, "sweep").read_bytes() == before
    again = edgesqz.sweep(resume=True, workspace=swept.folder)
    assert again.trials == swept.trials
    assert again.quota_bytes == 300_000


@pytest.mark.skipif(shutil.which("ssh") is None, reason="needs ssh")
def test_a_host_is_reached_before_the_first_trial(bright_and_dark: Path, tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match=r"nobody@127\.0\.0\.1"):  # where nothing listens
        edgesqz.sweep(SPACE, dataset=bright_and_dark, workspace=tmp_path, host="ssh://nobody@127.0.0.1:9")
    assert not list(tmp_path.glob("*.json"))


def test_a_sweep_is_replaced_only_once_the_cluster_has_answered(swept: Any, bright_and_dark: Path) -> None:
    before = {path.name for path in swept.folder.iterdir()}
    with pytest.raises(EdgesqzError, match="no Ray cluster answers"):
        edgesqz.sweep(
            SPACE, dataset=bright_and_dark, workspace=swept.folder, quota="300kB", force=True, address="127.0.0.1:1"
        )
    assert {path.name for path in swept.folder.iterdir()} == before


def test_a_workspace_without_room_is_refused_before_ray_starts(bright_and_dark: Path, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(bytes(300_000))
    with pytest.raises(EdgesqzError, match="would not fit the quota"):
        edgesqz.sweep(SPACE, dataset=bright_and_dark, workspace=tmp_path, quota="300kB", trials=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-size", "1kB"], "the smallest is squeezenet-4p-4x8"),
        (["--search", "bayes"], "--search 'bayes'; choose from random, grid, optuna"),
        (["--resume"], "--resume uses the space that the sweep was started with"),
        (["--address", "ray://here:1"], "is a Ray Client address"),
        (["--address", "127.0.0.1:1"], "no Ray cluster answers at 127.0.0.1:1"),
    ],
)
def test_bad_input_is_reported_in_one_line(
    arguments: list[str], message: str, bright_and_dark: Path, tmp_path: Path
) -> None:
    space = tmp_path / "space.toml"
    space.write_text(
        "[network]\nstem = [4]\ninput_size = 16\n[recipe]\nepochs = 1\n"
        "[network.stage1]\nfires = 1\nsqueeze = 4\nexpand = 8\n"
    )
    command = [
        "sweep",
        str(space),
        "--dataset",
        str(bright_and_dark),
        "--workspace",
        str(tmp_path / "none"),
        *arguments,
    ]
    found = CliRunner().invoke(app, command)
    assert found.exit_code == 1
    assert message in found.stderr
    assert len(found.stderr.strip().splitlines()) == 1


def test_the_template_is_printed() -> None:
    found = CliRunner().invoke(app, ["sweep", "--template"])
    assert found.exit_code == 0
    assert tomllib.loads(found.stdout)["network"]
