"""Artifacts: model files with their manifests, through which training, export and bench pass on their results."""

from __future__ import annotations

import errno
import hashlib
import io
import math
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from edgesqz import plugins
from edgesqz.errors import SAVED_MODEL_SUFFIX, EdgesqzError, option
from edgesqz.image_size import ImageSize
from edgesqz.workspace import MANIFEST_SUFFIX as MANIFEST_SUFFIX
from edgesqz.workspace import manifest_path

KERAS_SUFFIX = ".keras"
SYNTHETIC = "synthetic"  # the dataset whose images are drawn by code
SCHEMA = 2  # of manifests
SAMPLES_SUFFIX = ".npz"  # of files with the values of a model's inputs
RANDOM = "random"  # as the origin of such values
ZOO = Path(__file__).parent / "zoo"  # trained networks that ship with the package


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Tensor(_Frozen):
    """An input or output of a model file; ``real value = scale * (stored value - zero_point)``.

    Attributes:
        name: Name of an input of a model that does not take one image, or None.
        shape: Shape, with None for dimensions of any size.
        dtype: NumPy's name for the data type.
        scale: Quantization scale, or None if values are not quantized.
        zero_point: Quantization zero point, or None if values are not quantized.
    """

    name: str | None = None
    shape: tuple[int | None, ...]
    dtype: str
    scale: float | None = None
    zero_point: int | None = None

    @property
    def channels(self) -> int:
        """The number of channels (1 or 3) of an input's images, in NHWC or NCHW layout; 0 if it takes no images."""
        return next((size for size in (self.shape[3], self.shape[1]) if size in (1, 3)), 0)

    @property
    def image_format(self) -> tuple[ImageSize, int]:
        """The size and number of channels (1 or 3) of an input's images, in NHWC or NCHW layout.

        Raises:
            EdgesqzError: The input does not take images of one size.
        """
        if len(self.shape) == 4:
            height, width = self.shape[1:3] if self.shape[3] in (1, 3) else self.shape[2:]
            if height and width and self.channels:
                return ImageSize(height, width), self.channels
        raise EdgesqzError(f"expected a model for images of one size, RGB or gray; its input is {self.shape}")


def is_classification(outputs: Sequence[Tensor]) -> bool:
    """Return whether a model has one output of one number per class, of shape (N, classes) or (N, classes, 1, 1)."""
    return len(outputs) == 1 and sum(size != 1 for size in outputs[0].shape[1:]) <= 1


class PixelRange(_Frozen):
    """The conversion of pixels 0..255 to the real values of a model's input: ``scale * pixel + offset``."""

    scale: float = 1.0
    offset: float = 0.0

    @classmethod
    def parse(cls, text: str) -> PixelRange:
        """Parse ``LOW..HIGH``, the real values for pixels 0 and 255, such as ``0..1`` or ``-1..1``.

        Raises:
            EdgesqzError: The text is malformed, or the range is empty.
        """
        problem = f"expected a pixel range LOW..HIGH such as 0..255, 0..1 or -1..1, got {text!r}"
        try:
            low, high = map(float, text.split(".."))
        except ValueError as error:
            raise EdgesqzError(problem) from error
        if not (low < high and math.isfinite(high - low)):
            raise EdgesqzError(problem)
        return cls(scale=(high - low) / 255, offset=low)

    def __str__(self) -> str:
        """``LOW..HIGH``, as ``parse`` reads it."""
        return f"{self.offset:.4g}..{255 * self.scale + self.offset:.4g}"

    def values(self, pixels: np.ndarray) -> np.ndarray:
        """Convert pixels 0..255 of any shape to float32 values of the model's input."""
        return np.asarray(pixels.astype(np.float32) * np.float32(self.scale) + np.float32(self.offset))

    def fitted(self, channels: int) -> PixelRange:
        """Return the range, which fits any number of channels. See ``ChannelRanges.fitted``."""
        return self

    def aligned(self) -> PixelRange:
        """Shift the range by at most half a step, so that one pixel value becomes exactly 0.

        The zero point of a quantized input is an integer, so every pixel value then has a distinct stored value. A
        range without 0 is not changed.
        """
        zero = -self.offset / self.scale
        return self.model_copy(update={"offset": -round(zero) * self.scale}) if 0 <= zero <= 255 else self


class ChannelRanges(_Frozen):
    """A different pixel range for each channel, as in networks trained on standardized images.

    Attributes:
        channels: The range of each channel, in the order of the channels.
    """

    channels: tuple[PixelRange, ...]

    @property
    def scale(self) -> tuple[float, ...]:
        """The scale of each channel."""
        return tuple(each.scale for each in self.channels)

    @property
    def offset(self) -> tuple[float, ...]:
        """The offset of each channel."""
        return tuple(each.offset for each in self.channels)

    def fitted(self, channels: int) -> Pixels:
        """Return the ranges for images with this number of channels, or a single range if all are the same.

        Raises:
            EdgesqzError: The number of ranges differs from the number of channels.
        """
        if len(self.channels) != channels:
            expected = "1 value" if channels == 1 else f"1 or {channels} values"
            images = "gray images" if channels == 1 else "RGB images"
            raise EdgesqzError(
                f"expected {expected} of {option('mean')} and {option('std')} for {images}, got {len(self.channels)}"
            )
        return self.channels[0] if len(set(self.channels)) == 1 else self

    def __str__(self) -> str:
        """Return the ranges in the order of the channels."""
        return ", ".join(map(str, self.channels))

    def values(self, pixels: np.ndarray) -> np.ndarray:
        """Convert pixels 0..255, (..., channels), to float32 values of the model's input."""
        parts = [each.values(pixels[..., number]) for number, each in enumerate(self.channels)]
        return np.stack(parts, axis=-1)


Pixels = PixelRange | ChannelRanges  # how a pixel becomes a value of a model's input


class Images(_Frozen):
    """The images that a step has used, on which accuracy must not be measured.

    For a model that does not take one image, they are samples of the values of its inputs.
    """

    dataset: str
    split: str
    count: int
    seed: int | None = None  # for sampling the images, or None for the whole split

    @property
    def are_drawn(self) -> bool:
        """Whether code has drawn the images."""
        return self.dataset == SYNTHETIC

    def describe(self) -> str:
        """Return the number and the origin of the images, such as ``500 training images of cifar10``."""
        if self.are_drawn:
            return f"{self.count:,} synthetic images, drawn by code"
        if self.dataset == RANDOM:
            return f"{self.count:,} random samples"
        if self.dataset.endswith(SAMPLES_SUFFIX):
            return f"{self.count:,} samples of {self.dataset}"
        return f"{self.count:,} {'training' if self.split == 'train' else self.split} images of {self.dataset}"


class Verification(_Frozen):
    """The result of running an exported file and its source model on the same images.

    Attributes:
        images: The images that both were run on.
        agreement: Share of the images for which both predict the same class, 0..1. A single output predicts by whether
            it exceeds 0.5, or 0 if it is a logit. None for a model that is not a classifier.
        sqnr_db: For such a model, the signal-to-quantization-noise ratio of each output, in decibels.
        max_error: Largest difference of any output.
        mean_error: Mean absolute difference of all outputs, or None in manifests of older versions.
        source_accuracy: Top-1 accuracy of the source model on these training images, 0..1, or None without labels.
    """

    images: Images
    agreement: float | None = None
    sqnr_db: tuple[float, ...] | None = None
    max_error: float
    mean_error: float | None = None
    source_accuracy: float | None = None


class Evaluation(_Frozen):
    """The accuracy of a file on test images that were not used for training, calibration or model selection.

    Attributes:
        images: The test images.
        accuracy: Top-1 accuracy, 0..1.
        times: Number of times that this file was measured on these images.
        machine: The processor that ran it, or None if unknown.
    """

    images: Images
    accuracy: float
    times: int
    machine: str | None = None


class Manifest(_Frozen):
    """The description of a model file, stored next to it as ``FILE.json``.

    Attributes:
        size_bytes: Size of the model file.
        sha256: SHA-256 of the model file, in hexadecimal.
        other_inputs: Its other inputs, for a model with several.
        other_outputs: Its other outputs, for a model with several.
        pixels: Conversion of pixels to values of ``input``. Not stored for a model that does not take a single image.
        labels: Names of the classes, in the order of the output.
        untrained: Whether the weights are random, so that the accuracy is meaningless.
        source: Path of the file that it was exported from, relative to its own folder. None for a source model, and for
            exports of random weights or of a model from the zoo.
        source_sha256: SHA-256 of that file, or None for a source model and for exports of random weights.
        source_pixels: Conversion of pixels to values of that file's input, if that file has no manifest.
        dataset: Name or folder of the dataset that the source model was trained on, or None if unknown.
        calibration: The images that set the quantization ranges, if any.
        calibration_method: How the quantization ranges were chosen, or None for min-max.
        weight_bits: Number of bits of each layer's weights, if they were chosen layer by layer.
        training: The recipe and its results, for a source model.
        test: Accuracy on test images, for a file in the zoo.
        versions: Versions of the packages that wrote the file.
    """

    schema_version: int = SCHEMA
    name: str
    variant: str
    format: str
    size_bytes: int
    sha256: str
    input: Tensor
    output: Tensor
    other_inputs: tuple[Tensor, ...] = ()
    other_outputs: tuple[Tensor, ...] = ()
    pixels: PixelRange = PixelRange()
    labels: tuple[str, ...]
    dataset: str | None = None
    untrained: bool = False
    source: str | None = None
    source_sha256: str | None = None
    source_pixels: Pixels | None = None
    calibration: Images | None = None
    calibration_method: str | None = None
    weight_bits: dict[str, int] | None = None
    verification: Verification | None = None
    training: dict[str, Any] | None = None
    test: Evaluation | None = None
    versions: dict[str, str]

    @property
    def takes_images(self) -> bool:
        """Whether the model has one input, which takes images."""
        return self.input.name is None

    @property
    def is_classifier(self) -> bool:
        """Whether the model takes images and has one output with one number per class."""
        return self.takes_images and is_classification((self.output, *self.other_outputs))


@dataclass(frozen=True)
class Artifact:
    """A model file on disk, with its manifest if it has one. Files from other tools have none."""

    path: Path
    manifest: Manifest | None

    @classmethod
    def open(cls, path: Path) -> Artifact:
        """Read the manifest beside a model file.

        Raises:
            EdgesqzError: The file does not exist or cannot be read, or its manifest is damaged or does not match.
        """
        if is_saved_model(path):
            return cls(path, None)
        if not path.is_file():
            raise EdgesqzError(f"no model file {path}")
        if not os.access(path, os.R_OK):
            raise EdgesqzError(f"cannot read {path}: {os.strerror(errno.EACCES)}")
        beside = manifest_path(path)
        if not beside.is_file():
            return cls(path, None)
        try:
            manifest = Manifest.model_validate_json(read_bytes(beside))
        except ValidationError as error:
            first = error.errors()[0]
            what = " ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
            raise EdgesqzError(f"{beside} is not an edgesqz manifest: {what}") from error
        if manifest.schema_version != SCHEMA:
            raise EdgesqzError(
                f"{beside} has schema {manifest.schema_version}, expected {SCHEMA}; export the file again"
            )
        if manifest.sha256 != sha256(read_bytes(path)):
            raise EdgesqzError(
                f"{path} does not match its manifest {beside.name}; export it again, or remove the manifest"
            )
        return cls(path, manifest)

    @property
    def size_bytes(self) -> int:
        """Size of the model file or SavedModel folder on disk."""
        return size_bytes(self.path)

    def class_names(self, count: int) -> tuple[str, ...]:
        """Return the ``count`` labels of the manifest, or ``class 0``, ``class 1``, … for a file without them."""
        known = self.manifest.labels if self.manifest else ()
        return known if len(known) == count else tuple(f"class {number}" for number in range(count))


def is_saved_model(path: Path) -> bool:
    """Return whether a path is a TensorFlow SavedModel folder."""
    return (path / "saved_model.pb").is_file()


def shown(path: Path) -> str:
    """Return how messages show a model file: by its path, or by its name if it is in the zoo."""
    return f"{path.name} (the zoo)" if path.parent == ZOO else str(path)


def model_suffix(path: Path) -> str:
    """Return the suffix by which the readers and the runtimes of a model file or SavedModel folder are found."""
    return SAVED_MODEL_SUFFIX if is_saved_model(path) else path.suffix


def size_bytes(path: Path) -> int:
    """Return the size of a model file, or of all files in a SavedModel folder."""
    return sum(each.stat().st_size for each in (_files(path) if is_saved_model(path) else [path]))


def read_bytes(path: Path) -> bytes:
    """Read a file. A SavedModel folder is read as a zip archive, which is the same each time.

    Raises:
        EdgesqzError: The file cannot be read.
    """
    try:
        return _archive(path) if is_saved_model(path) else path.read_bytes()
    except OSError as error:
        raise EdgesqzError(f"cannot read {path}: {error.strerror}") from error


def whole_bytes(path: Path) -> bytes:
    """Read a model file, including the data that it keeps in other files, such as the weights of an ONNX model.

    Raises:
        EdgesqzError: A file cannot be read.
    """
    return plugins.whole(path, model_suffix(path)) or read_bytes(path)


def _archive(folder: Path) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for each in _files(folder):
            name = each.relative_to(folder).as_posix()
            archive.writestr(zipfile.ZipInfo(name), each.read_bytes())  # without the time, which would change the hash
    return content.getvalue()


def _files(folder: Path) -> list[Path]:
    return sorted(each for each in folder.rglob("*") if each.is_file())


def sha256(content: bytes) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def package_versions(*packages: str) -> dict[str, str]:
    """Return the installed versions of edgesqz and of the given packages, for a manifest."""
    from importlib.metadata import version

    return {package: version(package) for package in ("edgesqz", *packages)}


def stored_form(model_bytes: bytes, manifest: Manifest, file_name: str) -> dict[str, bytes]:
    """Return the files of an artifact by name, for ``Workspace.write`` to write together."""
    meaningless = set() if manifest.takes_images else {"pixels"}
    text = manifest.model_dump_json(indent=2, exclude_none=True, exclude=meaningless) + "\n"
    return {file_name: model_bytes, file_name + MANIFEST_SUFFIX: text.encode()}
