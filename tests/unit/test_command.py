"""The Python function that is derived from a command's dataclass."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import pytest
from rich.console import Console

from edgesqz.command import Option, command, fields
from edgesqz.errors import EdgesqzError, option


@dataclass(frozen=True, kw_only=True)
class Timing:
    PANEL: ClassVar = "Timing"
    threads: Annotated[int, Option("Threads for each engine.")] = 1
    folder: Annotated[str, Option("Where.", variable="GREETINGS")] = "here"

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise EdgesqzError(f"{option('threads')} must be at least 1, got {self.threads}")


@dataclass(frozen=True)
class Greet(Timing):
    """Greet people.

    Example: `edgesqz greet Ada`
    """

    names: Annotated[str | Path | Sequence[str | Path], Option("Whom.", metavar="NAME", positional=True)] = ()
    loudly: Annotated[bool, Option("Shout.", default="in a low voice")] = False

    def run(self, console: Console) -> str:
        console.print("greeting")
        return f"{self.names} {self.threads} {self.folder}"


greet = command(Greet)


def test_a_command_is_a_function_of_its_fields() -> None:
    assert greet("Ada", threads=2) == "Ada 2 here"
    assert list(inspect.signature(greet).parameters) == ["names", "loudly", "threads", "folder"]
    assert greet.__name__ == "greet"


def test_a_parameter_falls_back_on_its_environment_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREETINGS", "there")
    assert greet("Ada") == "Ada 1 there"
    assert greet("Ada", folder="elsewhere") == "Ada 1 elsewhere"
    monkeypatch.setenv("GREETINGS", "")
    assert greet("Ada") == "Ada 1 here"


def test_the_functions_docstring_describes_every_parameter() -> None:
    docstring = inspect.getdoc(greet)
    assert docstring and docstring.startswith("Greet people.")
    assert "    names: Whom.\n    loudly: Shout. By default in a low voice.\n    threads: Threads" in docstring


def test_fields_know_their_panel_and_flag() -> None:
    assert [(field.flag, field.panel) for field in fields(Greet)] == [
        ("NAME", None),
        ("--loudly", None),
        ("--threads", "Timing"),
        ("--folder", "Timing"),
    ]


def test_no_progress_is_shown_without_a_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    greet("Ada")
    assert capfd.readouterr() == ("", "")


def test_python_names_parameters() -> None:
    with pytest.raises(EdgesqzError, match="^threads must be at least 1, got 0$"):
        greet("Ada", threads=0)
