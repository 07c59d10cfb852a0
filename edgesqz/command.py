"""Commands as data: the fields of a frozen dataclass are the options of a command, each described once.

The Python function (``command``), the command line (``edgesqz.cli.options``) and the reference in the docs are all
derived from it. Modules with such dataclasses import nothing heavy, because ``--help`` reads them.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import os
import sys
import textwrap
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

if TYPE_CHECKING:
    from rich.console import Console

P = ParamSpec("P")
R = TypeVar("R", covariant=True)


@dataclass(frozen=True)
class Option:
    """The description of a command's field, as the metadata of its ``Annotated`` type.

    Attributes:
        help: Description in whole sentences.
        metavar: Placeholder for the value on the command line, such as SIZE.
        default: Description of the default, if the value is not self-explanatory.
        flag: Name on the command line, if it differs from the field's.
        variable: Environment variable that provides the value if it is not specified.
        positional: Whether it is a positional argument on the command line.
    """

    help: str
    metavar: str | None = None
    default: str | None = None
    flag: str | None = None
    variable: str | None = None
    positional: bool = False


class Command(Protocol[R]):
    """A frozen dataclass whose fields are ``Annotated[…, Option(…)]``."""

    def run(self, console: Console) -> R:
        """Run the command, and show progress on the console."""
        ...


def command(plan: Callable[P, Command[R]]) -> Callable[P, R]:
    """Derive the Python function of a command, with the fields as documented parameters.

    The function shows progress only in a terminal or a notebook. Like the command line, it falls back on environment
    variables.
    """

    @functools.wraps(plan)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        complete = typing.cast(Callable[..., Command[R]], plan)
        return complete(*args, **kwargs, **_from_environment(plan, args, kwargs)).run(_progress_console())

    run.__name__ = run.__qualname__ = plan.__name__.lower()
    described = _described(plan)
    run.__doc__ = f"{inspect.getdoc(plan)}\n\nArgs:\n{described}" if described else inspect.getdoc(plan)
    return run


@dataclass(frozen=True)
class Field:
    """A field of a command.

    Attributes:
        name: Name of the parameter in Python.
        type: Type of the value.
        default: Default value, or ``dataclasses.MISSING`` if there is none.
        option: Description of the field.
        panel: Group that the field belongs to: the ``PANEL`` of the dataclass that declares it.
    """

    name: str
    type: Any
    default: Any
    option: Option
    panel: str | None

    @property
    def flag(self) -> str:
        """Name on the command line."""
        if self.option.positional:
            return self.option.metavar or self.name.upper()
        return self.option.flag or default_flag(self.name)


def _from_environment(plan: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, str]:
    """Return the values of the parameters that are not specified but have an environment variable."""
    known = list(fields(plan))
    specified = {*kwargs, *(field.name for field in known[: len(args)])}
    variables = {field.name: field.option.variable for field in known if field.name not in specified}
    return {name: os.environ[variable] for name, variable in variables.items() if variable and os.environ.get(variable)}


def default_flag(name: str) -> str:
    """Return the default flag for a parameter."""
    return f"--{name.replace('_', '-')}"


def fields(plan: Any) -> Iterator[Field]:
    """Yield the fields of a command in the order of its Python parameters."""
    types = typing.get_type_hints(plan, include_extras=True)
    for field in sorted(dataclasses.fields(plan), key=lambda field: bool(field.kw_only)):
        kind, *metadata = typing.get_args(types[field.name])
        (option,) = (each for each in metadata if isinstance(each, Option))
        yield Field(field.name, kind, field.default, option, _panel(plan, field.name))


def command_line(plan: Command[Any]) -> list[str]:
    """Return the words of the command line that runs a command with the same options. Defaults are omitted."""
    words = ["edgesqz", type(plan).__name__.lower()]
    for field in fields(type(plan)):
        value = getattr(plan, field.name)
        if str(value) == str(field.default):  # a path may be given as text
            continue
        values = value if isinstance(value, list | tuple) else [value]
        if field.option.positional:
            words += map(str, values)
        elif value is True:
            words.append(field.flag)
        else:
            words += [word for each in values for word in (field.flag, str(each))]
    return words


def _panel(plan: type, name: str) -> str | None:
    declaring = next(each for each in plan.__mro__ if name in vars(each).get("__annotations__", {}))
    panel: str | None = vars(declaring).get("PANEL")
    return panel


def _described(plan: Any) -> str:
    """Format the fields as a section of a docstring."""
    lines = []
    for field in fields(plan):
        default = f" By default {field.option.default}." if field.option.default else ""
        lines.append(textwrap.fill(f"{field.name}: {field.option.help}{default}", 108, subsequent_indent="    "))
    return textwrap.indent("\n".join(lines), "    ")


def _progress_console() -> Console:
    """Return a console on standard error or in a notebook, which is quiet if there is neither terminal nor notebook."""
    from rich.console import Console

    console = Console(stderr="ipykernel" not in sys.modules)
    return console if console.is_terminal or console.is_jupyter else Console(quiet=True)
