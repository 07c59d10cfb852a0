"""The options of ``export``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from edgesqz.command import Option, command
from edgesqz.errors import EdgesqzError, option
from edgesqz.options import CalibrationOptions, DataOptions, InputSizeOptions, PixelOptions, QuotaOptions, as_list

if TYPE_CHECKING:
    from rich.console import Console

    from edgesqz.exporting.result import ExportResult


@dataclass(frozen=True, kw_only=True)
class DryRunOptions:
    """Whether anything is written."""

    PANEL: ClassVar = "Output"
    dry_run: Annotated[bool, Option("Only show what would be written, how large, and whether it fits.")] = False


@dataclass(frozen=True, kw_only=True)
class LabelOptions:
    """The classes of a model made elsewhere."""

    PANEL: ClassVar = "Model"
    labels: Annotated[
        str | Path | list[str] | tuple[str, ...] | None,
        Option(
            "A text file with the names of the classes, one per line, for a model made elsewhere.",
            metavar="FILE",
            default="the manifest's labels, else the dataset's",
        ),
    ] = None


@dataclass(frozen=True)
class Export(
    DryRunOptions, QuotaOptions, PixelOptions, LabelOptions, InputSizeOptions, CalibrationOptions, DataOptions
):
    """Convert a Keras model to other formats, and verify each file against the model before keeping it.

    The files are written to the workspace as NAME.VARIANT.SUFFIX, each with its manifest. A file whose outputs differ
    too much from the source model's is not kept.

    Example: `edgesqz export squeezenet --format tflite --format onnx --quantize`
    """

    PANEL: ClassVar = "Variants"
    model: Annotated[
        str | Path | None,
        Option(
            "A .keras file, or the name of a model in the workspace or the zoo.",
            metavar="MODEL",
            default="the newest in the workspace",
            positional=True,
        ),
    ] = None
    format: Annotated[
        str | Sequence[str],
        Option("tflite or onnx; may be given several times.", metavar="FORMAT", default="tflite"),
    ] = ()
    _: KW_ONLY
    variant: Annotated[
        str | Sequence[str],
        Option(
            "fp32, fp16, dynamic, int8, or for tflite int16x8; may be given several times.",
            metavar="VARIANT",
            default="fp32",
        ),
    ] = ()
    quantize: Annotated[bool, Option("The same as variant int8.")] = False
    all_variants: Annotated[
        bool,
        Option(
            "Every variant that the quota has room for, the most valuable first; of all formats if none is given.",
            flag="--all",
        ),
    ] = False
    untrained: Annotated[
        bool, Option("Take MODEL as an architecture and give it random weights, to measure what it costs.")
    ] = False

    def __post_init__(self) -> None:
        """Check what can be checked without looking at files."""
        if self.calibration < 1:
            raise EdgesqzError(f"{option('calibration')} must be above 0, got {self.calibration}")
        if self.untrained and self.model is None:
            raise EdgesqzError(f"{option('untrained')} takes an architecture by its name, such as alexnet")
        if self.all_variants and self.variants:
            raise EdgesqzError(f"{option('all_variants')} makes every variant; leave out {', '.join(self.variants)}")

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats that were named, each once."""
        return tuple(map(str, dict.fromkeys(as_list(self.format))))

    @property
    def variants(self) -> tuple[str, ...]:
        """The variants that were named, each once."""
        return tuple(map(str, dict.fromkeys([*as_list(self.variant), *(["int8"] if self.quantize else [])])))

    def run(self, console: Console) -> ExportResult:
        """Convert, verify and write; with ``dry_run`` only say what would be written.

        Raises:
            EdgesqzError: bad input, no images to calibrate on, a file that computes something else than the source
                model, or no room. Files written before stay; nothing remains of the one that failed.
        """
        from edgesqz.exporting.run import run

        return run(self, console)


export = command(Export)
