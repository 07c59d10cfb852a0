"""The adapter from a command's dataclass to Typer: it builds the signature and the help from the fields."""

from __future__ import annotations

import dataclasses
import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Protocol, Union, get_args, get_origin

import typer

from edgesqz.command import Command, Field, default_flag, fields
from edgesqz.errors import EdgesqzError, naming


class Output(Protocol):
    """A frozen dataclass like a command's, for what the command line does with a result."""

    def show(self, result: Any) -> None:
        """Print the result or write it to files; raise ``typer.Exit`` for an exit code."""
        ...


def add(
    app: typer.Typer,
    plan: Callable[..., Command[Any]],
    output: Callable[..., Output],
    console: Callable[[], Any],
    name: str | None = None,
) -> None:
    """Add a command to an app.

    Args:
        app: gets a command named as the dataclass is, in lower case.
        plan: the dataclass of the command.
        output: the dataclass of what is done with its result; made first, so that what cannot be written is found
            out before any work. An option that both declare goes to both.
        console: gives the console that progress is shown on.
        name: The command's name, if it is not that of the dataclass.
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

    signature = inspect.Signature([_parameter(each) for each in options.values()])
    vars(run)["__signature__"] = signature
    run.__annotations__.clear()
    app.command(name or plan.__name__.lower(), help=inspect.getdoc(plan))(run)


def _flag(name: str, options: Mapping[str, Field]) -> str:
    """The flag of a parameter, which may belong to another command than the one that called on it."""
    return options[name].flag if name in options else default_flag(name)


def _parameter(field: Field) -> inspect.Parameter:
    """A field as a parameter of the function that Typer reads."""
    kind, option = _cli_type(field.type), field.option
    required = field.default is dataclasses.MISSING
    default = inspect.Parameter.empty if required else field.default or (False if kind is bool else None)
    info: Any
    if option.positional:
        info = typer.Argument(metavar=option.metavar, help=option.help, show_default=option.default or True)
    else:
        names = [field.flag] if kind is bool or option.flag else []
        info = typer.Option(
            *names,
            metavar=option.metavar,
            help=option.help,
            show_default=option.default or kind is not bool,
            envvar=option.variable,
            rich_help_panel=field.panel,
        )
    if default is None or default == ():
        kind, default = kind | None, None
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, info]
    )


def _cli_type(kind: Any) -> Any:
    """What Typer reads for a field's type: one type, or a list where several values can be given."""
    members = [each for each in _members(kind) if each is not type(None)]
    if any(get_origin(each) is Sequence for each in members):
        return list[str]
    if len(members) == 1:
        return members[0]
    return str  # a path or a size is text on the command line, whatever else Python may hand over


def _members(kind: Any) -> Sequence[Any]:
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else [kind]
