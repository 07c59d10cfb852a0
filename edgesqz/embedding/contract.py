"""What a device program must know of a model file, and what it can be held against there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesqz import data, exporting, inspecting, metadata
from edgesqz.artifact import ZOO, Artifact, Manifest, Tensor, model_files
from edgesqz.engine import Engine, EngineError, open_engine
from edgesqz.errors import EdgesqzError

SUFFIX = ".tflite"
REFERENCE = "litert"  # the engine that the bench runs .tflite files in
PICTURES, SEED = 8, 7
PIXELS = np.arange(256)
ARENA_ALIGNMENT = 16  # bytes; tflite-micro aligns what it puts into its arena to this
DTYPES = ("int8", "float32")  # of an input or output that the programs know


@dataclass(frozen=True)
class Measured:
    """What is known of a file's accuracy and latency; None where nobody measured it.

    Attributes:
        accuracy: top-1, 0..1.
        pictures: what that was measured on, in words.
        machine: the processor that both were measured on.
        engine: likewise, with its version.
        p50_us: the median latency of one picture, in microseconds.
    """

    accuracy: float | None = None
    pictures: str = ""
    machine: str | None = None
    engine: str | None = None
    p50_us: float | None = None

    @classmethod
    def of(cls, found: Artifact) -> Measured:
        """What the manifest tells; only files of the zoo have an accuracy in it."""
        test = found.manifest.test if found.manifest else None
        if test is None:
            return cls()
        seen = test.pictures
        return cls(test.accuracy, f"{seen.count:,} {seen.split} pictures of {seen.dataset}", test.machine)

    @classmethod
    def read(cls, report: Path, found: Artifact) -> Measured:
        """Find a file in what ``edgesqz bench --json`` wrote.

        Raises:
            EdgesqzError: the report cannot be read, or has no figures of this file.
        """
        try:
            told = json.loads(report.read_text(encoding="utf-8"))
            row = next(
                row for row in told["rows"] if row["artifact"] == found.path.name and row["runtime"] == REFERENCE
            )
            same = row["size_bytes"] == found.size_bytes and row["latency_us"]
            pictures = "{images:,} {split} pictures of {name}".format(**told["dataset"])
            machine, engine = told["machine"]["cpu"], f"{row['runtime']} {row['runtime_version']}"
        except OSError as error:
            raise EdgesqzError(f"cannot read {report}: {error.strerror}") from error
        except StopIteration as error:
            raise EdgesqzError(f"{report} has no row of {found.path.name} on {REFERENCE}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise EdgesqzError(f"{report} is no report of edgesqz bench --json") from error
        if not same:
            raise EdgesqzError(f"{report} has no figures of these {found.size_bytes:,} bytes of {found.path.name}")
        return cls(row["accuracy"], pictures, machine, engine, row["latency_us"]["p50"])


@dataclass(frozen=True)
class Golden:
    """Pictures drawn by code, and what the engine answered to them.

    Attributes:
        pictures: uint8 (N, side, side, channels).
        outputs: (N, classes), the values that the output stores.
        same_best: of how many the engine of the bench has the same best label.
        largest_difference: of any probability to that engine's.
    """

    pictures: NDArray[np.uint8]
    outputs: NDArray[Any]
    same_best: int
    largest_difference: float


@dataclass(frozen=True)
class Contract:
    """What a device program must know of a model file, and what it can be held against there.

    Attributes:
        file: its name.
        content: its bytes.
        described: the same file with its labels and pixels in it, as TFLite Metadata.
        labels: in the order of the output.
        side: height and width of its pictures, in pixels.
        channels: 3 for RGB, 1 for grey.
        input_values: what the input stores for each pixel 0..255.
        operators: how often each occurs.
        engine: what answered the golden pictures, with its version.
        machine: the processor that did.
        arena_bytes: that the engine needs; None if it has no memory of a fixed size.
        golden: pictures and answers.
        measured: accuracy and latency, as far as they are known.
    """

    file: str
    content: bytes
    described: bytes
    manifest: Manifest
    labels: tuple[str, ...]
    side: int
    channels: int
    input_values: NDArray[Any]
    operators: dict[str, int]
    engine: str
    machine: str
    arena_bytes: int | None
    golden: Golden
    measured: Measured

    @classmethod
    def of(cls, found: Artifact, manifest: Manifest, runtime: str, measured: Measured) -> Contract:
        """Run the golden pictures in an engine and take down what it and the manifest say.

        Raises:
            EdgesqzError: the two contradict each other, or the engine cannot run the file; the message then says
                which variant it can run.
        """
        content = found.path.read_bytes()
        with _engine(found, manifest, runtime) as engine:
            if (engine.input, engine.output) != (manifest.input, manifest.output):
                raise EdgesqzError(
                    f"{found.path}: its manifest describes an input of {manifest.input} and an output of "
                    f"{manifest.output}, the file has {engine.input} and {engine.output}; export it anew"
                )
            side, channels = engine.form
            golden = _golden(found, engine, runtime)
            labels, arena = found.class_names(golden.outputs.shape[1]), engine.arena_bytes
            return cls(
                file=found.path.name,
                content=content,
                described=metadata.with_metadata(content, manifest, labels),
                manifest=manifest,
                labels=labels,
                side=side,
                channels=channels,
                input_values=stored_pixels(manifest),
                operators=inspecting.operators(content),
                engine=f"{runtime} {engine.version}",
                machine=engine.machine["cpu"],
                arena_bytes=None if arena is None else -(-arena // ARENA_ALIGNMENT) * ARENA_ALIGNMENT,
                golden=golden,
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
        """By how much a golden output may differ: not at all, but float kernels round as their processor does."""
        return 0 if self.quantized else exporting.MAX_ERROR_IF_EXACT


def stored_pixels(manifest: Manifest) -> NDArray[Any]:
    """What a model's input stores for each pixel 0..255, by the arithmetic of the bench.

    Returns:
        int8 or float32 (256,).
    """
    pixels, tensor = manifest.pixels, manifest.input
    values = PIXELS.astype(np.float32) * np.float32(pixels.scale) + np.float32(pixels.offset)
    if tensor.scale is None or tensor.zero_point is None:
        return values
    stored = np.round(values / np.float32(tensor.scale)) + tensor.zero_point
    bytes_: NDArray[np.int8] = np.clip(stored, -128, 127).astype(np.int8)
    return bytes_


def manifest_of(found: Artifact) -> Manifest:
    """What describes a file that can be embedded.

    Raises:
        EdgesqzError: the file is no .tflite, has no manifest, or takes or gives what no target has arithmetic for.
    """
    if found.path.suffix != SUFFIX:
        name = found.path.name.split(".")[0]
        raise EdgesqzError(
            f"expected a {SUFFIX} file, got {found.path}; edgesqz export {name} --format tflite --quantize makes one"
        )
    if found.manifest is None:
        raise EdgesqzError(
            f"{found.path} has no manifest beside it that tells its labels and what a pixel becomes; "
            "embed a file that edgesqz export wrote"
        )
    for tensor in (found.manifest.input, found.manifest.output):
        if tensor.dtype not in DTYPES or (tensor.dtype == "int8") != (found.manifest.input.dtype == "int8"):
            raise EdgesqzError(
                f"{found.path}: expected an input and output both of {' or '.join(DTYPES)}, got {tensor}"
            )
    return found.manifest


def _engine(found: Artifact, manifest: Manifest, runtime: str) -> Engine:
    try:
        return open_engine(found, runtime=runtime)
    except EngineError as error:
        works = [path.name for path in _other_variants(found, manifest) if _runs(path, runtime)]
        way_out = f"{', '.join(works)} works" if works else f"no other variant of {manifest.name} at hand works either"
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


def _golden(found: Artifact, engine: Engine, runtime: str) -> Golden:
    side, channels = engine.form
    pictures = data.with_channels(data.draw(PICTURES, side, seed=SEED).pictures[:PICTURES], channels)
    answers = expected = engine.predict(pictures)
    if runtime != REFERENCE:
        with open_engine(found, runtime=REFERENCE) as reference:
            expected = reference.predict(pictures)
    return Golden(
        pictures,
        _stored(answers, engine.output),
        int(np.sum(answers.argmax(1) == expected.argmax(1))),
        float(np.abs(answers - expected).max()),
    )


def _stored(answers: NDArray[np.float32], tensor: Tensor) -> NDArray[Any]:
    """Real outputs as the file stores them; a scale divides out exactly, for they are multiples of it."""
    if tensor.scale is None or tensor.zero_point is None:
        return answers
    return (np.round(answers / np.float32(tensor.scale)) + tensor.zero_point).astype(tensor.dtype)
