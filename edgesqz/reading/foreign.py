"""A model from another tool as an export source: its own engine runs it, and its float .tflite form is converted."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgesqz import artifact, plugins
from edgesqz.artifact import Artifact, Manifest, PixelRange, Pixels, Tensor, model_suffix
from edgesqz.data import Batch, Samples, sample_shape
from edgesqz.engine import Engine, EngineError
from edgesqz.errors import EdgesqzError, option
from edgesqz.image_size import ImageSize
from edgesqz.outputs import softmax
from edgesqz.reading.conversion import Conversion, to_tflite
from edgesqz.tflite import extending

FIX_ONNX = (
    "fix it with python -m onnxruntime.tools.make_dynamic_shape_fixed --input_name {} --input_shape SIZE,SIZE,… FILE "
    "FIXED"
)


class ConversionError(EdgesqzError):
    """A model cannot be converted, so it has no exports."""


@dataclass(eq=False)
class ForeignModel:
    """A model from another tool: an image classifier, or a model with other inputs or outputs, such as a detector.

    Attributes:
        name: Prefix of the file names of its exports.
        path: Its file, or its SavedModel folder.
        content: The file, as its reader prepared it.
        reader: The reader of its format.
        suffix: The suffix of its file.
        pixels: Conversion of pixels to values of the model's input.
        manifest: The manifest of its file, if edgesqz wrote it.
        sha256: SHA-256 of its file.
        engine: The engine that runs it, which stays open, because some engines are slow to start.
        parameters: Number of parameters.
        file_labels: The class names that the file contains, or empty.
        ends_with_softmax: Whether the exports apply a softmax to the model's outputs.
        untrained: Always False.
    """

    name: str
    path: Path
    content: bytes
    reader: plugins.Reader
    suffix: str
    pixels: Pixels
    manifest: Manifest | None
    sha256: str
    engine: Engine
    parameters: int
    file_labels: tuple[str, ...] = ()
    ends_with_softmax: bool = False
    untrained: bool = False

    @property
    def source(self) -> str:
        """The path of its file, for messages."""
        return str(self.path)

    @property
    def takes_images(self) -> bool:
        """Whether it has one input, which takes images."""
        return self.engine.takes_images

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """Its inputs."""
        return self.engine.inputs

    @property
    def image_format(self) -> tuple[ImageSize, int]:
        """Size and number of channels of the input images.

        Raises:
            EdgesqzError: It does not take images of a fixed size.
        """
        return self.engine.image_format

    @property
    def is_classifier(self) -> bool:
        """Whether it takes images and has one output with one number per class."""
        return self.engine.is_classifier

    @property
    def output_shapes(self) -> tuple[tuple[int | None, ...], ...]:
        """The shape of each output for one image or sample."""
        return self.engine.output_shapes

    @property
    def classes(self) -> int:
        """Number of classes, or, for a model that is not a classifier, of values in all outputs."""
        return sum(math.prod(size or 1 for size in shape) for shape in self.output_shapes)

    @property
    def labels(self) -> tuple[str, ...]:
        """The class names in the file if there is one for each class, or empty."""
        return self.file_labels if len(self.file_labels) == self.classes else ()

    def predict(self, images: Batch, pixels: Pixels | None = None) -> np.ndarray:
        """Run the model on the engine of its own format.

        Args:
            images: uint8 (N, H, W, channels), or samples.
            pixels: Conversion of pixels to values of the input, if not the model's own.

        Returns:
            Outputs as its exports should compute them, float32 (N, classes).

        Raises:
            EdgesqzError: The engine rejects the model.
        """
        try:
            if pixels is None:
                outputs = self.engine.predict(images)
            else:
                with Engine(self.content, plugins.runtime_for(self.suffix), pixels=pixels) as engine:
                    outputs = engine.predict(images)
        except EngineError as error:
            raise EdgesqzError(f"{self.source}: {error}") from error
        return softmax(outputs) if self.ends_with_softmax else outputs

    @property
    def versions(self) -> dict[str, str]:
        """The version of the package that converted the file."""
        return self.conversion.versions

    @functools.cached_property
    def conversion(self) -> Conversion:
        """The model as a float .tflite file.

        Raises:
            ConversionError: The file cannot be converted.
        """
        try:
            found = to_tflite(self.reader, self.content, self.suffix)
        except EdgesqzError as error:
            raise ConversionError(f"{self.source} cannot be converted: {error}") from error
        content = extending.with_dense_layers(extending.with_int8_forms(found.content))
        content = extending.with_signature(content)
        content = extending.in_order(
            content, [each.name for each in self.inputs if each.name], self.engine.output_names
        )
        return Conversion(extending.with_softmax(content) if self.ends_with_softmax else content, found.versions)

    def in_layout_of_exports(self, batch: Batch) -> Batch:
        """Return samples in the layout of the exports. Images have the same layout for all models."""
        return batch.in_layout(extending.input_shapes(self.conversion.content)) if isinstance(batch, Samples) else batch

    def network(self, *, takes_bytes: bool) -> tuple[bytes, PixelRange]:
        """Return the network to convert as a float .tflite file, and the conversion of pixels to values of its input.

        Args:
            takes_bytes: Whether the scale and zero point of a quantized input can perform the normalization. If they
                can, because it is the same for all channels, the network does not contain it.
        """
        if takes_bytes and self.takes_images and isinstance(self.pixels, PixelRange):
            return self.conversion.content, self.pixels.aligned()
        if self.pixels == PixelRange():
            return self.conversion.content, self.pixels
        return extending.with_normalization(self.conversion.content, self.pixels), PixelRange()


def open_foreign(path: Path, pixels: Pixels | None, size: ImageSize | None) -> ForeignModel:
    """Open a model file from another tool.

    Args:
        path: The file, or a SavedModel folder.
        pixels: Conversion of pixels to values of its input. Defaults to that in its manifest, or else 0..255.
        size: Size of the input images, for a model that accepts any size.

    Raises:
        EdgesqzError: The file cannot be read or run, does not take images, or its manifest contradicts
            ``pixels``.
    """
    suffix = model_suffix(path)
    reader = plugins.reader_for(suffix)
    assert reader  # callers check that there is one
    manifest = Artifact.open(path).manifest
    described = manifest.pixels if manifest else None
    if described and pixels and described != pixels:
        raise EdgesqzError(
            f"{path}, according to its manifest, expects pixels {described}; remove {option('pixel_range')}, "
            f"{option('mean')} or {option('std')}"
        )
    try:
        prepared = plugins.prepare(reader, path, size)
    except plugins.QuantizedError as error:
        raise EdgesqzError(f"{artifact.shown(path)}: {error}") from error
    pixels = described or pixels or PixelRange()
    try:
        engine = Engine(prepared.content, plugins.runtime_for(suffix), pixels=pixels)
    except EngineError as error:
        usual = not size or size.height % 32 == size.width % 32 == 0
        advice = "" if usual else f"; many models need an {option('input_size')} that is a multiple of 32"
        raise EdgesqzError(f"{path}: {error}{advice}") from error
    model = ForeignModel(
        name=manifest.name if manifest else path.stem,
        path=path,
        content=prepared.content,
        reader=reader,
        suffix=suffix,
        pixels=pixels.fitted(engine.input.channels) if engine.takes_images else pixels,
        manifest=manifest,
        sha256=artifact.sha256(artifact.whole_bytes(path)),
        engine=engine,
        parameters=prepared.parameters,
        file_labels=prepared.labels,
    )
    check = _check_images if model.takes_images else _check_samples
    try:
        check(model, size)
    except BaseException:
        engine.close()
        raise
    return model


def _check_images(model: ForeignModel, size: ImageSize | None) -> None:
    """Check that a model takes images of one size, which is the requested one."""
    try:
        found, _ = model.image_format
    except EdgesqzError as error:
        raise EdgesqzError(
            f"{model.source} takes images of any size, which {option('input_size')} cannot fix in this format; save "
            "the model again for images of one size"
        ) from error
    if size and found != size:
        raise EdgesqzError(f"{model.source} takes images of {found}; remove {option('input_size')} {size}")


def _check_samples(model: ForeignModel, size: ImageSize | None) -> None:
    """Check that the inputs of a model that does not take one image have fixed shapes, and that no option is unused."""
    for tensor in model.inputs:
        try:
            sample_shape(tensor)
        except EdgesqzError as error:
            way_out = FIX_ONNX if model.suffix == ".onnx" else "save the model again with fixed shapes"
            raise EdgesqzError(f"{model.source}: {error}; {way_out.format(tensor.name)}") from error
    if size and not any(_has_size(tensor, size) for tensor in model.inputs):
        raise EdgesqzError(f"{model.source} does not take images of {size}; remove {option('input_size')}")
    if model.pixels != PixelRange():
        raise EdgesqzError(
            f"{model.source} does not take one image, so its exports take the same values as the model; remove "
            f"{option('pixel_range')}, {option('mean')} or {option('std')}"
        )


def _has_size(tensor: Tensor, size: ImageSize) -> bool:
    try:
        return tensor.image_format[0] == size
    except EdgesqzError:
        return False
