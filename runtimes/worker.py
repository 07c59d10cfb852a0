"""The main loop of the measured process, which runs one model in one engine and is controlled over a channel.

It needs only Python, NumPy and the engine, because its source is sent to the machine or environment of the engine.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import platform
import sys
import time
import types
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

PROC = Path("/proc")  # exists only on Linux
BATCH = 100  # for models that take any batch size
DTYPES = ("float32", "float16", "uint8", "int8")  # of images and probabilities; int16 only if quantized
OTHER_DTYPES = ("float64", "int16", "int32", "int64", "uint16", "uint32", "bool")  # such as token IDs or masks
Batch = np.ndarray | list[np.ndarray]  # uint8 images (N, H, W, C), or samples: float32 (N, *shape) for each input


class Worker:
    """One loaded model with real-valued outputs.

    A model with one input that takes images gets them as uint8, RGB (N, H, W, 3) or grayscale (N, H, W, 1). Any other
    model gets samples, the real values of all of its inputs, and runs once per sample.

    Args:
        runtime: A runtime module.
        model_bytes: Content of the model file.
        threads: Number of threads that the engine uses.
        pixel_scale: Scale that, with ``pixel_offset``, converts a pixel to the real value of the input: a number, or
            one for each channel.
        pixel_offset: See ``pixel_scale``.
    """

    def __init__(
        self,
        runtime: Any,
        model_bytes: bytes,
        threads: int,
        pixel_scale: float | tuple[float, ...],
        pixel_offset: float | tuple[float, ...],
    ) -> None:
        self.idle_rss_bytes = status_bytes("VmRSS")
        self.runtime, self.model_bytes = runtime, model_bytes
        started = time.perf_counter_ns()
        with without_collector():  # which would take a fifth of the time of importing TensorFlow, and free nothing
            self.session = runtime.load(model_bytes, threads)
        self.load_ms = (time.perf_counter_ns() - started) / 1e6
        self.pixel_scale = np.asarray(pixel_scale, np.float32)
        self.pixel_offset = np.asarray(pixel_offset, np.float32)
        self.inputs, self.outputs = self.session.inputs, self.session.outputs
        takes_several = hasattr(self.session, "run_all")
        counts = len(self.inputs), len(self.outputs)
        if 0 in counts or (counts != (1, 1) and not takes_several):
            expected = "inputs and outputs" if takes_several else "one input and one output for this engine"
            raise ValueError(f"expected a model with {expected}, got {counts[0]} and {counts[1]}")
        self.takes_images = len(self.inputs) == 1 and _is_image(self.inputs[0])
        _require_numbers(self.inputs, self.outputs, classifies=self.takes_images and len(self.outputs) == 1)

    def facts(self) -> dict[str, Any]:
        """Describe the model as loaded by the engine."""
        return {
            "takes_images": self.takes_images,
            "inputs": self.inputs,
            "outputs": self.outputs,
            "load_ms": self.load_ms,
            "arena_bytes": getattr(self.session, "arena_bytes", None),
            "idle_rss_bytes": self.idle_rss_bytes,
            "overhead_ns": sorted(durations(int, 999))[499],
            "batch": 1,
            **getattr(self.session, "facts", {}),
        }

    def first(self, batch: Batch) -> float:
        """Set the image or sample to time, and return the time of the first inference in microseconds."""
        self.session.set_input(*self._encoded(batch))
        return durations(self.session.run_once, 1)[0] / 1000

    def time(self, count: int) -> list[int]:
        """Time ``count`` inferences. Return the nanoseconds of each, or the means of batches."""
        own: Callable[[int], list[int]] | None = getattr(self.session, "time", None)
        return own(count) if own else durations(self.session.run_once, count)

    def predict(self, batch: Batch) -> np.ndarray:
        """Run images or samples and return real outputs, float32 (N, values), one output after the other."""
        if isinstance(batch, list):
            samples = range(len(batch[0]))
            return np.concatenate([self._run([values[k : k + 1] for values in batch], 1) for k in samples])
        size = self.inputs[0]["shape"][0] or BATCH
        parts = []
        for start in range(0, len(batch), size):
            part = batch[start : start + size]
            parts.append(self._run(part, self.inputs[0]["shape"][0] or len(part))[: len(part)])
        return np.concatenate(parts)

    def _run(self, batch: Batch, rows: int) -> np.ndarray:
        """Run one batch of images, or one sample, and return its outputs in a number of rows."""
        stored = self._encoded(batch)
        found = self.session.run_all(*stored) if hasattr(self.session, "run_all") else [self.session.run(*stored)]
        return np.concatenate(
            [_decoded(*pair).reshape(rows, -1) for pair in zip(found, self.outputs, strict=True)], axis=1
        )

    def tensors(self, batch: Batch) -> dict[str, np.ndarray]:
        """Run one image or sample and return the real values of every tensor, float32."""
        return self.probe(*self._encoded(batch))

    @functools.cached_property
    def probe(self) -> Callable[..., dict[str, np.ndarray]]:
        """A second instance of the engine that exposes its layers."""
        found: Callable[..., dict[str, np.ndarray]] = self.runtime.probe(self.model_bytes)
        return found

    def _encoded(self, batch: Batch) -> list[np.ndarray]:
        """Convert images or one sample to the stored values of each input."""
        if isinstance(batch, list):
            return [_stored(values[0], tensor) for values, tensor in zip(batch, self.inputs, strict=True)]
        (tensor,) = self.inputs
        missing = max(0, (tensor["shape"][0] or 0) - len(batch))  # a fixed batch size is filled with the last image
        images = np.concatenate([batch, np.repeat(batch[-1:], missing, axis=0)])
        values = images.astype(np.float32) * self.pixel_scale + self.pixel_offset
        channels_first = tensor["shape"][3] not in (1, 3)
        return [_stored(values.transpose(0, 3, 1, 2) if channels_first else values, tensor)]


def _stored(values: np.ndarray, tensor: dict[str, Any]) -> np.ndarray:
    """Convert real values of an input to stored values."""
    dtype = np.dtype(tensor["dtype"])
    if tensor["scale"] is not None:
        values = np.round(values / np.float32(tensor["scale"])) + tensor["zero_point"]
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        values = np.clip(np.round(values), limits.min, limits.max)
    return np.asarray(values, dtype, order="C")


def _decoded(stored: np.ndarray, output: dict[str, Any]) -> np.ndarray:
    """Convert the stored values of an output to real values, float32."""
    values: np.ndarray = stored.astype(np.float32)
    if output["scale"] is None:
        return values
    real: np.ndarray = (values - output["zero_point"]) * np.float32(output["scale"])
    return real


def _is_image(tensor: dict[str, Any]) -> bool:
    """Return whether an input takes images: real numbers, NHWC or NCHW with 3 or 1 channels."""
    shape = tensor["shape"]
    return len(shape) == 4 and (shape[1] in (1, 3) or shape[3] in (1, 3)) and _is_real(tensor)


def _require_numbers(inputs: list[dict[str, Any]], outputs: list[dict[str, Any]], *, classifies: bool) -> None:
    """Reject inputs and outputs that are not numbers, and an output of a classifier that is not a real number."""
    for tensor in [*inputs, *outputs]:
        if tensor["dtype"] not in (*DTYPES, *OTHER_DTYPES):
            raise ValueError(f"expected inputs and outputs of numbers, got {tensor['dtype']} of shape {_shape(tensor)}")
    if classifies and not _is_real(outputs[0]):
        raise ValueError(
            "expected an output of probabilities or other real numbers (float32, float16, uint8 or int8), "
            f"got {outputs[0]['dtype']} of shape {_shape(outputs[0])}"
        )


def _is_real(tensor: dict[str, Any]) -> bool:
    """Return whether the values are real numbers, or integers that represent them."""
    return tensor["dtype"] in DTYPES or (tensor["dtype"] == "int16" and tensor["scale"] is not None)


def _shape(tensor: dict[str, Any]) -> tuple[int | None, ...]:
    return tuple(tensor["shape"])


def durations(run: Callable[[], object], count: int) -> list[int]:
    """Time ``count`` calls without garbage collection. Return the nanoseconds of each."""
    clock, taken = time.perf_counter_ns, [0] * count
    with without_collector():
        for k in range(count):
            start = clock()
            run()
            taken[k] = clock() - start
    return taken


@contextlib.contextmanager
def without_collector() -> Iterator[None]:
    """Pause Python's garbage collector."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def status_bytes(name: str) -> int | None:
    """Return what Linux reports about this process's memory, or None on other systems.

    VmRSS is the current resident memory, and VmHWM its peak. Unlike ``ru_maxrss``, VmHWM does not include the peak of
    the parent process.
    """
    fields = (line.split() for line in read_text(PROC / "self" / "status").splitlines())
    return next((int(field[1]) * 1024 for field in fields if field[:1] == [f"{name}:"]), None)


def machine() -> dict[str, Any]:
    """Describe this machine. The memory is None if Python cannot determine it, as on Windows."""
    return {
        "cpu": processor(),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else None,
        "system": platform.platform(),
        "vnni": has_vnni(PROC / "cpuinfo"),
    }


def processor() -> str:
    """Return the name of the board if Linux knows it, as on ARM, where processors have no name, or of the processor."""
    fields = (line.partition(":") for line in read_text(PROC / "cpuinfo").splitlines())
    names = {name.strip(): value.strip() for name, _, value in fields}
    board = names.get("Model") or read_text(PROC / "device-tree" / "model").rstrip("\0")
    return board or names.get("model name") or platform.processor() or platform.machine()


def read_text(path: Path) -> str:
    """Return the content of a system file, or an empty string if it does not exist."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def has_vnni(cpuinfo: Path) -> bool | None:
    """Return whether an x86 processor multiplies bytes without saturation, or None for others, or without Linux."""
    lines = read_text(cpuinfo).splitlines()
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), None)
    return None if flags is None else not {"avx512_vnni", "avx_vnni"}.isdisjoint(flags)


def serve(channel: Any) -> None:
    """Answer requests until the channel closes. The first message says what to load."""
    source, engine, model_bytes, threads, pinned_to, pixel_scale, pixel_offset = channel.receive()
    if pinned_to is not None:
        os.sched_setaffinity(0, {pinned_to})
    runtime = types.ModuleType("runtime")
    silence()
    exec(compile(source, "runtime", "exec"), runtime.__dict__)
    runtime.__dict__["ENGINE"] = engine  # several runtimes may share a source
    try:
        worker = Worker(runtime, model_bytes, threads, pixel_scale, pixel_offset)
    except UnicodeDecodeError as error:
        raise ValueError(f"the file is damaged: the name {error.object[:40]!r} in it is not UTF-8") from error
    facts = worker.facts()
    version = facts.pop("version", None) or metadata.version(engine)
    channel.send(facts | {"version": version, "machine": machine()})
    for verb, argument in channel:
        channel.send(answer(worker, verb, argument))


def answer(worker: Worker, verb: str, argument: Any) -> Any:
    """Let the worker answer a request. Arrays are sent as their shape and bytes."""
    match verb:
        case "first":
            return worker.first(unpacked(argument))
        case "predict":
            return packed(worker.predict(unpacked(argument)))
        case "tensors":
            return {name: packed(values) for name, values in worker.tensors(unpacked(argument)).items()}
        case "time":
            return worker.time(argument)
        case "peak_rss_bytes":
            own = getattr(worker.session, "peak_rss_bytes", None)
            return own() if own else status_bytes("VmHWM")
    raise ValueError(f"unknown request {verb!r}")


def packed(values: np.ndarray) -> tuple[tuple[int, ...], bytes]:
    """Convert an array to its shape and bytes, which the channel can carry."""
    return values.shape, values.tobytes()


def unpacked(batch: tuple[tuple[int, ...], bytes] | list[tuple[tuple[int, ...], bytes]]) -> Batch:
    """Restore images, or the values of each input, from their shapes and bytes."""
    if isinstance(batch, list):
        return [np.frombuffer(content, np.float32).reshape(shape) for shape, content in batch]
    shape, content = batch
    return np.frombuffer(content, np.uint8).reshape(shape)


def silence() -> None:
    """Discard the engine's output. Its errors are sent over the channel."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    sys.stdout = sys.stderr = os.fdopen(nowhere, "w")


if __name__ == "__channelexec__":
    serve(channel)  # type: ignore[name-defined]  # noqa: F821  (execnet puts it there)
