"""The options of ``sweep``. Imports nothing heavy, for ``--help`` reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_args

from edgesqz.command import Option, command
from edgesqz.errors import EdgesqzError, option
from edgesqz.exporting.plan import DryRunOptions
from edgesqz.options import ClusterOptions, DataDirOptions, QuotaOptions

if TYPE_CHECKING:
    from rich.console import Console

    from edgesqz.sweeping.result import SweepResult

Search = Literal["random", "grid", "optuna"]
MOST_NAME = 48


@dataclass(frozen=True, kw_only=True)
class SweepData(DataDirOptions):
    """The images to train on."""

    PANEL: ClassVar = "Data"
    dataset: Annotated[
        str | Path,
        Option(
            "cifar10, cifar100, mnist, synthetic, or a folder with a subfolder of images for each class.",
            metavar="NAME|DIR",
        ),
    ] = "cifar10"


@dataclass(frozen=True, kw_only=True)
class CostLimits:
    """What a candidate may cost, checked before it is trained."""

    PANEL: ClassVar = "Limits"
    max_size: Annotated[
        str | int | None,
        Option("Skip networks whose int8 .tflite file would be larger, for example 60kB.", metavar="SIZE"),
    ] = None
    max_macs: Annotated[
        str | int | None,
        Option("Skip networks with more multiply-accumulates per image, for example 5M.", metavar="COUNT"),
    ] = None
    max_arena: Annotated[
        str | int | None,
        Option("Skip networks whose int8 tensors need more memory at one time, for example 64kB.", metavar="SIZE"),
    ] = None


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """How the space is searched, and for how long."""

    PANEL: ClassVar = "Search"
    search: Annotated[
        str,
        Option(
            "random draws candidates evenly, grid takes all of them, optuna learns from the trials before.",
            metavar="METHOD",
        ),
    ] = "random"
    trials: Annotated[
        int | None,
        Option("The most candidates to train.", metavar="COUNT", default="20; every candidate of a grid"),
    ] = None
    time_budget: Annotated[
        float | None, Option("Stop after this many minutes; `--resume` goes on.", metavar="MINUTES")
    ] = None
    concurrent: Annotated[
        int | None, Option("Trials to run at the same time.", metavar="COUNT", default="one per core")
    ] = None
    all_epochs: Annotated[
        bool,
        Option(
            "Train every candidate to its last epoch. Otherwise one whose validation accuracy is in the lower half "
            "after a third of its epochs is stopped (ASHA)."
        ),
    ] = False
    seed: Annotated[int, Option("Seed for the order in which candidates are drawn.")] = 0


@dataclass(frozen=True)
class Sweep(DryRunOptions, QuotaOptions, ClusterOptions, SearchOptions, CostLimits, SweepData):
    """Train and export many networks under one disk quota, and keep the files worth their bytes.

    The space says which networks and recipes to try. A file stays in the workspace while no other file is at least as
    good in accuracy, bytes and multiply-accumulates, or while there is room. Accuracy is measured on validation images;
    at the end the best files are benchmarked on the test images, with nothing else running.

    Example: `edgesqz sweep space.toml --max-size 60kB --trials 48 --quota 2MB`
    """

    PANEL: ClassVar = "Search"
    space: Annotated[
        str | Path | Mapping[str, Any] | None,
        Option(
            "A TOML file with the values that each knob may take; `--template` prints one to start from.",
            metavar="SPACE",
            positional=True,
        ),
    ] = None
    _: KW_ONLY
    name: Annotated[str, Option("The name of the sweep, which its files begin with.")] = "sweep"
    resume: Annotated[
        bool, Option("Go on with the sweep of this name after an interruption, with the options that it began with.")
    ] = False
    host: Annotated[
        str | None,
        Option(
            "Benchmark the best files on another machine, ssh://USER@BOARD[:PORT][?python=PATH].",
            metavar="URL",
            default="this machine",
        ),
    ] = None
    reference: Annotated[
        str | Path | Sequence[str | Path],
        Option("Another model file to benchmark beside the best ones; may be given several times.", metavar="FILE"),
    ] = ()
    force: Annotated[bool, Option("Replace a sweep of the same name and its files.")] = False

    def __post_init__(self) -> None:
        """Check what can be checked without looking at files."""
        if self.search not in get_args(Search):
            raise EdgesqzError(f"unknown {option('search')} {self.search!r}; choose from {', '.join(get_args(Search))}")
        for name in ("trials", "concurrent", "time_budget"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise EdgesqzError(f"{option(name)} must be above 0, got {value}")
        if self.resume == (self.space is not None):
            raise EdgesqzError(
                f"expected a space, or {option('resume')} to go on with the one that the sweep began with"
                if not self.resume
                else f"{option('resume')} takes the space that the sweep began with; leave out {self.space}"
            )
        if self.resume and self.force:
            raise EdgesqzError(f"{option('resume')} and {option('force')} exclude each other")

    def run(self, console: Console) -> SweepResult:
        """Search, or with ``dry_run`` list the candidates.

        Raises:
            EdgesqzError: Bad input, nothing that fits, no cluster, or Ray is not installed.
            KeyboardInterrupt: After Ctrl-C; the finished trials are kept.
        """
        from edgesqz.sweeping.run import run

        return run(self, console)


sweep = command(Sweep)
