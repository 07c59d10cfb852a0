"""The command line that is derived from a command's dataclass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from edgesqz.cli.options import add
from edgesqz.command import Option
from edgesqz.errors import EdgesqzError, option
from edgesqz.options import as_list


@dataclass(frozen=True, kw_only=True)
class Limits:
    PANEL: ClassVar = "Limits"
    max_size: Annotated[str | int | None, Option("Fail if larger than this.", metavar="SIZE")] = None


@dataclass(frozen=True)
class Measure(Limits):
    """Measure files.

    Example: `edgesqz measure a.tflite`
    """

    files: Annotated[str | Path | Sequence[str | Path], Option("Files.", metavar="FILE", positional=True)]
    runtimes: Annotated[str | Sequence[str], Option("Engines.", flag="--runtime")] = ()
    rounds: Annotated[int, Option("Rounds.")] = 3
    fast: Annotated[bool, Option("Hurry.")] = False
    again: Annotated[bool | None, Option("Repeat.")] = None

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise EdgesqzError(
                f"{option('rounds')} must be at least 1, got {self.rounds}; give no {option('runtimes')}"
            )

    def run(self, console: Console) -> dict[str, Any]:
        if "elsewhere" in as_list(self.files):
            raise EdgesqzError(f"remove {option('pixel_range')}")
        return vars(self)


@dataclass(frozen=True, kw_only=True)
class Shown:
    PANEL: ClassVar = "Output"
    json: Annotated[str | Path | None, Option("Write JSON.", metavar="FILE|-")] = None

    def show(self, result: Any) -> None:
        print(self.json, sorted(result.items()))


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.callback()(lambda: None)
    add(app, Measure, Shown, lambda: Console(quiet=True))
    return app


def test_options_become_fields(app: typer.Typer) -> None:
    options = ["a", "b", "--runtime", "x", "--runtime", "y", "--fast", "--again", "--max-size", "2MB", "--json", "-"]
    result = CliRunner().invoke(app, ["measure", *options], catch_exceptions=False)
    assert result.output == (
        "- [('again', True), ('fast', True), ('files', ['a', 'b']), ('max_size', '2MB'), ('rounds', 3), "
        "('runtimes', ['x', 'y'])]\n"
    )


def test_omitted_options_keep_their_defaults(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["measure", "a"], catch_exceptions=False)
    assert result.output == (
        "None [('again', None), ('fast', False), ('files', ['a']), ('max_size', None), ('rounds', 3), "
        "('runtimes', ())]\n"
    )


def test_help_is_in_panels(app: typer.Typer) -> None:
    output = CliRunner().invoke(app, ["measure", "--help"]).output
    assert "Measure files." in output
    assert all(f"─ {panel} ─" in output for panel in ("Arguments", "Options", "Limits", "Output"))
    assert "--no-fast" not in output
    assert output.index("─ Limits ─") < output.index("─ Output ─")
    assert "<" not in output  # no Python types, such as <list[str]> after FILE or <bool> after --fast
    assert "--rounds" in output and "INTEGER" in output


def test_the_command_line_names_flags(app: typer.Typer) -> None:
    with pytest.raises(EdgesqzError, match="^--rounds must be at least 1, got 0; give no --runtime$"):
        CliRunner().invoke(app, ["measure", "a", "--rounds", "0"], catch_exceptions=False)


def test_a_missing_argument_is_wrong_usage(app: typer.Typer) -> None:
    assert CliRunner().invoke(app, ["measure"]).exit_code == 2


def test_a_parameter_of_another_command_is_named_like_its_flag(app: typer.Typer) -> None:
    with pytest.raises(EdgesqzError, match="^remove --pixel-range$"):
        CliRunner().invoke(app, ["measure", "elsewhere"], catch_exceptions=False)
