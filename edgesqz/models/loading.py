"""Where a Keras model to convert comes from: a file, the workspace, the zoo, or an architecture with random weights."""

from __future__ import annotations

import sys
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgesqz import artifact, backend, lookup
from edgesqz.artifact import ZOO, Artifact, Manifest, PixelRange
from edgesqz.errors import DAMAGE, EdgesqzError, first_line
from edgesqz.image_size import ImageSize, ImageSizeLike
from edgesqz.models import keras_config
from edgesqz.models.architectures import SqueezeNetModel, architecture
from edgesqz.models.costs import params
from edgesqz.workspace import Workspace

if TYPE_CHECKING:
    import keras

UNTRAINED_SEED = 0


@dataclass(frozen=True)
class SourceModel:
    """A Keras model, for conversion.

    Attributes:
        name: that its exports bear.
        source: where it came from, as a person would say it.
        model: from values of pixels, float32 (N, H, W, channels), to outputs (N, classes); a functional model.
        pixels: how a pixel becomes such a value.
        manifest: what is known of it; None for a file made elsewhere and for one that was never trained.
        sha256: of its file; None if it has none.
        untrained: whether its weights are random.
    """

    name: str
    source: str
    model: keras.Model
    pixels: PixelRange
    manifest: Manifest | None
    sha256: str | None
    untrained: bool = False

    @property
    def parameters(self) -> int:
        """How many numbers the network has learned or keeps, as Keras counts them."""
        return int(self.model.count_params())

    @property
    def classes(self) -> int:
        """The number of outputs."""
        return int(self.model.output_shape[1])

    @property
    def form(self) -> tuple[ImageSize, int]:
        """Size, and channels, of the images it takes."""
        _, height, width, channels = self.model.input_shape
        return ImageSize(height, width), channels


def find(
    model: str | Path | None,
    workspace: Workspace,
    pixels: PixelRange | None = None,
    input_size: ImageSizeLike | None = None,
) -> SourceModel:
    """Load the Keras model that is meant.

    Args:
        model: a .keras file, or a name; see ``edgesqz.lookup``. None for the newest in the workspace.
        workspace: where to look.
        pixels: how a pixel becomes a value of its input; None for what its manifest says, else 0..255.
        input_size: of its images, for a model that takes any size.

    Raises:
        EdgesqzError: there is none, and the message lists the names at hand; it cannot be loaded or converted; or
            its manifest says otherwise of its pixels.
    """
    folder = workspace.folder
    path = lookup.newest_keras_file(folder) if model is None else lookup.find_keras_file(model, folder)
    found = Artifact.open(path)
    source = "the zoo" if path.parent == ZOO else str(path)
    known = found.manifest.pixels if found.manifest else None
    pixels = _agreed(known, pixels, f"{source} has a manifest, by which it")
    sha256 = artifact.sha256(artifact.read_bytes(path))
    return SourceModel(path.stem, source, _load(path, input_size), pixels, found.manifest, sha256)


def _agreed(known: PixelRange | None, named: PixelRange | None, who: str) -> PixelRange:
    """The pixel range that is known, or was named; 0..255 without either.

    Raises:
        EdgesqzError: they contradict each other.
    """
    if known and named and str(known) != str(named):
        raise EdgesqzError(f"{who} expects pixels {known}; leave out --pixel-range {named}")
    return known or named or PixelRange()


def untrained_parameters(model: str, input_size: ImageSizeLike | None = None) -> int:
    """How many parameters ``untrained`` would make, without making any.

    Raises:
        EdgesqzError: an unknown name.
    """
    return params(model, input_size=input_size).parameters


def untrained(
    model: str,
    classes: int | None = None,
    input_size: ImageSizeLike | None = None,
    pixels: PixelRange | None = None,
) -> SourceModel:
    """Make a network with seeded random weights: good for its size, latency and memory, and for nothing else.

    Args:
        model: a name in ``edgesqz.models.ARCHITECTURES``.
        classes: to tell apart; None for as many as the network was made for.
        input_size: of its images; None for what the network was made for.
        pixels: what is said of its pixels, which are 0..255.

    Raises:
        EdgesqzError: an unknown name, other pixels, or images too small for the network.
    """
    plan = architecture(model)
    size = ImageSize.parse(input_size or plan.side)
    network = SqueezeNetModel(size, size, classes or plan.classes, model)
    pixels = _agreed(PixelRange(), pixels, f"{model}, untrained,")
    network.graph()  # bad input is told before TensorFlow is started
    backend.start_keras()
    import keras

    keras.utils.set_random_seed(UNTRAINED_SEED)
    return SourceModel(model, f"{model}, untrained", network.build(), pixels, None, None, untrained=True)


def load_keras(path: Path) -> keras.Model:
    """Load a .keras file as Keras does.

    Raises:
        EdgesqzError: it is damaged, or needs a class that is not Keras's own.
    """
    problem = f"{path} is no Keras model that can be loaded"
    if not zipfile.is_zipfile(path):
        raise EdgesqzError(f"{problem}: it is no .keras archive, or is cut short")
    foreign = keras_config.foreign_code(keras_config.read(path))
    if foreign and "keras" not in sys.modules:  # else somebody may have imported that code
        raise EdgesqzError(f"{problem}: {foreign}")
    backend.start_keras()
    import keras

    try:
        with zipfile.ZipFile(path) as archive:
            torn = archive.testzip()  # what is damaged does not reach HDF5, which trusts what it reads
        if torn:
            raise EdgesqzError(f"{problem}: {torn} in it is damaged")
        with backend.hush():
            return keras.models.load_model(path, compile=False)
    except (*DAMAGE, OSError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise EdgesqzError(f"{problem}: {foreign or first_line(error)}") from error


def _load(path: Path, size: ImageSizeLike | None) -> keras.Model:
    """Load a model as every converter takes it: functional, in float32, for one image size.

    Raises:
        EdgesqzError: it cannot be loaded, is not for images of that size, or does not classify.
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
        raise EdgesqzError(f"{path} takes images of any size; name one with --input-size, such as 96 or 160x120")
    if size and (height or size.height, width or size.width) != size:
        raise EdgesqzError(f"{path} takes images of {ImageSize(height, width)}; leave out --input-size {size}")
    if len(outputs[0].shape) != 2:
        raise EdgesqzError(f"{path}: expected outputs of shape (N, classes), got {outputs[0].shape}")
    return _rebuilt(model, (*(size or (height, width)), channels), path)


def _rebuilt(model: keras.Model, form: tuple[int, ...], path: Path) -> keras.Model:
    """The same network on a float32 input of a shape without None."""
    import keras

    try:
        with backend.hush():
            config = model.get_config()
            in_float32 = _in_float32(config)
            if in_float32 != config:
                model = type(model).from_config(in_float32)
                model.load_weights(path)  # unlike set_weights, also what normalization layers make of theirs
            images = keras.Input(form, name=model.inputs[0].name)
            return keras.Model(images, model.call(images, training=False), name=model.name)
    except (*DAMAGE, RuntimeError) as error:
        raise EdgesqzError(f"{path} cannot be rebuilt for images of shape {form}: {first_line(error)}") from error


def _in_float32(config: Any) -> Any:
    """A model's configuration with float32 in place of half floats and of an input of bytes."""
    if isinstance(config, dict):
        return {
            key: "float32" if key == "dtype" and _is_short(value) else _in_float32(value)
            for key, value in config.items()
        }
    if isinstance(config, list | tuple):
        return type(config)(map(_in_float32, config))
    return config


def _is_short(dtype: Any) -> bool:
    """Whether a dtype, or the policy that names one, is float16 or bfloat16, mixed or not, or uint8."""
    return "float16" in str(dtype) or dtype == "uint8"
