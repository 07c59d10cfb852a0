"""The command line as users see it: help, tables, and one clear line for each error."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup
from typer.testing import CliRunner, Result

from edgesqz.artifact import Artifact
from edgesqz.cli import app
from edgesqz.exporting import Export, ExportResult
from edgesqz.models import listing
from edgesqz.training.recipe import Recipe

COMMANDS = (
    "train",
    "export",
    "bench",
    "compare",
    "fit",
    "sweep",
    "predict",
    "embed",
    "inspect",
    "params",
    "models",
    "info",
    "demo",
)


OF_A_WORKSPACE = tuple(f"workspace {name}" for name in ("list", "rm", "clean", "verify", "quota"))


def run(*arguments: str | Path) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize("command", [*COMMANDS, *OF_A_WORKSPACE])
def test_help_has_an_example(command: str) -> None:
    result = run(*command.split(), "--help")
    assert result.exit_code == 0
    assert f"Example: edgesqz {command}" in result.output


@pytest.mark.parametrize("command", ["bench", "compare", "fit", "export", "predict", "embed", "demo", *OF_A_WORKSPACE])
def test_help_fits_a_narrow_terminal_and_shows_no_type_of_python(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = run(*command.split(), "--help").output
    assert max(map(len, shown.splitlines())) <= 80
    assert not re.findall(r"<\w+|`|…", shown)


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("export", ["--format", "--variant", "--quantize", "--all", "--keep-int8"]),
        ("export", ["--dataset", "--data-dir", "--calibration", "--pixel-range"]),
        ("bench", ["--dataset", "--data-dir", "--limit", "--pixel-range"]),
        ("fit", ["--quota", "--max-latency"]),
        ("embed", ["--target", "--report", "--out"]),
    ],
)
def test_the_help_of_common_options_comes_first(command: str, options: list[str]) -> None:
    output = CliRunner().invoke(app, [command, "--help"]).output
    places = [re.search(rf"│[ *]+{name} ", output) for name in options]
    starts = [place.start() for place in places if place]
    assert len(starts) == len(options) and starts == sorted(starts)


def test_a_line_names_what_was_written_unless_quiet(tmp_path: Path) -> None:
    path = tmp_path / ("a-long-name-" * 9 + ".svg")  # wider than any terminal
    assert run("params", "squeezenet-nano", "--plot", path).stderr == f"wrote {path}\n"
    path.unlink()
    for arguments in (("--quiet", "params", "--plot", path), ("params", "--plot", path, "--quiet")):
        result = run(*arguments)
        assert (result.exit_code, result.stderr, path.is_file()) == (0, "", True)


@pytest.mark.parametrize(("option", "shown"), [((), []), (("--verbose",), ["used 3 MB"]), (("--quiet",), [])])
def test_the_size_of_temporary_files_is_shown_on_request(
    option: tuple[str, ...], shown: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def listed(*_: Any) -> Any:
        logging.getLogger("edgesqz.workspace.scratch").info("used 3 MB")
        return listing.ModelListing(())

    monkeypatch.setattr(listing.Models, "run", listed)
    assert run("models", *option).stderr.splitlines() == shown
    assert run(*option, "models").stderr.splitlines() == shown


def test_verbose_and_quiet_cannot_be_used_together() -> None:
    result = run("models", "--verbose", "--quiet")
    assert (result.exit_code, result.stderr) == (1, "error: --verbose and --quiet cannot be used together\n")


@pytest.mark.parametrize(("columns", "widest"), [(60, 60), (200, 200), (None, 100)])
def test_tables_are_as_wide_as_the_terminal(columns: int | None, widest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns:
        monkeypatch.setenv("COLUMNS", str(columns))
    lines = run("params", "squeezenet-1.1").stdout.splitlines()
    assert max(map(len, lines)) <= widest
    assert {"layer", "parameters", "MACs", "int8"} <= set(" ".join(lines).split())


def test_the_list_of_commands_is_complete() -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    found = {
        f"{name} {below}".strip()
        for name, command in group.commands.items()
        for below in getattr(command, "commands", [""])
    }
    assert found == {*COMMANDS, *OF_A_WORKSPACE}


def test_the_readme_mentions_every_command() -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text()
    for command in COMMANDS:
        assert f"edgesqz {command}" in readme


def test_help_shows_the_recipes_defaults() -> None:
    shown = run("train", "--help").output
    for value in (Recipe.model, Recipe.dataset, Recipe.seed):
        assert f"({value})" in shown
    assert " ".join(re.sub("│", " ", shown).split()).count("(depends on the number of images)") == 3


def test_the_version_is_the_packages() -> None:
    from importlib.metadata import version

    assert run("--version").output.strip() == version("edgesqz")


def test_info_shows_what_is_available() -> None:
    found = json.loads(run("info", "--json").output)
    assert set(found) == {"versions", "converters", "readers", "runtimes", "models", "datasets", "data_dir"}
    table = run("info").output
    for name in ("tflite", "onnx", "litert", "onnxruntime", "squeezenet-nano", "synthetic"):
        assert name in table


def test_params_and_models_print_tables_and_json() -> None:
    assert json.loads(run("params", "alexnet", "--json").output)["parameters"] == 62_378_344
    compared = run("params", "--compare", "squeezenet", "digits", "--plot", "sizes.png").output
    assert "3,274,634" in compared and Path("sizes.png").exists()
    layers = run("params", "squeezenet-nano", "--max-size", "300kB")
    assert "(3*3*16 + 4)*48" in layers.output and max(map(len, layers.output.splitlines())) <= 100
    assert len(json.loads(run("models", "--json").output)["models"]) == 9


def test_params_compare_networks_with_a_size() -> None:
    result = run("params", "--compare", "squeezenet", "digits", "--max-size", "500kB")
    assert "of 500.0 kB, the int8 file takes: squeezenet 91" in " ".join(result.output.split())


def test_export_prints_json(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [exported / f"squeezenet-nano.{kind}" for kind in ("fp32.onnx", "int8.tflite")]
    result = ExportResult(tuple(Artifact.open(path) for path in paths), (), None, 0)
    monkeypatch.setattr(Export, "run", lambda plan, console: result)
    files = json.loads(run("export", "--json").stdout)["files"]
    assert [(file["path"], file["size_bytes"]) for file in files] == [(str(p), p.stat().st_size) for p in paths]
    assert all(file["verification"]["agreement"] >= 0.95 for file in files)


BAD_INPUT = {
    "no network and no data": (("train",), ("--data-dir", "--dataset synthetic")),
    "an unknown model": (("train", "--model", "resnet"), ("'resnet'", "squeezenet, squeezenet-nano")),
    "an unknown dataset": (("train", "--dataset", "imagenet"), ("'imagenet'", "cifar10, cifar100, mnist, synthetic")),
    "no epochs": (("train", "--dataset", "synthetic", "--epochs", "0"), ("--epochs must be above 0, got 0",)),
    "no rate": (("train", "--dataset", "synthetic", "--learning-rate", "nan"), ("--learning-rate",)),
    "no checkpoint": (("train", "--resume"), ("no checkpoint", "remove --resume")),
    "a quota that is not a size": (("train", "--quota", "plenty"), ("--quota: expected", "'plenty'", "500kB")),
    "a latency without a unit": (
        ("bench", "--max-latency", "2"),
        ("--max-latency: expected a time above zero such as 2ms, 500us or 0.01s, got '2'",),
    ),
    "a size that is none": (("bench", "--max-size", "abc"), ("--max-size: expected a size", "got 'abc'")),
    "memory that is not a size": (("fit", "--max-memory", "2q"), ("--max-memory: expected a size", "got '2q'")),
    "a target that is not a size": (("workspace", "clean", "--to", "abc"), ("--to: expected a size", "got 'abc'")),
    "a part of a size": (("params", "--max-size", "1.5"), ("--max-size: expected a size", "got '1.5'")),
    "an image size that is none": (("params", "--input-size", "abc"), ("--input-size: expected an image size",)),
    "a pixel range that is none": (("bench", "--pixel-range", "3"), ("--pixel-range: expected a pixel range",)),
    "a data folder without the data": (
        ("train", "--data-dir", "."),
        ("cifar-10-batches-py", "choose another --data-dir"),
    ),
    "an unknown format": (("export", "--format", "coreml"), ("'coreml'", "onnx, tflite")),
    "an unknown variant": (
        ("export", "--variant", "int2"),
        ("'int2'", "int8, int4, mixed, fp16, dynamic"),
    ),
    "an untrained model without a name": (("export", "--untrained"), ("--untrained needs the name of",)),
    "several networks at once": (("params", "digits", "alexnet"), ("--compare",)),
    "images too small": (("params", "alexnet", "--input-size", "20"), ("alexnet needs larger images", "20x20")),
    "an unknown preprocessing": (("train", "--preprocessing", "blur"), ("'blur'", "scale, course")),
    "nothing to export": (("export",), ("no .keras file", "edgesqz train")),
    "nothing to bench": (("bench",), ("no model file", "edgesqz train")),
    "a report in a missing folder": (("bench", "--json", "missing/report.json"), ("cannot write missing/report.json",)),
    "a teacher and labels": (
        ("train", "--teacher", "squeezenet", "--label-smoothing", "0.1"),
        ("--teacher replaces the labels; remove --label-smoothing",),
    ),
    "a pixel range beside a manifest": (
        ("predict", "squeezenet.int8.tflite", "b.png", "--pixel-range", "0..1"),
        ("has a manifest, which specifies its pixel range; remove --pixel-range",),
    ),
    "two reports on one output": (("bench", "--json", "-", "--csv", "-"), ("only one of --json, --csv,",)),
    "tables beside a report": (("bench", "--csv", "-", "--per-class"), ("--per-class and --layers print tables",)),
    "no model to predict with": (("predict", "a.tflite", "b.png"), ("a.tflite does not exist",)),
}


@pytest.mark.parametrize(("arguments", "words"), BAD_INPUT.values(), ids=BAD_INPUT)
def test_bad_input_is_reported_in_one_clear_line(
    arguments: tuple[str, ...], words: tuple[str, ...], tmp_path: Path
) -> None:
    result = run(*arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    for word in words:
        assert word in result.stderr
    assert {path.name for path in tmp_path.iterdir()} <= {"cache"}


def test_a_workspace_that_cannot_be_written_is_reported() -> None:
    Path("file").write_text("in the way")
    result = run("train", "--dataset", "synthetic", "--workspace", "file/workspace")
    assert result.exit_code == 1
    assert "the workspace file/workspace cannot be used: Not a directory" in result.stderr


def test_an_unreadable_image_affects_only_its_line(exported: Path, images: Path) -> None:
    Path("torn.png").write_bytes(b"\x89PNG torn")
    whole = images / "test/red/0.png"
    result = run("predict", "squeezenet-nano.int8.tflite", "torn.png", whole, "--workspace", exported)
    assert result.exit_code == 1
    assert "failed: cannot read the image torn.png" in result.stderr
    assert "torn.png" not in result.stdout and "red" in result.stdout
    missing = run("predict", "squeezenet-nano.int8.tflite", "missing.png", "--workspace", exported)
    assert (missing.exit_code, missing.stdout, missing.stderr.count("missing.png")) == (1, "", 1)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("train --epochs many", "--epochs must be a whole number, got 'many'; see edgesqz train --help"),
        ("train --epochs", "option '--epochs' requires an argument"),
        ("train --seconds soon", "--seconds must be a number, got 'soon'; see edgesqz train --help"),
        ("bench --rounds 1.5", "--rounds must be a whole number, got '1.5'; see edgesqz bench --help"),
        ("bench --max-sise 1MB", "no such option --max-sise; did you mean --max-size? see edgesqz bench --help"),
        ("train --minutes 3", "no such option --minutes; see edgesqz train --help"),
        ("bensh", "no such command 'bensh'; did you mean 'bench'? see edgesqz --help"),
        ("launch", "no such command 'launch'; see edgesqz --help"),
        ("workspace cleen", "no such command 'cleen'; did you mean 'clean'? see edgesqz workspace --help"),
        ("predict", "missing argument 'MODEL'; see edgesqz predict --help"),
    ],
)
def test_wrong_usage_is_one_clear_line_and_exits_with_2(arguments: str, line: str) -> None:
    result = CliRunner().invoke(app, arguments, prog_name="edgesqz")
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"error: {line}\n")


def test_a_group_without_a_command_shows_its_help() -> None:
    assert "Keep a workspace in order" in run("workspace").output
