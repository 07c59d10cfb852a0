"""A hook of MkDocs that writes the reference: the command line from the app, Python from the package's public list."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import edgesqz
from edgesqz.cli import app
from edgesqz.command import fields


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the reference to the site."""
    files.append(File.generated(config, "reference/cli.md", content="\n".join(cli_lines())))
    files.append(File.generated(config, "reference/python.md", content="\n".join(python_lines())))
    return files


def cli_lines() -> Iterator[str]:
    """The commands with their arguments and options, as Markdown."""
    yield "# Command line\n"
    yield "`edgesqz COMMAND --help` shows the same in a terminal.\n"
    group = typer.main.get_command(app)
    yield from _options(group)
    yield from _commands(group, "edgesqz")


def python_lines() -> Iterator[str]:
    """What the package exports: commands from their dataclasses, the rest as mkdocstrings finds it."""
    yield "# Python\n"
    yield "Everything here is imported from `edgesqz`. A path is a `str` or a `Path`.\n"
    for name in sorted(edgesqz.__all__, key=str.lower):
        if name.startswith("_"):
            continue
        plan = getattr(getattr(edgesqz, name), "__wrapped__", None)
        if dataclasses.is_dataclass(plan):
            yield from _function(name, plan)
        else:
            yield f"::: edgesqz.{name}\n"


def _function(name: str, plan: Any) -> Iterator[str]:
    """The Python function of a command."""
    yield f"## {name}\n"
    parameters = "".join(f"    {each},\n" for each in _parameters(plan))
    opened = "\n" if parameters else ""
    yield f"```python\n{name}({opened}{parameters}) -> {plan.run.__annotations__['return']}\n```\n"
    yield f"{inspect.getdoc(plan)}\n"
    if not parameters:
        return
    yield "| Parameter | Type | | Default |\n| --- | --- | --- | --- |"
    for field in fields(plan):
        default = field.option.default or _code(_equals(field.default).removeprefix("=")) or "required"
        yield f"| `{field.name}` | {_code(_type_name(field.type))} | {field.option.help} | {default} |"
    yield ""


def _parameters(plan: Any) -> Iterator[str]:
    """The parameters as a signature has them; a star comes before those that are given by name."""
    kinds, starred = inspect.signature(plan).parameters, False
    for field in fields(plan):
        if kinds[field.name].kind is inspect.Parameter.KEYWORD_ONLY and not starred:
            starred = True
            yield "*"
        yield f"{field.name}{_equals(field.default)}"


def _equals(default: Any) -> str:
    """A default as in a signature; nothing if there is none."""
    if default is dataclasses.MISSING:
        return ""
    return f"={(str(default) if isinstance(default, Path) else default)!r}"


def _type_name(kind: Any) -> str:
    """A type as it is written, without the modules of its names."""
    return re.sub(r"\b\w+\.(?=\w)", "", kind.__name__ if isinstance(kind, type) else str(kind))


def _commands(group: Any, prefix: str) -> Iterator[str]:
    for name, command in group.commands.items():
        yield f"## {prefix} {name}\n"
        yield f"{inspect.cleandoc(command.help or '')}\n"
        if hasattr(command, "commands"):
            yield from _commands(command, f"{prefix} {name}")
        else:
            yield from _options(command)


def _options(command: Any) -> Iterator[str]:
    """A table for each panel."""
    panels: dict[str, list[Any]] = {}
    for parameter in command.params:
        if parameter.name != "help":
            panels.setdefault(_panel(parameter), []).append(parameter)
    for panel, parameters in panels.items():
        yield f"| {panel} | | Default |\n| --- | --- | --- |"
        yield from (f"| {_name(each)} | {each.help} | {_default(each)} |" for each in parameters)
        yield ""


def _panel(parameter: Any) -> str:
    kind = "Arguments" if parameter.param_type_name == "argument" else "Options"
    return str(parameter.rich_help_panel or kind)


def _name(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return _code(parameter.metavar or parameter.name.upper())
    value = "" if parameter.is_flag else f" {parameter.metavar or parameter.bare_type().upper()}"
    return _code(f"{parameter.opts[0]}{value}")


def _default(parameter: Any) -> str:
    if isinstance(parameter.show_default, str):
        return parameter.show_default
    if parameter.envvar:
        fallback = f"`{parameter.envvar}`"
        return f"{fallback}, else `{parameter.default}`" if parameter.default else fallback
    return "" if parameter.default in (None, False, [], ()) else f"`{parameter.default}`"


def _code(text: str) -> str:
    return f"`{text}`" if text else ""
