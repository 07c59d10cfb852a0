"""The options of the bench. Imports nothing heavy, because ``--help`` reads it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from edgesqz import defaults
from edgesqz.benchmarking.budget import Budget
from edgesqz.command import Option, command
from edgesqz.errors import EdgesqzError, option
from edgesqz.options import DataOptions, PixelOptions, WorkspaceOptions

if TYPE_CHECKING:
    from rich.console import Console

    from edgesqz.benchmarking.report import Report


@dataclass(frozen=True, kw_only=True)
class LimitOption:
    """The number of test images."""

    PANEL: ClassVar = "Data"
    limit: Annotated[
        int | None,
        Option("Use only this many test images, sampled evenly from all classes.", metavar="IMAGES", default="all"),
    ] = None


@dataclass(frozen=True, kw_only=True)
class EvalData(PixelOptions, LimitOption, DataOptions):
    """The test images for measuring accuracy."""

    def __post_init__(self) -> None:
        """Check the options."""
        _check_positive("limit", self.limit)
        _ = self.pixels


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Which engines to run, where to run them, and how to time them."""

    PANEL: ClassVar = "Timing"
    runtimes: Annotated[
        str | Sequence[str],
        Option(
            "Measure on this engine. Repeat the option to compare engines.",
            metavar="NAME[==VERSION]",
            default="the engine installed for each format",
            flag="--runtime",
        ),
    ] = ()
    host: Annotated[
        str | None,
        Option(
            "Machine to run the engines on, as ssh://USER@BOARD[:PORT][?python=PATH]. It needs Python, NumPy and the "
            "engines.",
            metavar="URL",
            default="this machine",
        ),
    ] = None
    threads: Annotated[int, Option("Number of threads that each engine uses.", metavar="COUNT")] = 1
    pin: Annotated[int | None, Option("Pin every engine to this CPU core.", metavar="CORE", default="any")] = None
    rounds: Annotated[
        int,
        Option(
            "Number of timing rounds for each file. More rounds give narrower confidence intervals.", metavar="COUNT"
        ),
    ] = defaults.BENCH_ROUNDS
    baseline: Annotated[
        str | Path | None,
        Option("Compare latencies with those of this file.", metavar="MODEL", default="the source model of each file"),
    ] = None

    def __post_init__(self) -> None:
        """Check the options."""
        from edgesqz.engine.host import Host

        _check_positive("threads", self.threads)
        _check_positive("rounds", self.rounds)
        if self.host:
            Host.parse(self.host)

    def check_machine(self) -> None:
        """Check the options that depend on this machine. A plan read from a report may come from another machine.

        Raises:
            EdgesqzError: This machine has too few cores, or cannot use the core.
        """
        if self.host:
            return
        if self.threads > (cores := os.cpu_count() or 1):
            raise EdgesqzError(
                f"{option('threads')} must be at most {cores}, the number of cores of this machine, got {self.threads}"
            )
        if self.pin is not None and self.pin not in (usable := _usable_cores()):
            raise EdgesqzError(
                f"{option('pin')} must be one of the cores {', '.join(map(str, usable))}, got {self.pin}"
            )


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits on what a model file may cost, and on its accuracy."""

    PANEL: ClassVar = "Limits"
    max_latency: Annotated[
        str | None,
        Option("Maximum median latency, for example 2ms or 500us.", metavar="TIME"),
    ] = None
    max_memory: Annotated[
        str | int | None,
        Option("Maximum memory of the engine beyond its idle process, for example 64MB.", metavar="SIZE"),
    ] = None
    min_accuracy: Annotated[float | None, Option("Minimum top-1 accuracy, for example 0.9.", metavar="SHARE")] = None

    def __post_init__(self) -> None:
        """Check the limits."""
        _ = self.budget  # parsing them checks them

    @property
    def budget(self) -> Budget:
        """The limits as numbers.

        Raises:
            EdgesqzError: A limit is not a size or a time, or is out of range.
        """
        return Budget.parse(max_latency=self.max_latency, max_memory=self.max_memory, min_accuracy=self.min_accuracy)


@dataclass(frozen=True, kw_only=True)
class FileLimits(Limits):
    """Limits on each model file."""

    PANEL: ClassVar = "Limits"
    max_size: Annotated[str | int | None, Option("Maximum file size, for example 500kB or 2MB.", metavar="SIZE")] = None
    max_accuracy_drop: Annotated[
        float | None,
        Option(
            "Maximum loss of top-1 accuracy against the source model, in percentage points.",
            metavar="POINTS",
        ),
    ] = None

    @property
    def budget(self) -> Budget:
        """The limits as numbers.

        Raises:
            EdgesqzError: A limit is not a size or a time, or is out of range.
        """
        return Budget.parse(self.max_size, self.max_latency, self.max_memory, self.min_accuracy, self.max_accuracy_drop)


@dataclass(frozen=True, kw_only=True)
class LayerOption:
    """The option that compares layers. The command line also prints a table of them."""

    PANEL: ClassVar = "Analysis"
    layers: Annotated[
        bool, Option("Compare each layer of an export with the same layer of its source model (SQNR).")
    ] = False


@dataclass(frozen=True, kw_only=True)
class FlipOption:
    """The option that writes contact sheets."""

    PANEL: ClassVar = "Analysis"
    flips: Annotated[
        str | Path | None,
        Option(
            "Draw the test images that an export predicts differently from its source model into this folder.",
            metavar="DIR",
        ),
    ] = None


@dataclass(frozen=True)
class Bench(WorkspaceOptions, FlipOption, LayerOption, FileLimits, Timing, EvalData):
    """Measure size, accuracy, latency and memory of model files, side by side.

    Each file runs on its engine in a separate process, and the files take turns during timing. The source model of an
    export is measured too, if it is in the same folder or in the zoo. A file that cannot be measured gets a row with
    the error.

    The exit code is 1 if a named file cannot be measured; otherwise 3 if a named file violates a limit or --choose
    finds no file.

    Example: `edgesqz bench squeezenet.int8.tflite --max-size 500kB --max-accuracy-drop 0.5`
    """

    models: Annotated[
        str | Path | Sequence[str | Path],
        Option(
            "Model files, by path or by name.", metavar="MODEL", default="all files in the workspace", positional=True
        ),
    ] = ()

    def __post_init__(self) -> None:
        """Check all options that can be checked before any file is opened."""
        EvalData.__post_init__(self)
        Timing.__post_init__(self)
        Limits.__post_init__(self)
        if self.host and self.layers:
            raise EdgesqzError(f"{option('layers')} reads files on this machine; remove {option('host')}")

    def run(self, console: Console) -> Report:
        """Measure the files.

        Raises:
            EdgesqzError: The input is bad, or the test images are not available.
        """
        from edgesqz.benchmarking.run import measure

        return measure(self, console)


bench = command(Bench)


def _check_positive(name: str, value: int | None) -> None:
    if value is not None and value < 1:
        raise EdgesqzError(f"{option(name)} must be at least 1, got {value}")


def _usable_cores() -> list[int]:
    """Return the numbers of the cores that a process can be pinned to."""
    if not hasattr(os, "sched_getaffinity"):
        raise EdgesqzError(f"{option('pin')} needs Linux; this system cannot pin a process to a core")
    return sorted(os.sched_getaffinity(0))
