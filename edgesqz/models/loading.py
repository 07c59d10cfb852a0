"""Load the Keras model to convert: from a file, the workspace, the zoo, or an architecture with random weights."""

from __future__ import annotations

import sys
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgesqz import artifact, backend, lookup
from edgesqz.artifact import ZOO, Artifact, Manifest, PixelRange, Pixels, Tensor
from edgesqz.data import Batch
from edgesqz.errors import DAMAGE, HDF5_SUFFIXES, EdgesqzError, first_line, option
from edgesqz.image_size import ImageSize, ImageSizeLike
from edgesqz.models import keras_config
from edgesqz.models.architectures import ARCHITECTURES, network_graph
from edgesqz.models.costs import network_costs
from edgesqz.models.normalization import without_normalization
from edgesqz.workspace import Workspace

if TYPE_CHECKING:
    import keras

UNTRAINED_SEED = 0


@dataclass(frozen=True)
class SourceModel:
    """A Keras model to convert.

    Attributes:
        name: Prefix of the file names of its exports.
        source: Origin of the model, for messages.
        path: Its file, or None for random weights.
        model: A functional model from pixel values, float32 (N, H, W, channels), to outputs (N, classes).
        pixels: Conversion of pixels to values of the model's input.
        manifest: The manifest of its file, or None for a file from another tool and for random weights.
        sha256: SHA-256 of its file, or None for random weights.
        untrained: Whether its weights are random.
    """

    name: str
    source: str
    path: Path | None
    model: keras.Model
    pixels: PixelRange
    manifest: Manifest | None
    sha256: str | None
    untrained: bool = False

    def predict(self, images: Batch, pixels: Pixels | None = None) -> np.ndarray:
        """Run the model.

        Args:
            images: uint8 (N, H, W, channels).
            pixels: Conversion of pixels to values of the input, if not the known one.

        Returns:
            float32 (N, classes).
        """
        assert isinstance(images, np.ndarray)  # ``takes_images``
        with backend.hush():
            return np.asarray(self.model.predict((pixels or self.pixels).values(images), verbose=0))

    def in_layout_of_exports(self, batch: Batch) -> Batch:
        """Return images, which have the same layout for all models, as they are."""
        return batch

    def network(self, *, takes_bytes: bool) -> tuple[keras.Model, PixelRange]:
        """Return the network to convert, and the conversion of pixels to values of its input.

        Args:
            takes_bytes: Whether the scale and zero point of a quantized input perform the normalization. The network
                then does not contain it.
        """
        if not takes_bytes:
            return self.model, self.pixels
        model, pixels = without_normalization(self.model, self.pixels)
        return model, pixels.aligned()

    @property
    def parameters(self) -> int:
        """The number of parameters, trainable or not, as Keras counts them."""
        return int(self.model.count_params())

    @property
    def classes(self) -> int:
        """The number of outputs."""
        return int(self.model.output_shape[1])

    @property
    def takes_images(self) -> bool:
        """Whether it takes images, as every model that this module loads."""
        return True

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The only input."""
        return (Tensor(shape=self.model.input_shape, dtype="float32"),)

    @property
    def is_classifier(self) -> bool:
        """Whether it has one number per class, as every model that this module loads."""
        return True

    @property
    def output_shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of the only output for one image."""
        return ((self.classes,),)

    @property
    def labels(self) -> tuple[str, ...]:
        """The class names in its file, which Keras does not store."""
        return ()

    @property
    def versions(self) -> dict[str, str]:
        """The versions of packages that read its file, other than the converter's own."""
        return {}

    @property
    def image_format(self) -> tuple[ImageSize, int]:
        """The size and the number of channels of the input images."""
        _, height, width, channels = self.model.input_shape
        return ImageSize(height, width), channels


def find(
    model: str | Path | None,
    workspace: Workspace,
    pixels: PixelRange | None = None,
    input_size: ImageSizeLike | None = None,
) -> SourceModel:
    """Find and load a Keras model.

    Args:
        model: A .keras file, a name as described in ``edgesqz.lookup``, or None for the newest model in the workspace.
        workspace: The workspace to look in.
        pixels: Conversion of pixels to values of the model's input. By default, as in its manifest, or else 0..255.
        input_size: Size of the input images, for a model that accepts any size.

    Raises:
        EdgesqzError: There is no such model (the message lists the available ones), the model cannot be loaded or
            converted, or its manifest contradicts ``pixels``.
    """
    path = find_file(model, workspace)
    found = Artifact.open(path)
    source = origin(path)
    known = found.manifest.pixels if found.manifest else None
    pixels = _pixel_range(known, pixels, f"{model or path}, according to its manifest,")
    sha256 = artifact.sha256(artifact.read_bytes(path))
    return SourceModel(path.stem, source, path, _load(path, input_size), pixels, found.manifest, sha256)


def find_file(model: str | Path | None, workspace: Workspace) -> Path:
    """Find the file of a Keras model. See ``find``.

    Raises:
        EdgesqzError: There is no such model. The message lists the available ones.
    """
    folder = workspace.folder
    return lookup.newest_keras_file(folder) if model is None else _named(str(model), folder)


def origin(path: Path) -> str:
    """Return where a model comes from, for messages."""
    return "the zoo" if path.parent == ZOO else str(path)


def _named(model: str, folder: Path) -> Path:
    try:
        return lookup.find_keras_file(model, folder)
    except EdgesqzError as error:
        if model not in ARCHITECTURES:
            raise
        raise EdgesqzError(
            f"{model} has no trained weights in {folder} or in the zoo; train it with edgesqz train --model {model}, "
            f"or use random weights with edgesqz export {model} --untrained"
        ) from error


def _pixel_range(known: PixelRange | None, requested: PixelRange | None, model: str) -> PixelRange:
    """Return the known or requested pixel range, or else 0..255.

    Raises:
        EdgesqzError: The known and the requested range contradict each other.
    """
    if known and requested and str(known) != str(requested):
        raise EdgesqzError(f"{model} expects pixels {known}; remove {option('pixel_range')} {requested}")
    return known or requested or PixelRange()


def untrained_parameters(model: str, input_size: ImageSizeLike | None = None) -> int:
    """Count the parameters of a network that ``untrained`` would build, without building it.

    Raises:
        EdgesqzError: The name is unknown.
    """
    return network_costs(model, input_size=input_size).parameters


def untrained(
    model: str,
    classes: int | None = None,
    input_size: ImageSizeLike | None = None,
    pixels: PixelRange | None = None,
) -> SourceModel:
    """Build a network with seeded random weights, to measure its size, latency and memory.

    Args:
        model: A name in ``edgesqz.models.ARCHITECTURES``.
        classes: Number of classes, or None for the number that the network was designed for.
        input_size: Size of the input images, or None for the size that the network was designed for.
        pixels: The requested pixel range, which can only be 0..255.

    Raises:
        EdgesqzError: The name is unknown, another pixel range is requested, or the images are too small.
    """
    graph = network_graph(model, classes=classes, input_size=input_size)
    pixels = _pixel_range(PixelRange(), pixels, f"{model}, untrained,")
    backend.start_keras()
    import keras

    keras.utils.set_random_seed(UNTRAINED_SEED)
    return SourceModel(model, f"{model}, untrained", None, graph.to_keras(), pixels, None, None, untrained=True)


def load_keras(path: Path) -> keras.Model:
    """Load a .keras or HDF5 file with Keras.

    Raises:
        EdgesqzError: The file is damaged, or needs a class that is not Keras's own.
    """
    problem = f"{path} cannot be loaded as a Keras model"
    is_hdf5 = path.suffix in HDF5_SUFFIXES
    if not (is_hdf5 or zipfile.is_zipfile(path)):
        raise EdgesqzError(f"{problem}: it is not a .keras archive, or it is truncated")
    foreign = keras_config.foreign_code(keras_config.read(path))
    if foreign and "keras" not in sys.modules:  # otherwise the caller may have imported that code
        raise EdgesqzError(f"{problem}: {foreign}")
    backend.start_keras()
    import keras

    try:
        if not is_hdf5:
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()  # HDF5 trusts what it reads, so damaged weights must not reach it
            if damaged:
                raise EdgesqzError(f"{problem}: {damaged} in it is damaged")
        with backend.hush():
            return keras.models.load_model(path, compile=False)
    except (*DAMAGE, OSError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise EdgesqzError(f"{problem}: {foreign or first_line(error)}") from error


def _load(path: Path, size: ImageSizeLike | None) -> keras.Model:
    """Load a model in the form that converters need: functional, in float32, for one image size.

    Raises:
        EdgesqzError: The model cannot be loaded, does not take images of that size, or is not a classifier.
    """
    size = None if size is None else ImageSize.parse(size)
    config = keras_config.read(path)
    keras_config.check_form(path, config)
    model = load_keras(path)
    inputs: Sequence[Any] = getattr(model, "inputs", None) or ()
    outputs: Sequence[Any] = getattr(model, "outputs", None) or ()
    keras_config.check(path, [tensor.shape for tensor in inputs], len(outputs))
    _, height, width, channels = inputs[0].shape
    if size is None and None in (height, width):
        raise EdgesqzError(
            f"{path} takes images of any size; specify one with {option('input_size')}, such as 96 or 160x120"
        )
    if size and (height or size.height, width or size.width) != size:
        raise EdgesqzError(f"{path} takes images of {ImageSize(height, width)}; remove {option('input_size')} {size}")
    if len(outputs[0].shape) != 2:
        raise keras_config.OtherModelError(path, f"expected outputs of shape (N, classes), got {outputs[0].shape}")
    return _rebuilt(model, (*(size or (height, width)), channels), path)


def _rebuilt(model: keras.Model, form: tuple[int, ...], path: Path) -> keras.Model:
    """Rebuild a network with a float32 input of a fixed shape."""
    import keras

    try:
        with backend.hush():
            config = model.get_config()
            in_float32 = _in_float32(config)
            if in_float32 != config:
                model = type(model).from_config(in_float32)
                model.load_weights(path)  # unlike set_weights, this finalizes normalization layers
            images = keras.Input(form, name=model.inputs[0].name)
            return keras.Model(images, model.call(images, training=False), name=model.name)
    except (*DAMAGE, RuntimeError) as error:
        raise EdgesqzError(f"{path} cannot be rebuilt for images of shape {form}: {first_line(error)}") from error


def _in_float32(config: Any) -> Any:
    """Return a model's configuration with float32 in place of 16-bit floats and of a uint8 input."""
    if isinstance(config, dict):
        return {
            key: "float32" if key == "dtype" and _is_short(value) else _in_float32(value)
            for key, value in config.items()
        }
    if isinstance(config, list | tuple):
        return type(config)(map(_in_float32, config))
    return config


def _is_short(dtype: Any) -> bool:
    """Return whether a dtype or dtype policy is float16 or bfloat16, mixed or not, or uint8."""
    return "float16" in str(dtype) or dtype == "uint8"
