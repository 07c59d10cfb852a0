"""The command line: one function a command, which parses, calls the library and prints."""

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
from edgesqz.cli.options import add
from edgesqz.cli.output import (
    EXIT_BAD_INPUT,
    EXIT_INTERRUPTED,
    EXIT_TERMINATED,
    BenchOutput,
    DemoOutput,
    EmbedOutput,
    ExportOutput,
    FitOutput,
    PredictOutput,
    TableOrJson,
    draw,
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
from edgesqz.models.listing import Models
from edgesqz.predicting import Predict
from edgesqz.training.recipe import Recipe
from edgesqz.workspace.sizes import format_size, parse_quota

OF_ALL_COMMANDS = ("--verbose", "--quiet")
FOLLOWS = "follows the number of images"


@contextlib.contextmanager
def _errors_told() -> Iterator[None]:
    """Print what a person should know as one line, without a traceback."""
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
    """Commands whose errors are told, those of printing help among them."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        with _errors_told():
            return super().make_context(*arguments, **options)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the options of all commands behind the command too."""
        return super().parse_args(ctx, sorted(args, key=lambda arg: arg not in OF_ALL_COMMANDS))

    def invoke(self, ctx: Any) -> object:
        with _errors_told():
            return super().invoke(ctx)


class _Notes(logging.Handler):
    """Prints what the library logs."""

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
    verbose: Annotated[bool, typer.Option("--verbose", help="Tell of temporary files too.")] = False,
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
Quota = Annotated[
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
    quota: Quota = None,
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
    no_args_is_help=True, rich_markup_mode="markdown", help="Keep a workspace in order and within its quota."
)
app.add_typer(workspace_app, name="workspace")


@workspace_app.command("list")
def workspace_list(workspace: WorkspaceDir = defaults.WORKSPACE, quota: Quota = None, json: Json = False) -> None:
    """Show what a workspace holds: sizes, shares of the quota, and what each came from.

    Example: `edgesqz workspace list`
    """
    from edgesqz import maintenance
    from edgesqz.workspace import Workspace

    show(maintenance.look(Workspace(workspace, quota, only_read=True)), json)


@workspace_app.command("rm")
def workspace_rm(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Files, as edgesqz workspace list shows them.")],
    workspace: WorkspaceDir = defaults.WORKSPACE,
) -> None:
    """Remove models, with their manifests, or other files.

    Example: `edgesqz workspace rm squeezenet.fp32.tflite`
    """
    from edgesqz import maintenance
    from edgesqz.workspace import Workspace

    home = Workspace(workspace)
    items = maintenance.find(home, names)
    maintenance.drop(home, items)
    print(f"removed {', '.join(item.name for item in items)}: {format_size(sum(item.size_bytes for item in items))}")


@workspace_app.command("clean")
def workspace_clean(
    to: Annotated[
        str | None, typer.Option(metavar="SIZE", help="What the workspace may take.", show_default="its quota")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    workspace: WorkspaceDir = defaults.WORKSPACE,
) -> None:
    """Drop as few exports as make room, after showing them; only those whose source model is here or in the zoo.

    If that is not enough, checkpoints of unfinished training go too. Trained models stay, unless the zoo has them.

    Example: `edgesqz workspace clean --to 1MB`
    """
    from edgesqz import maintenance
    from edgesqz.workspace import Workspace

    home = Workspace(workspace)
    target = parse_quota(to) or home.quota_bytes
    if target is None:
        raise EdgesqzError("the workspace has no quota; say with --to how much it may take, such as --to 1MB")
    plan = maintenance.plan_cleaning(home, target)
    if not plan.items:
        print(f"nothing to drop: {format_size(plan.before_bytes)} are used, {format_size(target)} allowed")
        return
    draw(plan.table())
    if yes or typer.confirm("Drop these?", abort=True):
        maintenance.drop(home, plan.items)


@workspace_app.command("verify")
def workspace_verify(workspace: WorkspaceDir = defaults.WORKSPACE, json: Json = False) -> None:
    """Recompute checksums; name damaged files, and manifests without a model. The exit code is 1 if there are any.

    Example: `edgesqz workspace verify`
    """
    from edgesqz import maintenance
    from edgesqz.workspace import Workspace

    verdict = maintenance.verify(Workspace(workspace, only_read=True))
    print(verdict.to_json() if json else f"{verdict.told()}\n", end="")
    if verdict.problems:
        raise typer.Exit(EXIT_BAD_INPUT)


@workspace_app.command("quota")
def workspace_quota(
    size: Annotated[
        str | None, typer.Argument(metavar="SIZE|none", help="To keep from now on; left out, show what is in force.")
    ] = None,
    workspace: WorkspaceDir = defaults.WORKSPACE,
) -> None:
    """Keep a quota in the workspace; --quota and EDGESQZ_QUOTA go before it.

    Example: `edgesqz workspace quota 2MB`
    """
    from edgesqz.workspace import Workspace

    home = Workspace(workspace, only_read=not size)
    if size == "none":
        home.drop_quota()
    elif size:
        home.store_quota(size)
    home = Workspace(workspace, only_read=True)
    limit = "no quota" if home.quota_bytes is None else f"a quota of {format_size(home.quota_bytes)}"
    print(f"{workspace}: {limit}, {format_size(home.used_bytes())} used")


def main() -> None:
    """Run the command line."""
    # A closed stream is None in Python, and its number would go to the next file that is opened.
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115
    if sys.stdout is None:
        say("error: cannot write the output: it is closed")
        sys.exit(EXIT_BAD_INPUT)
    stopping.raise_on_sigterm()
    app()
