"""The source model of an export: a Keras model, or a model from another tool that a reader converts."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from edgesqz import artifact, lookup, plugins
from edgesqz.artifact import KERAS_SUFFIX, Artifact, ChannelRanges, Manifest, PixelRange, Pixels, Tensor, model_suffix
from edgesqz.data import Batch
from edgesqz.errors import EdgesqzError, option, wrong_format
from edgesqz.exporting.plan import Export
from edgesqz.image_size import ImageSize
from edgesqz.models import loading
from edgesqz.models.keras_config import OtherModelError
from edgesqz.reading import open_foreign
from edgesqz.workspace import Workspace

if TYPE_CHECKING:
    import keras


class Source(Protocol):
    """What an export needs from its source model. See ``models.loading.SourceModel`` and ``reading.ForeignModel``."""

    @property
    def name(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def path(self) -> Path | None: ...
    @property
    def pixels(self) -> Pixels: ...
    @property
    def manifest(self) -> Manifest | None: ...
    @property
    def sha256(self) -> str | None: ...
    @property
    def untrained(self) -> bool: ...
    @property
    def parameters(self) -> int: ...
    @property
    def classes(self) -> int: ...
    @property
    def takes_images(self) -> bool: ...
    @property
    def inputs(self) -> tuple[Tensor, ...]: ...
    @property
    def is_classifier(self) -> bool: ...
    @property
    def output_shapes(self) -> tuple[tuple[int | None, ...], ...]: ...
    @property
    def image_format(self) -> tuple[ImageSize, int]: ...
    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def versions(self) -> dict[str, str]: ...

    def predict(self, images: Batch, pixels: Pixels | None = None) -> np.ndarray:
        """Run the model on uint8 images (N, H, W, channels), or on samples."""
        ...

    def in_layout_of_exports(self, batch: Batch) -> Batch:
        """Return samples in the layout of the exports, and images as they are."""
        ...

    def network(self, *, takes_bytes: bool) -> tuple[keras.Model | bytes, PixelRange]:
        """Return the network to convert, and the conversion of pixels to values of its input."""
        ...


@dataclass(frozen=True)
class SourceFile:
    """The file of a source model, before Keras or another engine opens it.

    Attributes:
        name: Prefix of the file names of its exports.
        source: Origin of the model, for messages.
        path: The file, or None for random weights.
        manifest: The manifest of the file, or None for a file from another tool and for random weights.
    """

    name: str
    source: str
    path: Path | None = None
    manifest: Manifest | None = None

    @functools.cached_property
    def sha256(self) -> str | None:
        """SHA-256 of the file, or None for random weights."""
        return artifact.sha256(artifact.whole_bytes(self.path)) if self.path else None


def find_file(plan: Export, workspace: Workspace) -> SourceFile:
    """Find the file of the source model of an export.

    Raises:
        EdgesqzError: There is no such file, its format is not supported, or its manifest does not match.
    """
    if path := _foreign_path(plan.model, workspace):
        manifest = Artifact.open(path).manifest
        return SourceFile(manifest.name if manifest else path.stem, str(path), path, manifest)
    if plan.untrained:
        return SourceFile(str(plan.model), f"{plan.model}, untrained")
    path = loading.find_file(plan.model, workspace)
    return SourceFile(path.stem, loading.origin(path), path, Artifact.open(path).manifest)


def find_source(plan: Export, workspace: Workspace, pixels: Pixels | None) -> Source:
    """Find and open the source model of an export.

    Raises:
        EdgesqzError: There is no such model, or it cannot be read.
    """
    size = None if plan.input_size is None else ImageSize.parse(plan.input_size)
    if path := _foreign_path(plan.model, workspace):
        return open_foreign(path, pixels, size)
    whole = pixels.fitted(len(pixels.channels)) if isinstance(pixels, ChannelRanges) else pixels
    if isinstance(whole, ChannelRanges):
        raise EdgesqzError(
            f"a Keras model must standardize its channels itself; add a keras.layers.Normalization to it, and remove "
            f"{option('mean')} and {option('std')}"
        )
    if plan.untrained:
        return loading.untrained(str(plan.model), input_size=plan.input_size, pixels=whole)
    try:
        found = loading.find(plan.model, workspace, whole, plan.input_size)
    except OtherModelError as error:
        return open_foreign(error.path, pixels, size)
    if pixels:
        pixels.fitted(found.image_format[1])  # checks the number of values
    return found


def _foreign_path(model: str | Path | None, workspace: Workspace) -> Path | None:
    """Return the file or folder of a model in a format other than .keras, or None.

    Raises:
        EdgesqzError: The model is a file or folder that no reader can read.
    """
    if not model:
        return None
    path = Path(model)
    if model_suffix(path) == KERAS_SUFFIX:
        return None
    if plugins.reader_for(model_suffix(path)):
        return path if path.exists() else lookup.find_model_file(model, workspace.folder)
    if path.is_file() or (path.is_dir() and not lookup.is_name(model, workspace.folder)):
        raise wrong_format(path, plugins.readable_suffixes())
    return None
