"""The options of ``sweep``. Imports nothing heavy, because ``--help`` reads it."""

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


@dataclass(frozen=True, kw_only=True)
class SweepDataset:
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
    """Limits on the cost of a candidate, checked before it is trained."""

    PANEL: ClassVar = "Limits"
    max_size: Annotated[
        str | int | None,
        Option(
            "Skip networks whose smallest exported file would be larger than this, for example 60kB.", metavar="SIZE"
        ),
    ] = None
    max_macs: Annotated[
        str | int | None,
        Option("Skip networks with more multiply-accumulates per image than this, for example 5M.", metavar="COUNT"),
    ] = None
    max_arena: Annotated[
        str | int | None,
        Option("Skip networks whose int8 tensors need more memory than this, for example 64kB.", metavar="SIZE"),
    ] = None


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """How to search the space, and for how long."""

    PANEL: ClassVar = "Search"
    search: Annotated[
        str,
        Option(
            "How to choose candidates: random draws them uniformly, grid takes all of them, and optuna learns from "
            "earlier trials.",
            metavar="METHOD",
        ),
    ] = "random"
    trials: Annotated[
        int | None,
        Option("Maximum number of candidates to train.", metavar="COUNT", default="20, or the whole grid"),
    ] = None
    time_budget: Annotated[
        float | None, Option("Stop after this many minutes. Continue later with `--resume`.", metavar="MINUTES")
    ] = None
    concurrent: Annotated[
        int | None, Option("Number of trials to run at the same time.", metavar="COUNT", default="one per core")
    ] = None
    all_epochs: Annotated[
        bool,
        Option(
            "Train every candidate to its last epoch. By default, a trial stops early if its validation accuracy is in "
            "the lower half after a third of its epochs (ASHA)."
        ),
    ] = False
    seed: Annotated[int, Option("Seed for drawing candidates.")] = 0


@dataclass(frozen=True, kw_only=True)
class ListingOptions(DryRunOptions):
    """Listing the candidates instead of training them."""

    PANEL: ClassVar = "Output"
    dry_run: Annotated[bool, Option("List the candidates within the limits, without training them.")] = False


@dataclass(frozen=True)
class Sweep(ListingOptions, QuotaOptions, ClusterOptions, SearchOptions, CostLimits, DataDirOptions, SweepDataset):
    """Train and export many networks under one disk quota, and keep the files that are worth their size.

    The space defines which networks and recipes to try. When the quota is full, the least valuable files are removed,
    starting with those that another file matches or beats in accuracy, size and multiply-accumulates. During the sweep,
    accuracy is measured on validation images. At the end, the best files are benchmarked on the test images while
    nothing else runs.

    Example: `edgesqz sweep space.toml --max-size 60kB --trials 48 --quota 2MB`
    """

    PANEL: ClassVar = "Sweep"
    space: Annotated[
        str | Path | Mapping[str, Any] | None,
        Option(
            "A TOML file that lists the values to try. `--template` prints one to start from.",
            metavar="SPACE",
            positional=True,
        ),
    ] = None
    _: KW_ONLY
    name: Annotated[str, Option("Name of the sweep and prefix of its file names.")] = "sweep"
    resume: Annotated[
        bool, Option("Continue the interrupted sweep of this name with the options that it was started with.")
    ] = False
    host: Annotated[
        str | None,
        Option(
            "Machine to benchmark the best files on, as ssh://USER@BOARD[:PORT][?python=PATH].",
            metavar="URL",
            default="this machine",
        ),
    ] = None
    reference: Annotated[
        str | Path | Sequence[str | Path],
        Option(
            "Another model file to benchmark alongside the best ones. Repeat the option for several files.",
            metavar="FILE",
        ),
    ] = ()
    force: Annotated[bool, Option("Replace the sweep of the same name and its files.")] = False

    def __post_init__(self) -> None:
        """Validate the options without reading any file."""
        if self.search not in get_args(Search):
            raise EdgesqzError(f"unknown {option('search')} {self.search!r}; choose from {', '.join(get_args(Search))}")
        for name in ("trials", "concurrent", "time_budget"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise EdgesqzError(f"{option(name)} must be above 0, got {value}")
        if self.resume == (self.space is not None):
            raise EdgesqzError(
                f"expected a space, or {option('resume')} to continue an interrupted sweep"
                if not self.resume
                else f"{option('resume')} uses the space that the sweep was started with; remove {self.space}"
            )
        if self.resume and self.force:
            raise EdgesqzError(f"{option('resume')} and {option('force')} cannot be used together")

    def run(self, console: Console) -> SweepResult:
        """Search the space, or with ``dry_run`` only list the candidates.

        Raises:
            EdgesqzError: The input is invalid, no candidate fits, the cluster does not answer, or Ray is not installed.
            KeyboardInterrupt: After Ctrl-C. The finished trials are kept.
        """
        from edgesqz.sweeping.run import run

        return run(self, console)


sweep = command(Sweep)
