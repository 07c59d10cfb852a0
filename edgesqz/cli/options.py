"""Turn a command's dataclass into a Typer command, with signature and help derived from the fields."""

from __future__ import annotations

import dataclasses
import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Protocol, Union, get_args, get_origin

import typer
from typer.core import TyperCommand

from edgesqz.cli.usage import number_parser
from edgesqz.command import Command, Field, default_flag, fields
from edgesqz.errors import EdgesqzError, naming

# Options that several commands share come last in the help, always in this order.
_SHARED_PANELS = ("Data", "Timing", "Limits", "Analysis", "Cluster", "Output", "Workspace")
_METAVARS: dict[Any, str] = {int: "INTEGER", float: "NUMBER", str: "TEXT", list[str]: "TEXT"}


class Output(Protocol):
    """A frozen dataclass like a command's that defines what the command line does with a result."""

    def show(self, result: Any) -> None:
        """Print the result or write it to files. Raise ``typer.Exit`` to set the exit code."""
        ...


def hide_types(params: list[Any]) -> list[Any]:
    """Keep Python's types out of the help, such as ``<list[str]>`` after an argument and ``<bool>`` after a flag."""
    for param in params:
        if param.param_type_name == "argument":
            param.display_type_rich = lambda ctx: None
        elif param.is_flag:
            param.metavar = ""
    return params


class _Command(TyperCommand):
    def get_params(self, ctx: Any) -> list[Any]:
        return hide_types(super().get_params(ctx))


def add(
    app: typer.Typer,
    plan: Callable[..., Command[Any]],
    output: Callable[..., Output],
    console: Callable[[], Any],
    name: str | None = None,
) -> None:
    """Add a command to an app.

    Args:
        app: The app.
        plan: The dataclass of the command.
        output: The dataclass that shows its result. It is instantiated first, so that an output file that cannot be
            written causes an error before any work is done. An option that both dataclasses declare is passed to both.
        console: Returns the console to show progress on.
        name: The command's name, by default that of the dataclass in lower case.
    """
    options = {each.name: each for each in (*fields(plan), *fields(output))}
    of_plan, of_output = ({each.name for each in fields(part)} for part in (plan, output))

    def run(**values: Any) -> None:
        given = {name: value for name, value in values.items() if value not in (None, [])}
        with naming(lambda name: _flag(name, options)):
            try:
                shown = output(**{name: value for name, value in given.items() if name in of_output})
                result = plan(**{name: value for name, value in given.items() if name in of_plan}).run(console())
                shown.show(result)
            except EdgesqzError as error:
                raise EdgesqzError(str(error)) from error

    signature = inspect.Signature([_parameter(each) for each in sorted(options.values(), key=_panel_order)])
    vars(run)["__signature__"] = signature
    run.__annotations__.clear()
    app.command(name or plan.__name__.lower(), cls=_Command, help=inspect.getdoc(plan))(run)


def _panel_order(field: Field) -> int:
    return _SHARED_PANELS.index(field.panel) if field.panel in _SHARED_PANELS else -1


def _flag(name: str, options: Mapping[str, Field]) -> str:
    """Return the flag of a parameter, even if the parameter belongs to another command that this one calls."""
    return options[name].flag if name in options else default_flag(name)


def _parameter(field: Field) -> inspect.Parameter:
    """Convert a field to a parameter of the function that Typer inspects."""
    kind, option = _cli_type(field.type), field.option
    required = field.default is dataclasses.MISSING
    default = inspect.Parameter.empty if required else field.default
    info: Any
    if option.positional:
        info = typer.Argument(metavar=option.metavar, help=option.help, show_default=_plain(option.default) or True)
    else:
        names = [field.flag] if kind is bool or option.flag else []
        info = typer.Option(
            *names,
            metavar=option.metavar or _METAVARS.get(kind),
            parser=number_parser(field, kind),
            help=option.help,
            show_default=_plain(option.default) or kind is not bool,
            envvar=option.variable,
            rich_help_panel=field.panel,
        )
    if default is None or default == ():
        kind, default = kind | None, None
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, info]
    )


def _plain(default: str | None) -> str | None:
    """Remove Markdown from the description of a default, where Typer does not render it."""
    return default and default.replace("`", "")


def _cli_type(kind: Any) -> Any:
    """Return the type of a field for Typer: a single type, or a list if several values can be given."""
    members = [each for each in _members(kind) if each is not type(None)]
    if any(get_origin(each) is Sequence for each in members):
        return list[str]
    if len(members) == 1:
        return members[0]
    return str  # paths and sizes are text on the command line


def _members(kind: Any) -> Sequence[Any]:
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else [kind]
