"""Errors in the usage of the command line, such as an unknown option, as one line each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer

from edgesqz.command import Field
from edgesqz.errors import suggestion

EXIT_WRONG_USAGE = 2
UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # Typer does not export it

_EXPECTED = {int: "a whole number", float: "a number"}
_SIMILAR = 0.7  # of two flags, which share their dashes


def number_parser(field: Field, kind: Any) -> Callable[[Any], Any] | None:
    """Return a function that parses a number, or None for an option that is not a number."""
    if kind not in _EXPECTED:
        return None

    def parse(text: Any) -> Any:
        try:
            return kind(text)
        except ValueError as error:
            raise UsageError(f"{field.flag} must be {_EXPECTED[kind]}, got {text!r}") from error

    return parse


def describe(error: Any) -> str:
    """Return Typer's message as one line in the style of other errors, with a suggestion or where to find help."""
    message = error.format_message().rstrip(".").replace(". Did", "; did")
    if hasattr(error, "possibilities"):  # options that Typer considers similar, of which some are far-fetched
        flags = [flag for parameter in error.ctx.command.params for flag in parameter.opts]
        message = f"no such option {error.option_name}; {suggestion(error.option_name, flags, _SIMILAR)}".strip("; ")
    line: str = message[0].lower() + message[1:]
    if not error.ctx:
        return line
    return f"{line}{'' if line.endswith('?') else ';'} see {error.ctx.command_path} --help"
