"""The options of ``export``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from edgesqz.command import Option, command
from edgesqz.errors import EdgesqzError, option, parsed
from edgesqz.exporting.precision import Keep, Limit
from edgesqz.options import CalibrationOptions, DataOptions, InputSizeOptions, PixelOptions, QuotaOptions, as_list
from edgesqz.plugins import MIN_MAX
from edgesqz.workspace.sizes import parse_quota

if TYPE_CHECKING:
    from rich.console import Console

    from edgesqz.exporting.result import ExportResult


@dataclass(frozen=True, kw_only=True)
class DryRunOptions:
    """The option that writes no files."""

    PANEL: ClassVar = "Output"
    dry_run: Annotated[
        bool, Option("Show the files, their sizes, and whether they fit the quota, without writing them.")
    ] = False


@dataclass(frozen=True, kw_only=True)
class ForceOption:
    """The option to replace exports of another model."""

    PANEL: ClassVar = "Output"
    force: Annotated[bool, Option("Replace files that were exported from another model with the same name.")] = False


@dataclass(frozen=True)
class VariantOptions:
    """What to export, and how."""

    PANEL: ClassVar = "Variants"
    model: Annotated[
        str | Path | None,
        Option(
            "A .keras file, or the name of a model in the workspace or the zoo. Or a model from another tool: an .onnx "
            "file, a PyTorch .pt2 file, a Keras 2 .h5 file, a SavedModel folder, or a float .tflite file.",
            metavar="MODEL",
            default="the newest in the workspace",
            positional=True,
        ),
    ] = None
    format: Annotated[
        str | Sequence[str],
        Option("Format to export to: tflite or onnx. Repeat the option for both.", metavar="FORMAT", default="tflite"),
    ] = ()
    _: KW_ONLY
    variant: Annotated[
        str | Sequence[str],
        Option(
            "Variant to export: fp32, fp16, dynamic, int8 or, for tflite only, int4, mixed or int16x8. Repeat the "
            "option for several.",
            metavar="VARIANT",
            default="fp32",
        ),
    ] = ()
    quantize: Annotated[bool, Option("Export int8, in addition to any `--variant`.")] = False
    all_variants: Annotated[
        bool,
        Option(
            "Export every variant that fits the quota, most valuable first, in the given formats or in all formats.",
            flag="--all",
        ),
    ] = False

    @property
    def formats(self) -> tuple[str, ...]:
        """The requested formats, each once."""
        return tuple(map(str, dict.fromkeys(as_list(self.format))))

    @property
    def variants(self) -> tuple[str, ...]:
        """The requested variants, each once."""
        return tuple(map(str, dict.fromkeys([*as_list(self.variant), *(["int8"] if self.quantize else [])])))


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """What a model file does not say about itself."""

    PANEL: ClassVar = "Model"
    labels: Annotated[
        str | Path | list[str] | tuple[str, ...] | None,
        Option(
            "A text file with one class name per line, for a model from another tool.",
            metavar="FILE",
            default="the manifest's labels, else the dataset's",
        ),
    ] = None
    add_softmax: Annotated[
        bool,
        Option(
            "Add a softmax to a model from another tool whose outputs are logits. If there is one output per label, "
            "it is added automatically."
        ),
    ] = False
    untrained: Annotated[
        bool, Option("Treat MODEL as an architecture and give it random weights, to measure its costs.")
    ] = False


@dataclass(frozen=True, kw_only=True)
class PrecisionOptions:
    """Layers to protect from quantization."""

    PANEL: ClassVar = "Variants"
    keep_int8: Annotated[
        str | Sequence[str],
        Option(
            "Keep 8-bit weights in layers whose names match this pattern, for example 'fire2_*', in an int4 or mixed "
            "file. Repeat the option for several patterns.",
            metavar="PATTERN",
            default="none",
        ),
    ] = ()
    keep_float: Annotated[
        str | Sequence[str],
        Option(
            "Keep layers whose names match this pattern in float in an int8, int4 or mixed file. Repeat the option for "
            "several patterns. `edgesqz inspect` shows the names of the layers of a Keras or .tflite file. For another "
            "model, inspect its fp32 export.",
            metavar="PATTERN",
            default="none",
        ),
    ] = ()

    calibration_method: Annotated[
        str,
        Option(
            "How the ranges of quantized values are chosen: min-max; percentile, for onnx int8, which ignores the most "
            "extreme activations; or mse, for tflite int4, which clips the largest weights to make the mean squared "
            "error smaller.",
            metavar="METHOD",
        ),
    ] = MIN_MAX
    max_size: Annotated[
        str | int | None,
        Option(
            "For variant mixed: maximum size of the file, for example 60kB. Layers get 4-bit weights, starting with "
            "the smallest loss per byte saved, until the file fits.",
            metavar="SIZE",
        ),
    ] = None
    max_accuracy_drop: Annotated[
        float | None,
        Option(
            "For variant mixed: maximum loss of top-1 accuracy relative to the source model, in percentage points on "
            "training images. As many layers as possible get 4-bit weights.",
            metavar="POINTS",
        ),
    ] = None

    def __post_init__(self) -> None:
        """Check the limit."""
        _ = self.limit
        if self.max_accuracy_drop is not None and not 0 <= self.max_accuracy_drop <= 100:
            raise EdgesqzError(
                f"{option('max_accuracy_drop')} must be from 0 to 100 percentage points, got {self.max_accuracy_drop}"
            )

    @property
    def limit(self) -> Limit:
        """The limit on a mixed file."""
        return Limit(parsed("max_size", parse_quota, self.max_size), self.max_accuracy_drop)

    @property
    def changes_defaults(self) -> bool:
        """Whether these options make an int8 file differ from the default one."""
        return bool(self.keep) or self.calibration_method != MIN_MAX

    @property
    def keep(self) -> Keep:
        """The layers to protect."""
        return Keep(tuple(map(str, as_list(self.keep_int8))), tuple(map(str, as_list(self.keep_float))))


@dataclass(frozen=True, kw_only=True)
class ExportDataOptions(DataOptions):
    """The images or samples to calibrate and verify on."""

    PANEL: ClassVar = "Data"
    dataset: Annotated[
        str | Path | None,
        Option(
            "cifar10, cifar100, mnist, synthetic, or a folder with a subfolder of images for each class. For a model "
            "that does not take one image: an .npz file with an array of values for each input.",
            metavar="NAME|DIR|FILE",
            default="the dataset that the model was trained on",
        ),
    ] = None


@dataclass(frozen=True)
class Export(
    DryRunOptions,
    ForceOption,
    QuotaOptions,
    PixelOptions,
    SourceOptions,
    InputSizeOptions,
    PrecisionOptions,
    VariantOptions,
    CalibrationOptions,
    ExportDataOptions,
):
    """Convert a model to other formats, and verify each file against the model before keeping it.

    The files are written to the workspace as NAME.VARIANT.SUFFIX, each with its manifest. Verification compares the
    predictions of the file and the source model on up to 500 training images that calibration does not use, or on
    images drawn by code if the dataset is not available. A file that differs too much is not kept. If one
    file cannot be exported, the others are still written.

    Example: `edgesqz export squeezenet --format tflite --format onnx --quantize`
    """

    def __post_init__(self) -> None:
        """Check the options that can be checked before any file is opened."""
        CalibrationOptions.__post_init__(self)
        PrecisionOptions.__post_init__(self)
        InputSizeOptions.__post_init__(self)
        if self.untrained and self.model is None:
            raise EdgesqzError(f"{option('untrained')} needs the name of an architecture, such as alexnet")
        if self.all_variants and self.variants:
            raise EdgesqzError(f"{option('all_variants')} exports every variant; remove {', '.join(self.variants)}")
        if self.all_variants and (self.changes_defaults or self.limit):
            names = ("keep_int8", "keep_float", "max_size", "max_accuracy_drop", "calibration_method")
            given = next(name for name in names if getattr(self, name) not in (None, (), MIN_MAX))
            raise EdgesqzError(
                f"{option(given)} applies to some variants only; name them with {option('variant')} instead of "
                f"{option('all_variants')}"
            )

    def run(self, console: Console) -> ExportResult:
        """Convert, verify and write the files, or with ``dry_run`` only report what would be written.

        Raises:
            EdgesqzError: The input is invalid, there are no images for calibration, the quota is too small, or no file
                can be exported. If some files can be, the result names the others.
        """
        from edgesqz.exporting.run import run

        return run(self, console)


export = command(Export)
