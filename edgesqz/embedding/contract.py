"""What a device program must know of a model file, and what it can be held against there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesqz import data
from edgesqz.artifact import ZOO, Artifact, Manifest, Tensor
from edgesqz.benchmarking.saved import SavedReport
from edgesqz.engine import Engine, EngineError, open_engine
from edgesqz.errors import AS_KERAS, HDF5_SUFFIXES, EdgesqzError
from edgesqz.exporting.verify import MAX_ERROR_IF_EXACT
from edgesqz.image_size import ImageSize
from edgesqz.inspecting import tflite
from edgesqz.lookup import model_files
from edgesqz.outputs import class_scores
from edgesqz.tflite import metadata

SUFFIX = ".tflite"
REFERENCE = "litert"  # the engine that the bench runs .tflite files in
TEST_VECTORS, SEED = 8, 7
PIXELS = np.arange(256)
ARENA_ALIGNMENT = 16  # bytes; tflite-micro aligns what it puts into its arena to this
DTYPES = ("int8", "float32")  # of an input or output that the programs know


@dataclass(frozen=True)
class Measured:
    """What is known of a file's accuracy and latency; None where nobody measured it.

    Attributes:
        accuracy: top-1, 0..1.
        images: what that was measured on, in words.
        machine: the processor that both were measured on.
        engine: likewise, with its version.
        p50_us: the median latency of one image, in microseconds.
    """

    accuracy: float | None = None
    images: str = ""
    machine: str | None = None
    engine: str | None = None
    p50_us: float | None = None

    @classmethod
    def of(cls, manifest: Manifest) -> Measured:
        """What a manifest tells; only those of the zoo have an accuracy."""
        test = manifest.test
        if test is None:
            return cls()
        seen = test.images
        return cls(test.accuracy, f"{seen.count:,} {seen.split} images of {seen.dataset}", test.machine)

    @classmethod
    def read(cls, report: Path, found: Artifact) -> Measured:
        """Find the figures of a file's content in what ``edgesqz bench --json`` wrote.

        Raises:
            EdgesqzError: the report cannot be read, or has no figures of this content on the bench's engine.
        """
        saved = SavedReport.read(report)
        row, seen = saved.row_of(found.path, REFERENCE), saved.dataset
        measured_on = f"{seen.images:,} {seen.split} images of {seen.name}" if seen else ""
        return cls(
            row.accuracy if seen else None,
            measured_on,
            saved.machine.cpu,
            f"{row.runtime} {row.runtime_version}",
            row.latency_us.p50 if row.latency_us else None,
        )


@dataclass(frozen=True)
class Answers:
    """What an engine answered to the test vectors.

    Attributes:
        engine: its name and version.
        machine: the processor it ran on.
        arena_bytes: that it needs, rounded up to its alignment; None if it has no memory of a fixed size.
        probabilities: float32 (N, classes).
        outputs: (N, classes), the same as the file stores them.
    """

    engine: str
    machine: str
    arena_bytes: int | None
    probabilities: NDArray[np.float32]
    outputs: NDArray[Any]

    def same_best(self, other: Answers) -> int:
        """On how many images both have the same best label."""
        own, theirs = (class_scores(each.probabilities, like=self.probabilities) for each in (self, other))
        return int(np.sum(own.argmax(1) == theirs.argmax(1)))

    def largest_difference(self, other: Answers) -> float:
        """Of any probability."""
        return float(np.abs(self.probabilities - other.probabilities).max())


@dataclass(frozen=True)
class Contract:
    """What a device program must know of a model file, and what it can be held against there.

    Attributes:
        file: its name.
        content: its bytes.
        described: the same file with its labels and pixels in it, as TFLite Metadata.
        labels: in the order of the output.
        size: of its images.
        channels: 3 for RGB, 1 for gray.
        input_values: what the input stores for each pixel 0..255; int8 or float32 (256,).
        operators: how often each occurs.
        images: the expected ones, drawn by code; uint8 (N, H, W, channels).
        answers: to these, by the name of the runtime.
        not_asked: runtimes that the target may run on but that gave no answers, with the reason.
        measured: accuracy and latency, as far as they are known.
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
    images: NDArray[np.uint8]
    answers: dict[str, Answers]
    not_asked: dict[str, str]
    measured: Measured

    @classmethod
    def of(
        cls, found: Artifact, manifest: Manifest, measured: Measured, runtimes: Sequence[str], optional: Sequence[str]
    ) -> Contract:
        """Run the test vectors in engines and take down what they and the manifest say.

        Args:
            found: the file.
            manifest: what describes it.
            measured: what is known of it.
            runtimes: that have to answer.
            optional: runtimes that may be missing here.

        Raises:
            EdgesqzError: file and manifest contradict each other, or an engine cannot run the file; the message then
                says which variant it can run.
        """
        content, (size, channels) = found.path.read_bytes(), manifest.input.image_form
        drawn = data.draw(TEST_VECTORS, size, seed=SEED).images[:TEST_VECTORS]
        images = data.with_channels(drawn, channels)
        answers = {runtime: _answers(found, manifest, runtime, images) for runtime in runtimes}
        not_asked = {}
        for runtime in optional:
            try:
                answers[runtime] = _answers(found, manifest, runtime, images)
            except EdgesqzError as error:
                not_asked[runtime] = str(error)
        classes = answers[runtimes[0]].outputs.shape[1]
        if manifest.labels and len(manifest.labels) != classes:
            raise EdgesqzError(
                f"{found.path}: expected {classes} labels, the manifest has {len(manifest.labels)}; export it anew"
            )
        labels = found.class_names(classes)
        return cls(
            file=found.path.name,
            content=content,
            described=metadata.with_metadata(content, manifest, labels),
            manifest=manifest,
            labels=labels,
            size=size,
            channels=channels,
            input_values=stored_pixels(manifest),
            operators=tflite.operators(content),
            images=images,
            answers=answers,
            not_asked=not_asked,
            measured=measured,
        )

    @property
    def quantized(self) -> bool:
        """Whether input and output are int8; float32 if not."""
        return self.manifest.input.dtype == "int8"

    @property
    def pixel_shift(self) -> int | None:
        """The number that makes a pixel its input value, if it is the same for all pixels."""
        shifts = set((self.input_values - PIXELS).tolist())
        return int(shifts.pop()) if self.quantized and len(shifts) == 1 else None

    @property
    def tolerance(self) -> float:
        """By how much an expected output may differ: not at all, but float kernels round as their processor does."""
        return 0 if self.quantized else MAX_ERROR_IF_EXACT


def stored_pixels(manifest: Manifest) -> NDArray[Any]:
    """What a model's input stores for each pixel 0..255, by the arithmetic of the bench.

    Returns:
        int8 or float32 (256,).
    """
    values, tensor = manifest.pixels.values(PIXELS), manifest.input
    if tensor.scale is None or tensor.zero_point is None:
        return values
    stored = np.round(values / np.float32(tensor.scale)) + tensor.zero_point
    return np.asarray(np.clip(stored, -128, 127), np.int8)


def manifest_of(found: Artifact) -> Manifest:
    """What describes a file that can be embedded.

    Raises:
        EdgesqzError: the file is no .tflite, has no manifest, or takes or gives what no target has arithmetic for.
    """
    if found.path.suffix in HDF5_SUFFIXES:
        raise EdgesqzError(f"expected a {SUFFIX} file, got {found.path}; {AS_KERAS}; then export it")
    if found.path.suffix != SUFFIX:
        name = found.path.name.split(".")[0]
        raise EdgesqzError(
            f"expected a {SUFFIX} file, got {found.path}; edgesqz export {name} --format tflite --quantize makes one"
        )
    manifest = found.manifest
    if manifest is None:
        raise EdgesqzError(
            f"{found.path} has no manifest beside it that tells its labels and what a pixel becomes; "
            "embed a file that edgesqz export wrote"
        )
    dtypes, shape = {manifest.input.dtype, manifest.output.dtype}, manifest.input.shape
    if len(dtypes) > 1 or not dtypes <= set(DTYPES):
        raise EdgesqzError(
            f"{found.path}: expected an input and output both int8 or both float32, got {manifest.input}"
        )
    if len(shape) != 4 or None in shape[1:] or shape[3] not in (1, 3):
        raise EdgesqzError(f"{found.path}: expected an input of images of one size, channels last, got {shape}")
    return manifest


def _answers(found: Artifact, manifest: Manifest, runtime: str, images: NDArray[np.uint8]) -> Answers:
    with _engine(found, manifest, runtime) as engine:
        if (engine.input, engine.output) != (manifest.input, manifest.output):
            raise EdgesqzError(
                f"{found.path}: its manifest describes ({manifest.input}) and ({manifest.output}), "
                f"the file has ({engine.input}) and ({engine.output}); export it anew"
            )
        arena, probabilities = engine.arena_bytes, engine.predict(images)
        return Answers(
            f"{runtime} {engine.version}",
            engine.machine.cpu,
            None if arena is None else -(-arena // ARENA_ALIGNMENT) * ARENA_ALIGNMENT,
            probabilities,
            _stored(probabilities, manifest.output),
        )


def _engine(found: Artifact, manifest: Manifest, runtime: str) -> Engine:
    try:
        return open_engine(found, runtime=runtime)
    except EngineError as error:
        works = [path.name for path in _other_variants(found, manifest) if _runs(path, runtime)]
        way_out = (
            f"it runs {', '.join(works)}" if works else f"nor does it run another variant of {manifest.name} at hand"
        )
        raise EngineError(f"{found.path.name}: {runtime} cannot run it: {error}; {way_out}") from error


def _other_variants(found: Artifact, manifest: Manifest) -> list[Path]:
    """Of the same network, beside the file or in the zoo, each name once."""
    beside = {path.name: path for folder in (ZOO, found.path.parent) for path in model_files(folder)}
    ours = f"{manifest.name}."
    return [
        path
        for name, path in beside.items()
        if name.startswith(ours) and name.endswith(SUFFIX) and name != found.path.name
    ]


def _runs(path: Path, runtime: str) -> bool:
    try:
        open_engine(Artifact.open(path), runtime=runtime).close()
    except EngineError:
        return False
    return True


def _stored(probabilities: NDArray[np.float32], tensor: Tensor) -> NDArray[Any]:
    """Real outputs as the file stores them; a scale divides out exactly, for they are multiples of it."""
    if tensor.scale is None or tensor.zero_point is None:
        return probabilities
    return np.asarray(np.round(probabilities / np.float32(tensor.scale)) + tensor.zero_point, tensor.dtype)
