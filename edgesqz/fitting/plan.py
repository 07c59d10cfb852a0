"""What fit can be asked for. Imports nothing heavy, for ``--help`` reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from edgesqz.benchmarking.plan import Limits
from edgesqz.command import Option, command
from edgesqz.options import CalibrationOptions, DataDirOptions, QuotaOptions

if TYPE_CHECKING:
    from rich.console import Console

    from edgesqz.fitting.run import FitResult


@dataclass(frozen=True, kw_only=True)
class FitData(CalibrationOptions, DataDirOptions):
    """The images to calibrate with and to measure on."""

    PANEL: ClassVar = "Data"
    dataset: Annotated[
        str | Path | None,
        Option(
            "Calibrate with this dataset and measure on it; only models with its classes take part.",
            metavar="NAME|DIR",
            default="the dataset that each model was trained on",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Fit(QuotaOptions, Limits, FitData):
    """Find the most accurate file that fits the quota, and keep it in the workspace.

    Every variant of every model in the workspace and the zoo is exported and measured; exports that are in the
    workspace take part, and nothing is removed. Of the files whose accuracy cannot be told from the highest (McNemar,
    p >= 0.05), the one with the smallest product of size and latency is kept. One half of the test images chooses, the
    other half measures the accuracy that is reported. Models of several datasets share the quota.

    The exit code is 3 if no file fits or none is better than guessing.

    Example: `edgesqz fit --quota 300kB --max-latency 2ms`
    """

    format: Annotated[
        str | Sequence[str],
        Option("tflite or onnx; repeat it for both.", metavar="FORMAT", default="tflite"),
    ] = ("tflite",)

    def __post_init__(self) -> None:
        """Check the options."""
        assert self.budget and self.calibration_images  # parsing them checks them

    def run(self, console: Console) -> FitResult:
        """Export, measure and choose.

        Raises:
            EdgesqzError: no quota, bad input, or no model whose data are at hand.
        """
        from edgesqz.fitting.run import run

        return run(self, console)


fit = command(Fit)
