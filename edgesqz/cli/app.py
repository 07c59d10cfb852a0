"""The command line: one line per command, and what they share, such as how errors are shown."""

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

from edgesqz import defaults, stopping
from edgesqz.benchmarking.plan import Bench
from edgesqz.cli.options import add, hide_types
from edgesqz.cli.output import (
    EXIT_BAD_INPUT,
    EXIT_INTERRUPTED,
    EXIT_TERMINATED,
    BenchOutput,
    CleanOutput,
    DemoOutput,
    EmbedOutput,
    ExportOutput,
    FitOutput,
    PredictOutput,
    TableOrJson,
    VerifyOutput,
    log,
    progress_console,
    say,
    say_written,
    show,
    with_manifests,
)
from edgesqz.command import default_flag
from edgesqz.demonstration import Demo
from edgesqz.embedding import Embed
from edgesqz.errors import EdgesqzError, naming
from edgesqz.exporting.plan import Export
from edgesqz.fitting.plan import Fit
from edgesqz.inspecting import Inspect
from edgesqz.installation import Info
from edgesqz.maintenance import Clean, List, Quota, Remove, Verify
from edgesqz.models.listing import Models
from edgesqz.predicting import Predict
from edgesqz.training.recipe import Recipe
from edgesqz.workspace.sizes import format_size

OF_ALL_COMMANDS = ("--verbose", "--quiet")
FOLLOWS = "follows the number of images"


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
    """Commands whose errors are shown as one line, including errors while help is printed."""

    def get_params(self, ctx: Any) -> list[Any]:
        return hide_types(super().get_params(ctx))

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        with _errors_shown():
            return super().make_context(*arguments, **options)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Accept the options of all commands after the command too."""
        return super().parse_args(ctx, sorted(args, key=lambda arg: arg not in OF_ALL_COMMANDS))

    def invoke(self, ctx: Any) -> object:
        with _errors_shown():
            return super().invoke(ctx)


class _Notes(logging.Handler):
    """Print what the library logs."""

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
    verbose: Annotated[bool, typer.Option("--verbose", help="Also show how much temporary files took.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show results and errors only.")] = False,
) -> None:
    """Turn a dataset into a vision model that fits a device's byte budget, and prove what it costs."""
    if version:
        from importlib.metadata import version as version_of

        print(version_of("edgesqz"))
        raise typer.Exit
    if verbose and quiet:
        raise EdgesqzError("--verbose and --quiet exclude each other")
    log.setLevel(logging.INFO if verbose else logging.ERROR if quiet else logging.WARNING)
    log.handlers = [_Notes()]


DataDir = Annotated[
    Path | None, typer.Option(envvar="EDGESQZ_DATA_DIR", help="Where the dataset lies, if not in the cache.")
]
WorkspaceDir = Annotated[
    Path, typer.Option(envvar="EDGESQZ_WORKSPACE", help="The folder that models are written to and looked up in.")
]
QuotaSize = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="Most bytes the workspace may hold: 500kB, 2MB, 1MiB or a number.",
        show_default="EDGESQZ_QUOTA, else what `edgesqz workspace quota` keeps",
    ),
]
Scratch = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="For temporary files of Keras and the converters; counted if it lies in the workspace.",
        show_default="the system's",
    ),
]
PixelRange = Annotated[
    str | None,
    typer.Option(
        metavar="LOW..HIGH", help="What pixels 0 and 255 become for files made elsewhere.", show_default="0..255"
    ),
]
InputSize = Annotated[
    str | None,
    typer.Option(
        metavar="PIXELS|WIDTHxHEIGHT",
        help="Size of the images that the network works on: 96, or 160x120 for images that are not square.",
        show_default="what the network was made for",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def train(
    model: Annotated[str | None, typer.Option(help="The network, by name.", show_default=Recipe.model)] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="cifar10, cifar100, mnist, synthetic, or a folder with a sub-folder of images for each class, in "
            "train/ and test/ if it has them; if not, a fifth of each class, the same each time, is the test split.",
            show_default=Recipe.dataset,
        ),
    ] = None,
    data_dir: DataDir = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.", show_default=FOLLOWS)] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step.", show_default=FOLLOWS)] = None,
    learning_rate: Annotated[float | None, typer.Option(help="The rate at its peak.", show_default=FOLLOWS)] = None,
    input_size: InputSize = None,
    preprocessing: Annotated[
        str | None,
        typer.Option(
            help="scale; or course: crop at random to the input size, and standardize each image by itself.",
            show_default=Recipe.preprocessing,
        ),
    ] = None,
    label_smoothing: Annotated[
        float | None,
        typer.Option(
            help="Share of what is learned that goes to all classes alike.", show_default=str(Recipe.label_smoothing)
        ),
    ] = None,
    weight_decay: Annotated[
        float | None, typer.Option(help="L2 penalty on kernels.", show_default=str(Recipe.weight_decay))
    ] = None,
    validation_split: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Of the training images, to choose the epoch by; 0 trains on all and keeps the last epoch.",
            show_default=str(Recipe.validation_split),
        ),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Learn the answers of this model instead of the labels: a .keras file, or a name in the workspace or "
            "the zoo.",
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="float32 or bfloat16.", show_default="the faster one on this processor"),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of the weights, the order and the augmentation.", show_default=str(Recipe.seed))
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Of the model and of the files made from it.", show_default="the network's"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a finished model of that name.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint that Ctrl-C or a crash left.")
    ] = False,
    workspace: WorkspaceDir = defaults.WORKSPACE,
    quota: QuotaSize = None,
    scratch: Scratch = None,
) -> None:
    """Train a network and write it as NAME.keras; a finished model of that name is kept unless you say --force.

    A tenth of the training images, the validation split, chooses the best epoch; the test split is never read.

    Example: `edgesqz train --model squeezenet-nano --dataset cifar10 --epochs 10`
    """
    from edgesqz.training.run import train

    artifact = train(
        model,
        dataset,
        data_dir=data_dir,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        input_size=input_size,
        preprocessing=preprocessing,
        label_smoothing=label_smoothing,
        weight_decay=weight_decay,
        validation_split=validation_split,
        teacher=teacher,
        precision=precision,
        seed=seed,
        name=name,
        force=force,
        resume=resume,
        workspace=workspace,
        quota=quota,
        scratch_dir=scratch,
        console=progress_console(),
    )
    assert artifact.manifest and artifact.manifest.training  # training writes both
    accuracy = artifact.manifest.training["validation_accuracy"]
    told = "no validation split" if accuracy is None else f"validation accuracy {accuracy:.2%}"
    print(f"{artifact.path}: {format_size(artifact.size_bytes)}, {told}")
    say_written(with_manifests([artifact.path]))
    if warning := artifact.manifest.training["warning"]:
        say(f"warning: {warning}")


add(app, Export, ExportOutput, progress_console)


add(app, Bench, BenchOutput, progress_console)
add(app, Fit, FitOutput, progress_console)
add(app, Predict, PredictOutput, progress_console)


add(app, Embed, EmbedOutput, progress_console)
add(app, Inspect, TableOrJson, progress_console)


@app.command()
def params(
    models: Annotated[
        list[str] | None, typer.Argument(metavar="MODEL", help="A network by name; several with --compare.")
    ] = None,
    classes: Annotated[
        int | None, typer.Option(help="To tell apart.", show_default="as many as the network was made for")
    ] = None,
    input_size: InputSize = None,
    compare: Annotated[bool, typer.Option("--compare", help="Show networks side by side, not layer by layer.")] = False,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw their sizes as bars; .png or .svg.")] = None,
    quota: Annotated[str | None, typer.Option(metavar="SIZE", help="Bytes to hold the .tflite against.")] = None,
    json: Json = False,
) -> None:
    """Show where every parameter, multiply-accumulate and byte of a network comes from.

    Example: `edgesqz params --compare squeezenet alexnet --plot sizes.png`
    """
    from edgesqz.models import costs as counting

    names = models or [Recipe.model]
    if len(names) > 1 and not compare:
        raise EdgesqzError(f"expected one network, or --compare, got {len(names)}")
    comparison = counting.compare(names, classes=classes, input_size=input_size, quota=quota)
    if plot:
        comparison.plot(plot)
        say_written([plot])
    if compare:
        show(comparison, json)
    else:
        show(counting.params(names[0], classes=classes, input_size=input_size, quota=quota), json)


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
        say("error: cannot write the output: it is closed")
        sys.exit(EXIT_BAD_INPUT)
    stopping.raise_on_sigterm()
    app()
