"""The contract of a model file: the facts that a device app needs, and the outputs that it must reproduce."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesqz import data
from edgesqz.artifact import ZOO, Artifact, Manifest, shown
from edgesqz.embedding.expected import Outputs, expected_outputs
from edgesqz.embedding.measured import Measured
from edgesqz.errors import AS_KERAS, HDF5_SUFFIXES, EdgesqzError
from edgesqz.exporting.verify import MAX_ERROR_IF_EXACT
from edgesqz.image_size import ImageSize
from edgesqz.inspecting import tflite
from edgesqz.tflite import metadata

TEST_VECTORS, SEED = 8, 7
PIXELS = np.arange(256)
DTYPES = ("int8", "float32")  # of the inputs and outputs that the apps support


@dataclass(frozen=True)
class Contract:
    """The facts about a model file that a device app needs, and the outputs that it must reproduce.

    Attributes:
        file: The name of the file.
        content: The bytes of the file.
        described: The same file. A .tflite file also contains its labels and normalization as TFLite Metadata.
        manifest: The manifest of the file.
        labels: The labels in the order of the output.
        size: The size of the input images.
        channels: 3 for RGB, 1 for grayscale.
        input_values: The stored input value for each pixel 0..255; int8 or float32 (256,).
        operators: The number of occurrences of each operator of a .tflite file.
        macs: The number of multiply-accumulates in convolutions and dense layers for one image.
        images: The synthetic images of the test vectors; uint8 (N, H, W, channels).
        outputs: The expected outputs by the name of the runtime.
        unavailable: Optional runtimes without expected outputs, each with the reason.
        measured: Accuracy and latency, if known.
    """

    file: str
    content: bytes = field(repr=False)
    described: bytes = field(repr=False)
    manifest: Manifest
    labels: tuple[str, ...]
    size: ImageSize
    channels: int
    input_values: NDArray[Any]
    operators: dict[str, int]
    macs: int | None
    images: NDArray[np.uint8]
    outputs: dict[str, Outputs]
    unavailable: dict[str, str]
    measured: Measured

    @classmethod
    def of(
        cls, found: Artifact, manifest: Manifest, measured: Measured, runtimes: Sequence[str], optional: Sequence[str]
    ) -> Contract:
        """Run the test vectors in engines, and combine the results with the manifest.

        Args:
            found: The file.
            manifest: The manifest of the file.
            measured: The accuracy and latency of the file.
            runtimes: The runtimes to run the test vectors in.
            optional: Further runtimes, which do not have to be available.

        Raises:
            EdgesqzError: The file and its manifest contradict each other, or an engine cannot run the file. In the
                latter case, the message names a variant that it can run.
        """
        content, (size, channels) = found.path.read_bytes(), manifest.input.image_format
        drawn = data.draw(TEST_VECTORS, size, seed=SEED).images[:TEST_VECTORS]
        images = data.with_channels(drawn, channels)
        outputs, unavailable = {name: expected_outputs(found, manifest, name, images) for name in runtimes}, {}
        for name in optional:
            try:
                outputs[name] = expected_outputs(found, manifest, name, images)
            except EdgesqzError as error:
                unavailable[name] = str(error)
        labels = _labels(found, manifest, outputs[runtimes[0]].values.shape[1])
        is_tflite = found.path.suffix == ".tflite"
        return cls(
            file=found.path.name,
            content=content,
            described=metadata.with_metadata(content, manifest, labels) if is_tflite else content,
            manifest=manifest,
            labels=labels,
            size=size,
            channels=channels,
            input_values=stored_pixels(manifest),
            operators=tflite.operators(content) if is_tflite else {},
            macs=tflite.macs(content) if is_tflite else None,
            images=images,
            outputs=outputs,
            unavailable=unavailable,
            measured=measured,
        )

    @property
    def quantized(self) -> bool:
        """Whether input and output are int8. Otherwise they are float32."""
        return self.manifest.input.dtype == "int8"

    @property
    def pixel_shift(self) -> int | None:
        """The offset from a pixel to its input value, or None if it is not the same for all pixels."""
        shifts = set((self.input_values - PIXELS).tolist())
        return int(shifts.pop()) if self.quantized and len(shifts) == 1 else None

    @property
    def tolerance(self) -> float:
        """The largest allowed difference of an output: 0 for int8, and more for float, where rounding varies by CPU."""
        return 0 if self.quantized else MAX_ERROR_IF_EXACT


def stored_pixels(manifest: Manifest) -> NDArray[Any]:
    """Return the stored input value for each pixel 0..255, as the bench computes it; int8 or float32 (256,)."""
    values, tensor = manifest.pixels.values(PIXELS), manifest.input
    if tensor.scale is None or tensor.zero_point is None:
        return values
    stored = np.round(values / np.float32(tensor.scale)) + tensor.zero_point
    return np.asarray(np.clip(stored, -128, 127), np.int8)


def manifest_of(found: Artifact, suffix: str) -> Manifest:
    """Return the manifest of a file to embed, whose suffix the target determines.

    Raises:
        EdgesqzError: The file has another suffix, has no manifest, or has an input or output that no target
            supports.
    """
    if found.path.suffix in HDF5_SUFFIXES:
        raise EdgesqzError(f"expected a {suffix} file, got {found.path}; {AS_KERAS}; then export it")
    if found.path.suffix != suffix:
        raise EdgesqzError(f"expected a {suffix} file, got {shown(found.path)}; {_way_to(suffix, found.path)}")
    manifest = found.manifest
    if manifest is None:
        raise EdgesqzError(
            f"{found.path} has no manifest, which would describe its labels and its input; "
            "embed a file that edgesqz export wrote"
        )
    if not manifest.is_classifier:
        raise EdgesqzError(f"{found.path}: expected a classifier, with one output of one number per class")
    dtypes, shape = {manifest.input.dtype, manifest.output.dtype}, manifest.input.shape
    if len(dtypes) > 1 or not dtypes <= set(DTYPES):
        raise EdgesqzError(
            f"{found.path}: expected input and output to be both int8 or both float32, got {manifest.input}"
        )
    if len(shape) != 4 or None in shape[1:] or shape[3] not in (1, 3):
        raise EdgesqzError(f"{found.path}: expected an input of images of one size, channels last, got {shape}")
    return manifest


def _way_to(suffix: str, path: Path) -> str:
    """Say which file in the right format to use, or how to export one."""
    other = path.with_suffix(suffix)
    if other.is_file():
        return f"use {other.name if other.parent == ZOO else other}"
    return f"run edgesqz export {path.name.split('.')[0]} --format {suffix.removeprefix('.')} --quantize"


def _labels(found: Artifact, manifest: Manifest, classes: int) -> tuple[str, ...]:
    if manifest.labels and len(manifest.labels) != classes:
        raise EdgesqzError(
            f"{found.path}: expected {classes} labels, but the manifest has {len(manifest.labels)}; export it again"
        )
    return found.class_names(classes)
