"""The options of fit. Imports nothing heavy, because ``--help`` reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from edgesqz.benchmarking.plan import Limits
from edgesqz.command import Option, command
from edgesqz.options import QUOTA_DEFAULT, CalibrationOptions, DataDirOptions, QuotaOptions

if TYPE_CHECKING:
    from rich.console import Console

    from edgesqz.fitting.result import FitResult


@dataclass(frozen=True, kw_only=True)
class FitDataset:
    """The dataset of the files that are considered."""

    PANEL: ClassVar = "Data"
    dataset: Annotated[
        str | Path | None,
        Option(
            "Calibrate with this dataset and measure on it; only models with its classes are considered.",
            metavar="NAME|DIR",
            default="the dataset that each model was trained on",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class FitLimits(Limits):
    """What the file must not exceed."""

    PANEL: ClassVar = "Limits"
    quota: Annotated[
        str | int | None,
        Option(
            "Maximum size of all files in the workspace, including the one that is kept: 500kB, 2MB, 1MiB, or a number "
            "of bytes.",
            metavar="SIZE",
            default=QUOTA_DEFAULT,
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Fit(FitLimits, QuotaOptions, CalibrationOptions, DataDirOptions, FitDataset):
    """Find the most accurate file that fits the quota, and keep it in the workspace.

    Every variant of every model in the workspace and the zoo is exported and measured, beside the exports that are in
    the workspace. Files that exceed the quota or violate a limit are not considered. Of the files whose accuracy does
    not differ significantly from the highest (McNemar, p >= 0.05), the one with the smallest product of size and
    latency is kept. One half of the test images selects, and the other half measures the accuracy that is reported.
    Models for several datasets share the quota. Nothing is removed from the workspace.

    The exit code is 3 if no file fits, or none is better than guessing.

    Example: `edgesqz fit --quota 300kB --max-latency 2ms`
    """

    format: Annotated[
        str | Sequence[str],
        Option(
            "Format of the exports: tflite or onnx. Repeat the option for both.", metavar="FORMAT", default="tflite"
        ),
    ] = ("tflite",)

    def __post_init__(self) -> None:
        """Check the options that can be checked before any file is opened."""
        Limits.__post_init__(self)
        CalibrationOptions.__post_init__(self)

    def run(self, console: Console) -> FitResult:
        """Export, measure and select.

        Raises:
            EdgesqzError: No quota, bad input, or no model whose data are available.
        """
        from edgesqz.fitting.run import run

        return run(self, console)


fit = command(Fit)
