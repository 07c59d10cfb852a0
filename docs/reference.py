"""MkDocs hook that generates the reference pages of the command line and of the public Python names."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import griffe
import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import edgesqz
from edgesqz.cli import app
from edgesqz.command import Field, fields

RESULT_BASE = "edgesqz.results.Result"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the reference to the site."""
    files.append(File.generated(config, "reference/cli.md", content="\n".join(cli_lines())))
    files.append(File.generated(config, "reference/python.md", content="\n".join(python_lines())))
    return files


def cli_lines() -> Iterator[str]:
    """Yield the commands with their arguments and options, as Markdown."""
    yield "# Command line\n"
    yield "`edgesqz COMMAND --help` shows the same text in a terminal.\n"
    group = typer.main.get_command(app)
    yield from _panels(group)
    yield from _commands(group, "edgesqz")


def python_lines() -> Iterator[str]:
    """Yield the public names of the package, as Markdown: commands from their dataclasses, the rest from docstrings."""
    plans = {name: plan for name in _public_names() if dataclasses.is_dataclass(plan := _plan(name))}
    package = griffe.load("edgesqz")
    results = {name: _result_path(package, plan) for name, plan in plans.items()}
    yield "# Python\n"
    yield "Import these names from `edgesqz`. Paths can be a `str` or a `Path`.\n"
    yield "## Commands\n"
    for name, plan in plans.items():
        yield from _function(name, plan, results[name])
    yield "## Models and errors\n"
    for name in _public_names():
        if name not in plans:
            yield _documented(f"edgesqz.{name}")
    yield "## Results\n"
    yield "The functions above return instances of these classes.\n"
    returned = [path for name in _public_names() if name not in plans and (path := _returned_path(package[name]))]
    for path in dict.fromkeys([RESULT_BASE, *results.values(), *returned]):
        yield _documented(path)


def _public_names() -> list[str]:
    return sorted((name for name in edgesqz.__all__ if not name.startswith("_")), key=str.lower)


def _plan(name: str) -> Any:
    """Return the dataclass that a public function is derived from, or None."""
    return getattr(getattr(edgesqz, name), "__wrapped__", None)


def _result_path(package: Any, plan: Any) -> str:
    """Return the full name of the class that a command returns, which is imported for type checkers only."""
    method = package[f"{plan.__module__}.{plan.__name__}".removeprefix("edgesqz.")].all_members["run"]
    path: str = method.returns.canonical_path
    return path


def _returned_path(member: Any) -> str | None:
    """Return the full name of the class of edgesqz that a function of the package returns, or None."""
    path = getattr(member.returns, "canonical_path", "") if member.is_function else ""
    return path if path.startswith("edgesqz.") else None


def _documented(path: str) -> str:
    return f"::: {path}\n    options:\n      heading_level: 3\n"


def _function(name: str, plan: Any, result: str) -> Iterator[str]:
    """Yield the documentation of the Python function of a command."""
    yield f"### {name}\n"
    parameters = "".join(f"    {each},\n" for each in _parameters(plan))
    opened = "\n" if parameters else ""
    yield f"```python\n{name}({opened}{parameters}) -> {result.rpartition('.')[2]}\n```\n"
    yield f"{_for_python(inspect.getdoc(plan) or '')}\n"
    yield from _definitions(fields(plan), _typed_name, lambda each: each.option.help, _given)
    yield f"**Returns:** [`{result.rpartition('.')[2]}`][{result}]\n"


def _for_python(docstring: str) -> str:
    """Return a command's docstring without the parts about the command line: the example and the exit codes."""
    return re.sub(r"\s*(Example: `edgesqz [^`]+`|The exit code [^.]+\.)", "", docstring)


def _parameters(plan: Any) -> Iterator[str]:
    """Yield the parameters of a signature, with a star before the keyword-only ones."""
    kinds, starred = inspect.signature(plan).parameters, False
    for field in fields(plan):
        if kinds[field.name].kind is inspect.Parameter.KEYWORD_ONLY and not starred:
            starred = True
            yield "*"
        yield field.name if field.default is dataclasses.MISSING else f"{field.name}={_plain(field.default)!r}"


def _typed_name(field: Field) -> str:
    return f"`{field.name}`: {_code(_type_name(field.type))}"


def _given(field: Field) -> str:
    """Return the default of a parameter, formatted for readers."""
    if field.default is dataclasses.MISSING:
        return "required"
    if field.option.default:
        return field.option.default
    return "" if field.default in (None, ()) else _code(repr(_plain(field.default)))


def _plain(default: Any) -> Any:
    return str(default) if isinstance(default, Path) else default


def _type_name(kind: Any) -> str:
    """Return a type without the modules of its names."""
    return re.sub(r"\b\w+\.(?=\w)", "", kind.__name__ if isinstance(kind, type) else str(kind))


def _commands(group: Any, prefix: str) -> Iterator[str]:
    for name, command in group.commands.items():
        yield f"## {prefix} {name}\n"
        arguments = " ".join(_usage(each) for each in command.params if each.param_type_name == "argument")
        below = "COMMAND" if hasattr(command, "commands") else f"[OPTIONS] {arguments}".strip()
        yield f"```text\n{prefix} {name} {below}\n```\n"
        yield f"{inspect.cleandoc(command.help or '')}\n"
        if hasattr(command, "commands"):
            yield from _commands(command, f"{prefix} {name}")
        else:
            yield from _panels(command)


def _usage(argument: Any) -> str:
    name = f"{_metavar(argument)}{'...' if argument.nargs == -1 else ''}"
    return name if argument.required else f"[{name}]"


def _panels(command: Any) -> Iterator[str]:
    """Yield the parameters of a command, panel by panel."""
    panels: dict[str, list[Any]] = {}
    for parameter in command.params:
        if parameter.name != "help":
            panels.setdefault(_panel(parameter), []).append(parameter)
    for panel, parameters in panels.items():
        yield f"**{panel}**\n"
        yield from _definitions(parameters, _name, lambda each: each.help, _default)


def _definitions(
    items: Iterable[Any], term: Callable[[Any], str], text: Callable[[Any], str], default: Callable[[Any], str]
) -> Iterator[str]:
    """Yield a definition list, which fits a narrow screen better than a table."""
    for item in items:
        shown = default(item)
        ending = "" if not shown else " Required." if shown == "required" else f" *Default: {shown}.*"
        yield f"{term(item)}\n:   {text(item)}{ending}\n"


def _panel(parameter: Any) -> str:
    kind = "Arguments" if parameter.param_type_name == "argument" else "Options"
    return str(parameter.rich_help_panel or kind)


def _name(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return _code(_metavar(parameter))
    value = "" if parameter.is_flag else f" {_metavar(parameter)}"
    return _code(f"{parameter.opts[0]}{value}")


def _metavar(parameter: Any) -> str:
    name = parameter.name.upper() if parameter.param_type_name == "argument" else parameter.bare_type().upper()
    return str(parameter.metavar or name)


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    value = "" if parameter.default in (None, False, [], ()) else f"`{parameter.default}`"
    shown = parameter.show_default if isinstance(parameter.show_default, str) else value
    return ", else ".join(part for part in (_code(parameter.envvar or ""), shown) if part)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""
