"""Commands as data: a frozen dataclass holds what a command can be asked for, each option described once.

The Python function (``command``), the command line (``edgesqz.cli.options``) and the reference in the docs are all
derived from it. Modules with such dataclasses import nothing heavy, for ``--help`` reads them.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import sys
import textwrap
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

if TYPE_CHECKING:
    from rich.console import Console

P = ParamSpec("P")
R = TypeVar("R", covariant=True)


@dataclass(frozen=True)
class Option:
    """How a field of a command appears to a person; the metadata of its ``Annotated`` type.

    Attributes:
        help: what it is for, in whole sentences.
        metavar: what stands for the value on the command line, such as SIZE.
        default: what the default means, in words, where the value does not tell.
        flag: its name on the command line, if that is not the field's.
        variable: the environment variable that the command line falls back on.
        positional: whether the command line takes it by its place.
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
        """Do what was asked for, and show progress on the console."""
        ...


def command(plan: Callable[P, Command[R]]) -> Callable[P, R]:
    """Derive the Python function of a command: its parameters are the fields, which it documents.

    The function shows progress where somebody is watching, in a terminal or a notebook.
    """

    @functools.wraps(plan)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        return plan(*args, **kwargs).run(_progress_console())

    run.__name__ = run.__qualname__ = plan.__name__.lower()
    described = _described(plan)
    run.__doc__ = f"{inspect.getdoc(plan)}\n\nArgs:\n{described}" if described else inspect.getdoc(plan)
    return run


@dataclass(frozen=True)
class Field:
    """A field of a command.

    Attributes:
        panel: the group that the field belongs to: the ``PANEL`` of the dataclass that declares it.
        default: ``dataclasses.MISSING`` where there is none.
    """

    name: str
    type: Any
    default: Any
    option: Option
    panel: str | None

    @property
    def flag(self) -> str:
        """Its name on the command line."""
        if self.option.positional:
            return self.option.metavar or self.name.upper()
        return self.option.flag or default_flag(self.name)


def default_flag(name: str) -> str:
    """The name on the command line of a parameter that declares no other."""
    return f"--{name.replace('_', '-')}"


def fields(plan: Any) -> Iterator[Field]:
    """The fields of a command, in the order in which Python takes them."""
    types = typing.get_type_hints(plan, include_extras=True)
    for field in sorted(dataclasses.fields(plan), key=lambda field: bool(field.kw_only)):
        kind, *metadata = typing.get_args(types[field.name])
        (option,) = (each for each in metadata if isinstance(each, Option))
        yield Field(field.name, kind, field.default, option, _panel(plan, field.name))


def _panel(plan: type, name: str) -> str | None:
    declaring = next(each for each in plan.__mro__ if name in vars(each).get("__annotations__", {}))
    panel: str | None = vars(declaring).get("PANEL")
    return panel


def _described(plan: Any) -> str:
    """The fields as the section of a docstring."""
    lines = []
    for field in fields(plan):
        default = f" By default {field.option.default}." if field.option.default else ""
        lines.append(textwrap.fill(f"{field.name}: {field.option.help}{default}", 108, subsequent_indent="    "))
    return textwrap.indent("\n".join(lines), "    ")


def _progress_console() -> Console:
    """Shows progress on the standard error, or in a notebook; nothing where nobody is watching."""
    from rich.console import Console

    console = Console(stderr="ipykernel" not in sys.modules)
    return console if console.is_terminal or console.is_jupyter else Console(quiet=True)
