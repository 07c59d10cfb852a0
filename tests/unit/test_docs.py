"""The README and the site: every command line parses, links work, and the reference is complete."""

from __future__ import annotations

import functools
import re
import runpy
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

import edgesqz
from edgesqz.cli import app
from edgesqz.cli.app import options
from tests.pages import BLOCK, PAGES, ROOT, blocks, commands, identified

README_LINES = 150


@functools.cache
def group() -> Any:
    """Return all commands, which take long to build."""
    return typer.main.get_command(app)


def parse(arguments: list[str]) -> None:
    """Parse a command line with its command, without running it."""
    command = group()
    while hasattr(command, "commands"):
        name, *arguments = arguments
        command = command.commands[name]
    command.make_context(command.name, arguments)


@pytest.mark.parametrize("page", PAGES, ids=identified)
def test_command_lines_parse(page: Path) -> None:
    for block in blocks(page, "bash", "console"):
        for arguments in commands(block["code"]):
            parse(arguments)


def test_commands_in_running_text_exist() -> None:
    for page in PAGES:
        for name in re.findall(r"`edgesqz ([a-z]+)", page.read_text()):
            assert name in group().commands, f"{page}: edgesqz {name}"


@pytest.mark.parametrize("page", PAGES, ids=identified)
def test_every_example_is_in_a_block_that_names_its_language(page: Path) -> None:
    outside = BLOCK.sub("", page.read_text())
    assert "```" not in outside
    assert not re.search(r"^    (edgesqz|python) ", outside, re.M)


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= README_LINES


def test_one_sentence_says_everywhere_what_edgesqz_does() -> None:
    tagline: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["description"]
    for page in (ROOT / "README.md", ROOT / "docs" / "index.md"):
        assert page.read_text().startswith(f"# edgesqz\n\n{tagline}\n\n")
    for docstring in (edgesqz.__doc__, options.__doc__):
        assert docstring and docstring.splitlines()[0] == tagline
    assert f"\nsite_description: {tagline}\n" in (ROOT / "mkdocs.yml").read_text()


def test_links_have_targets() -> None:
    """MkDocs checks the links of the site, but not those of the README and CONTRIBUTING."""
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
            assert (ROOT / target).exists(), f"{page.name}: {target}"


def test_the_reference_names_every_command_option_and_function() -> None:
    pytest.importorskip("mkdocs")
    reference = runpy.run_path(str(ROOT / "docs" / "reference.py"))
    cli, python = ("\n".join(reference[lines]()) for lines in ("cli_lines", "python_lines"))
    for name, command in group().commands.items():
        assert f"## edgesqz {name}\n" in cli
        for parameter in command.params:
            assert parameter.name == "help" or parameter.param_type_name == "argument" or f"`{parameter.opts[0]}" in cli
    for name in edgesqz.__all__:
        assert name.startswith("_") or f"::: edgesqz.{name}\n" in python or f"## {name}\n" in python
