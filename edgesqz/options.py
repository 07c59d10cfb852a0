"""Groups of options shared by several commands, as dataclasses to inherit from. Each option is described once.

Imports nothing heavy, because ``--help`` reads it. A command with a different default declares the field again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from edgesqz import defaults
from edgesqz.command import Option
from edgesqz.errors import EdgesqzError, option, parsed
from edgesqz.image_size import ImageSize, ImageSizeLike

if TYPE_CHECKING:
    from edgesqz.artifact import Pixels

QUOTA_DEFAULT = "EDGESQZ_QUOTA, else the quota set by `edgesqz workspace quota`"


@dataclass(frozen=True, kw_only=True)
class DataDirOptions:
    """The folder to look for datasets in."""

    PANEL: ClassVar = "Data"
    data_dir: Annotated[
        str | Path | None,
        Option(
            "Folder that contains the dataset's files.",
            metavar="DIR",
            default="the download cache",
            variable="EDGESQZ_DATA_DIR",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class DatasetOption:
    """Which dataset to use."""

    PANEL: ClassVar = "Data"
    dataset: Annotated[
        str | Path | None,
        Option(
            "cifar10, cifar100, mnist, synthetic, or a folder with a subfolder of images for each class.",
            metavar="NAME|DIR",
            default="the dataset that the model was trained on",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class DataOptions(DataDirOptions, DatasetOption):
    """Which dataset to use, and where to look for it."""


@dataclass(frozen=True, kw_only=True)
class CalibrationOptions:
    """The images used to calibrate quantization."""

    PANEL: ClassVar = "Data"
    calibration: Annotated[
        int | None,
        Option(
            "Number of training images used to calibrate quantized files.",
            metavar="IMAGES",
            default=str(defaults.CALIBRATION_IMAGES),
        ),
    ] = None

    def __post_init__(self) -> None:
        """Check the number of images."""
        if self.calibration_images < 1:
            raise EdgesqzError(f"{option('calibration')} must be at least 1, got {self.calibration}")

    @property
    def calibration_images(self) -> int:
        """Number of calibration images, with the default filled in."""
        return defaults.CALIBRATION_IMAGES if self.calibration is None else self.calibration


@dataclass(frozen=True, kw_only=True)
class PixelOptions:
    """The pixel values that a model expects."""

    PANEL: ClassVar = "Data"
    pixel_range: Annotated[
        str | None,
        Option(
            "Values that a model file without a manifest expects for pixels 0 and 255, such as 0..1 or -1..1.",
            metavar="LOW..HIGH",
            default="0..255",
        ),
    ] = None
    mean: Annotated[
        str | None,
        Option(
            "Mean that a model file without a manifest expects to be subtracted from pixels scaled to 0..1: one "
            "number, or one for each channel, such as 0.485,0.456,0.406.",
            metavar="MEAN",
        ),
    ] = None
    std: Annotated[
        str | None,
        Option(
            "Standard deviation by which such a model expects the result to be divided, such as 0.229,0.224,0.225.",
            metavar="STD",
        ),
    ] = None

    @property
    def pixel_option(self) -> str:
        """The given option, as messages name it."""
        return option("pixel_range" if self.pixel_range else "std" if self.mean is None else "mean")

    def describe(self) -> str:
        """Return the given options as messages name them, with their values."""
        names = ("pixel_range", "mean", "std")
        return " and ".join(f"{option(name)} {value}" for name in names if (value := getattr(self, name)))

    @property
    def pixels(self) -> Pixels | None:
        """The pixel values that the options describe, or None if no option is given.

        Raises:
            EdgesqzError: A value is malformed, or the options contradict each other.
        """
        from edgesqz.artifact import PixelRange

        if self.mean is None and self.std is None:
            return parsed("pixel_range", PixelRange.parse, self.pixel_range) if self.pixel_range else None
        if self.pixel_range:
            other = "std" if self.mean is None else "mean"
            raise EdgesqzError(f"{option('pixel_range')} and {option(other)} describe the same values; remove one")
        return _standardized(self.mean or "0", self.std or "1")


@dataclass(frozen=True, kw_only=True)
class InputSizeOptions:
    """The size of a network's input."""

    PANEL: ClassVar = "Model"
    input_size: Annotated[
        ImageSizeLike | None,
        Option(
            "Size of the network's input in pixels: 96, or 160x120 for images that are not square.",
            metavar="PIXELS|WIDTHxHEIGHT",
            default="the size that the network was designed for",
        ),
    ] = None

    def __post_init__(self) -> None:
        """Check the size."""
        if self.input_size is not None:
            parsed("input_size", ImageSize.parse, self.input_size)


@dataclass(frozen=True, kw_only=True)
class WorkspaceOptions:
    """The folder for models."""

    PANEL: ClassVar = "Workspace"
    workspace: Annotated[
        str | Path,
        Option(
            "Folder that models are written to and read from.",
            metavar="DIR",
            variable="EDGESQZ_WORKSPACE",
        ),
    ] = defaults.WORKSPACE


@dataclass(frozen=True, kw_only=True)
class LimitedWorkspaceOptions(WorkspaceOptions):
    """The workspace and its quota."""

    PANEL: ClassVar = "Workspace"
    quota: Annotated[
        str | int | None,
        Option(
            "Maximum size of all files in the workspace: 500kB, 2MB, 1MiB, or a number of bytes.",
            metavar="SIZE",
            default=QUOTA_DEFAULT,
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class QuotaOptions(LimitedWorkspaceOptions):
    """The workspace, its quota, and the folder for temporary files."""

    PANEL: ClassVar = "Workspace"
    scratch_dir: Annotated[
        str | Path | None,
        Option(
            "Folder for temporary files of Keras and the converters. If it is in the workspace, they count against "
            "the quota.",
            metavar="DIR",
            default="the system's temporary folder",
            flag="--scratch",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """The Ray cluster to use."""

    PANEL: ClassVar = "Cluster"
    address: Annotated[
        str | None,
        Option(
            "Use this Ray cluster. This machine must be one of its nodes.",
            metavar="HOST:PORT",
            default="this machine only",
        ),
    ] = None


def as_list(values: str | Path | Sequence[str | Path]) -> list[str | Path]:
    """Return one value or several as a list."""
    return [values] if isinstance(values, str | Path) else list(values)


def as_path(place: str | Path | None) -> Path | None:
    """Convert an optional path, which may be text, to a ``Path`` or None."""
    return Path(place) if place else None


def _standardized(mean: str, std: str) -> Pixels:
    """Return the pixel values of a mean and a standard deviation of pixels 0..1, for all channels or for each."""
    from edgesqz.artifact import ChannelRanges, PixelRange

    means, stds = parsed("mean", _fractions, mean), parsed("std", _fractions, std)
    if min(stds) <= 0:
        raise EdgesqzError(f"{option('std')} must be above 0, got {std}")
    if len({len(means), len(stds)} - {1}) > 1:
        raise EdgesqzError(f"expected {option('mean')} and {option('std')} for the same channels, got {mean} and {std}")
    count = max(len(means), len(stds))
    pairs = zip(means * (count // len(means)), stds * (count // len(stds)), strict=True)
    ranges = [PixelRange(scale=1 / (255 * deviation), offset=-center / deviation) for center, deviation in pairs]
    return ranges[0] if count == 1 else ChannelRanges(channels=tuple(ranges))


def _fractions(text: str) -> list[float]:
    """Parse numbers between 0 and 1, separated by commas."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if not values or not all(0 <= value <= 1 for value in values):
        raise EdgesqzError(
            f"expected one number from 0 to 1, or one for each channel as in 0.485,0.456,0.406, got {text!r}; divide "
            "values for pixels 0..255 by 255"
        )
    return values
