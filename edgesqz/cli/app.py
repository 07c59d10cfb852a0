"""The command line, with one line per command, and shared behavior such as error messages."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from edgesqz import stopping
from edgesqz.benchmarking.plan import Bench
from edgesqz.cli.options import add, hide_types
from edgesqz.cli.output import (
    EXIT_BAD_INPUT,
    EXIT_INTERRUPTED,
    EXIT_TERMINATED,
    BenchOutput,
    CleanOutput,
    CompareOutput,
    DemoOutput,
    EmbedOutput,
    ExportOutput,
    FitOutput,
    ParamsOutput,
    PredictOutput,
    SweepOutput,
    TableOrJson,
    TrainOutput,
    VerifyOutput,
    log,
    progress_console,
    say,
)
from edgesqz.cli.usage import EXIT_WRONG_USAGE, UsageError, describe
from edgesqz.command import default_flag
from edgesqz.comparing import Compare
from edgesqz.demonstration import Demo
from edgesqz.embedding import Embed
from edgesqz.errors import EdgesqzError, naming
from edgesqz.exporting.plan import Export
from edgesqz.fitting.plan import Fit
from edgesqz.inspecting import Inspect
from edgesqz.installation import Info
from edgesqz.maintenance import Clean, List, Quota, Remove, Verify
from edgesqz.models.listing import Models
from edgesqz.models.plan import Params
from edgesqz.predicting import Predict
from edgesqz.sweeping import Sweep
from edgesqz.training import Train

OF_ALL_COMMANDS = ("--verbose", "--quiet")


@contextlib.contextmanager
def _errors_shown() -> Iterator[None]:
    """Print errors as one line, without a traceback."""
    try:
        with naming(default_flag):
            yield
    except EdgesqzError as error:
        with naming(default_flag):
            say(f"error: {error}")
        raise typer.Exit(EXIT_BAD_INPUT) from error
    except UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # Typer prints the help
            raise
        say(f"error: {describe(error)}")
        raise typer.Exit(EXIT_WRONG_USAGE) from error
    except OSError as error:
        if error.errno == errno.EPIPE:  # Typer ends quietly
            raise
        what = f"use {error.filename}" if error.filename else "write the output"  # which has no name
        say(f"error: cannot {what}: {error.strerror}")
        raise typer.Exit(EXIT_BAD_INPUT) from error
    except KeyboardInterrupt as interrupt:
        say(str(interrupt) or "stopped")
        terminated = isinstance(interrupt, stopping.Terminated)
        raise typer.Exit(EXIT_TERMINATED if terminated else EXIT_INTERRUPTED) from interrupt


class _Commands(TyperGroup):
    """Shows errors as one line, including errors while help is printed."""

    def get_params(self, ctx: Any) -> list[Any]:
        return hide_types(super().get_params(ctx))

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        with _errors_shown():
            return super().make_context(*arguments, **options)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Accept global options after the command as well."""
        return super().parse_args(ctx, sorted(args, key=lambda arg: arg not in OF_ALL_COMMANDS))

    def invoke(self, ctx: Any) -> object:
        with _errors_shown():
            return super().invoke(ctx)


class _Notes(logging.Handler):
    """Prints the log messages of the library."""

    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


app = typer.Typer(
    cls=_Commands,
    name="edgesqz",
    no_args_is_help=True,
    invoke_without_command=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Also show the peak size of temporary files.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show only results and errors.")] = False,
) -> None:
    """Turn an image dataset into a classifier that fits a device's byte budget, and measure its cost and accuracy."""
    if version:
        from importlib.metadata import version as version_of

        print(version_of("edgesqz"))
        raise typer.Exit
    if verbose and quiet:
        raise EdgesqzError("--verbose and --quiet cannot be used together")
    log.setLevel(logging.INFO if verbose else logging.ERROR if quiet else logging.WARNING)
    log.handlers = [_Notes()]


add(app, Train, TrainOutput, progress_console)
add(app, Export, ExportOutput, progress_console)
add(app, Bench, BenchOutput, progress_console)
add(app, Compare, CompareOutput, progress_console)
add(app, Fit, FitOutput, progress_console)
add(app, Sweep, SweepOutput, progress_console)
add(app, Predict, PredictOutput, progress_console)
add(app, Embed, EmbedOutput, progress_console)
add(app, Inspect, TableOrJson, progress_console)
add(app, Params, ParamsOutput, progress_console)
add(app, Models, TableOrJson, progress_console)
add(app, Info, TableOrJson, progress_console)
add(app, Demo, DemoOutput, progress_console)


workspace_app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Keep a workspace in order and within its quota.",
)
app.add_typer(workspace_app, name="workspace")


add(workspace_app, List, TableOrJson, progress_console)
add(workspace_app, Remove, TableOrJson, progress_console, name="rm")
add(workspace_app, Clean, CleanOutput, progress_console)
add(workspace_app, Verify, VerifyOutput, progress_console)
add(workspace_app, Quota, TableOrJson, progress_console)


def main() -> None:
    """Run the command line."""
    # A closed stream is None in Python, and its number would go to the next file that is opened.
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115
    if sys.stdout is None:
        say("error: cannot write the output: the stream is closed")
        sys.exit(EXIT_BAD_INPUT)
    stopping.raise_on_sigterm()
    app()
