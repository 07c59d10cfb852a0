"""Run one model of any format in one engine, in its own process."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from edgesqz import defaults, plugins
from edgesqz.artifact import Artifact, PixelRange, Pixels, Tensor, is_classification, model_suffix, whole_bytes
from edgesqz.data import Batch, sample_shape
from edgesqz.engine import environments
from edgesqz.engine.host import Host
from edgesqz.errors import EdgesqzError, option, parsed
from edgesqz.image_size import ImageSize
from edgesqz.lookup import find_model_file
from edgesqz.machine import Machine
from edgesqz.workspace import settle

# No request takes longer on a working machine. Larger datasets are sent in parts.
ANSWER_TIMEOUT_S = 600
IMAGES_PER_REQUEST = 1000
REJECTIONS = ("RuntimeError", "ValueError")  # types of the errors that runtimes raise about a model
CLOSE_TIMEOUT_S = 1  # time for an engine to exit by itself


class EngineError(EdgesqzError):
    """An engine cannot run a model, or its process ended."""


class RejectedError(EngineError):
    """An engine raised an error about a model, for example because it lacks an operator."""


class Engine:
    """A loaded model, which turns uint8 images into probabilities and measures its own costs.

    A model that does not take one image turns samples, the values of its inputs, into the values of its outputs.

    The engine's process is started through execnet and ends with ``close()``, or with the program.

    Args:
        model_bytes: Content of the model file.
        runtime: A name in ``edgesqz.plugins.runtimes()``, or ``NAME==VERSION`` for a specific version of its engine.
        threads: Number of threads that the engine uses.
        pinned_to: Number of the CPU core to pin the process to, or None for any core.
        pixels: Conversion of a pixel to the real value that the model's input represents.
        host: Machine to start the process on, or None for this one.

    Attributes:
        takes_images: Whether the model has one input, which takes images.
        inputs: The model's inputs.
        outputs: The model's outputs.
        output_names: The names of the outputs, or empty if the engine does not name them.
        version: Version of the engine.
        machine: The machine that the engine runs on.
        load_ms: Time to import the engine and load the model, in milliseconds.
        arena_bytes: Size of the fixed memory arena that the engine works in, or None if it has none.
        idle_rss_bytes: Resident memory before loading, or None if the system does not report it.
        overhead_us: Median time that ``time_ns`` measures for an empty call, in microseconds.
        batch: Number of inferences that ``time_ns`` times together: 1, or more where the clock is too coarse.

    Raises:
        EngineError: The engine is not installed or rejects the model.
    """

    def __init__(
        self,
        model_bytes: bytes,
        runtime: str,
        *,
        threads: int = 1,
        pinned_to: int | None = None,
        pixels: Pixels | None = None,
        host: Host | None = None,
    ) -> None:
        import execnet

        choice = plugins.Choice.parse(runtime)
        if not model_bytes:
            raise EngineError("the file is empty")
        pixels = pixels or PixelRange()
        self._group = execnet.Group()
        try:
            self._channel = _started(self._group, choice, host)
            source = plugins.runtime_source(choice.name)
            facts = self._request(
                (source, choice.runtime.ENGINE, model_bytes, threads, pinned_to, pixels.scale, pixels.offset)
            )
            self.takes_images: bool = facts["takes_images"]
            self.inputs = tuple(_tensor(each, named=not self.takes_images) for each in facts["inputs"])
            self.outputs = tuple(_tensor(each, named=False) for each in facts["outputs"])
            self.output_names = [each["name"] for each in facts["outputs"] if "name" in each]
            if self.takes_images:
                pixels = pixels.fitted(self.input.channels)
                _refuse_clipping(self.input, pixels)
        except BaseException:
            self.close()
            raise
        self.version: str = facts["version"]
        self.machine = Machine(**facts["machine"])
        self.load_ms: float = facts["load_ms"]
        self.arena_bytes: int | None = facts["arena_bytes"]
        self.idle_rss_bytes: int | None = facts["idle_rss_bytes"]
        self.overhead_us: float = facts["overhead_ns"] / 1000
        self.batch: int = facts["batch"]

    def predict(self, batch: Batch) -> np.ndarray:
        """Classify images, or run samples.

        Args:
            batch: Images, uint8 (N, H, W, channels), of the model's ``image_format``, or samples in any layout.

        Returns:
            float32 (N, classes): probabilities, or other outputs of the model, one output after the other.

        Raises:
            EdgesqzError: The batch has another shape or dtype.
            EngineError: The engine failed.
        """
        parts = []
        for start in range(0, len(batch), IMAGES_PER_REQUEST):
            part = batch[start : start + IMAGES_PER_REQUEST]
            parts.append(_unpacked(*self._request(("predict", self._packed(part)))))
        return np.concatenate(parts)

    def tensors(self, batch: Batch) -> dict[str, np.ndarray]:
        """Run one image, uint8 (1, H, W, channels), or one sample, and return all intermediate tensors.

        Returns:
            The real values of every tensor, float32, by the tensor's name in the engine.

        Raises:
            EngineError: The engine does not expose its tensors.
        """
        found = self._request(("tensors", self._packed(batch)))
        return {name: _unpacked(*each) for name, each in found.items()}

    def first_us(self, batch: Batch) -> float:
        """Set the image, uint8 (1, H, W, channels), or the sample that ``time_ns`` runs.

        Returns:
            The time of the first inference on it, in microseconds.
        """
        return float(self._request(("first", self._packed(batch))))

    def time_ns(self, count: int) -> list[int]:
        """Time ``count`` inferences of one image or sample in the engine's process.

        Returns:
            The nanoseconds of each, or the means of as many batches of ``batch`` as ``count`` fills, at least one.
        """
        return list(self._request(("time", count)))

    def peak_rss_bytes(self) -> int | None:
        """Return the peak resident memory of the engine's process, or None if the system does not report it."""
        answer: int | None = self._request(("peak_rss_bytes", None))
        return answer

    @property
    def image_format(self) -> tuple[ImageSize, int]:
        """Size and number of channels of the model's input images.

        Raises:
            EdgesqzError: The model does not take images of one size.
        """
        if not self.takes_images:
            given = ", ".join(f"{tensor.dtype} {tensor.shape}" for tensor in self.inputs)
            raise EdgesqzError(f"expected a model with one input of images, RGB or gray; its inputs are {given}")
        return self.input.image_format

    @property
    def input(self) -> Tensor:
        """The model's first input, which is the only one of a model that takes images."""
        return self.inputs[0]

    @property
    def output(self) -> Tensor:
        """The model's first output, which is the only one of a classifier."""
        return self.outputs[0]

    @property
    def is_classifier(self) -> bool:
        """Whether the model takes images and has one output with one number per class."""
        return self.takes_images and is_classification(self.outputs)

    @property
    def output_shapes(self) -> tuple[tuple[int | None, ...], ...]:
        """The shape of each output for one image or sample, without the batch."""
        batch = (self.input.shape[0] or 1) if self.takes_images else 1
        shapes = (output.shape for output in self.outputs)
        return tuple(shape[1:] if shape[:1] in ((None,), (batch,)) else shape for shape in shapes)

    def close(self) -> None:
        """End the engine's process."""
        self._group.terminate(timeout=CLOSE_TIMEOUT_S)

    def __enter__(self) -> Self:
        """Return the engine to the ``with`` block that closes it."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End the engine's process."""
        self.close()

    def _packed(self, batch: Batch) -> Any:
        """Check images or samples, and convert them to a form that a channel can carry."""
        if isinstance(batch, np.ndarray):
            self._check(batch)
            return _packed(batch)
        shapes = [sample_shape(tensor) for tensor in self.inputs]
        arrays = batch.in_layout(shapes).arrays
        if self.takes_images or [array.shape[1:] for array in arrays] != shapes:
            given = [array.shape[1:] for array in batch.arrays]
            raise EdgesqzError(f"expected samples with values of the shapes {shapes}, got {given}")
        return [_packed(array) for array in arrays]

    def _check(self, images: np.ndarray) -> None:
        (height, width), channels = self.image_format
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (height, width, channels):
            raise EdgesqzError(
                f"expected images of shape (N, {height}, {width}, {channels}) and dtype uint8, "
                f"got shape {images.shape} and dtype {images.dtype}"
            )

    def _request(self, message: tuple[Any, ...]) -> Any:
        try:
            with _time_limit(self._kill):
                self._channel.send(message)
            return self._channel.receive(timeout=ANSWER_TIMEOUT_S)
        except self._channel.RemoteError as error:
            kind, reason = _raised(str(error))
            raise (RejectedError if kind in REJECTIONS else EngineError)(reason or kind) from error
        except self._channel.TimeoutError as error:
            self.close()  # a busy process would disturb later measurements
            raise EngineError(f"the engine did not answer within {ANSWER_TIMEOUT_S} s") from error
        except (EOFError, OSError) as error:
            raise EngineError("the engine's process ended unexpectedly while running this model") from error

    def _kill(self) -> None:
        for gateway in self._group:
            gateway._io.kill()  # exit() would send a message, and block as well


def _started(group: Any, choice: plugins.Choice, host: Host | None) -> Any:
    """Start the worker in its own process and return the channel to it."""
    import psutil
    from execnet import HostNotFound

    place, others = _place(choice, host), psutil.Process().children()
    try:
        with _time_limit(lambda: _kill_children_except(others)):
            return group.makegateway(place).remote_exec(plugins.worker_source())
    except (HostNotFound, EOFError, OSError) as error:
        raise EngineError(f"its process could not be started{f' on {host.address}' if host else ''}") from error


@contextlib.contextmanager
def _time_limit(kill: Callable[[], None]) -> Iterator[None]:
    """Limit the time of a block that would wait forever for a process that neither reads nor exits."""
    watch = threading.Timer(ANSWER_TIMEOUT_S, kill)
    watch.daemon = True  # Ctrl-C can arrive before the watch is canceled, and Python would wait for it to end
    try:
        watch.start()
        yield
    finally:
        watch.cancel()


def _kill_children_except(others: Sequence[Any]) -> None:
    """Kill the process that is being started, for which execnet has no handle until it answers."""
    import psutil

    for child in psutil.Process().children():
        if child not in others:
            with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
                child.kill()


def _place(choice: plugins.Choice, host: Host | None) -> str:
    """Return execnet's specification of where to start the process: a machine, this environment or another one."""
    if host and choice.version:
        raise EngineError(f"{host.address} runs the version of {choice.name} that is installed there")
    if host:
        return host.gateway
    if choice.lives_apart:
        return f"popen//python={environments.python_with(choice.requirements, choice.runtime.PYTHON)}"
    if plugins.engine_version(choice.runtime) is None:
        way_out = plugins.install_command(choice.runtime)
        raise EngineError(f"the engine {choice.runtime.ENGINE} is not installed; try {way_out}")
    return "popen"


def _refuse_clipping(tensor: Tensor, pixels: Pixels) -> None:
    """Reject an integer input whose range falls short of the values of pixels 0 and 255 by more than one step."""
    if tensor.scale is None or tensor.zero_point is None:
        return
    limits = np.iinfo(tensor.dtype)
    least, most = (tensor.scale * (stored - tensor.zero_point) for stored in (limits.min, limits.max))
    low = float(np.min(pixels.offset))
    high = float(np.max(255 * np.asarray(pixels.scale) + np.asarray(pixels.offset)))
    if low < least - tensor.scale or high > most + tensor.scale:
        raise EngineError(
            f"its input holds values from {least:.4g} to {most:.4g}, but pixels would become {low:.4g} to {high:.4g}; "
            f"try {option('pixel_range')} {least:.4g}..{most:.4g} if all channels of its images are scaled alike"
        )


def _tensor(facts: dict[str, Any], *, named: bool) -> Tensor:
    return Tensor(**facts) if named else Tensor(**{key: value for key, value in facts.items() if key != "name"})


def _packed(images: np.ndarray) -> tuple[tuple[int, ...], bytes]:
    """Convert an array to a form that a channel can carry."""
    return images.shape, images.tobytes()


def _unpacked(shape: tuple[int, ...], content: bytes) -> np.ndarray:
    """Restore a float32 array that was sent over a channel."""
    return np.frombuffer(content, np.float32).reshape(shape)


def _raised(remote_traceback: str) -> tuple[str, str]:
    """Return the type and the first line of an engine's error, without the traceback of its process."""
    _, _, after_last_call = remote_traceback.rpartition("\n  File ")
    lines = [line for line in after_last_call.splitlines()[1:] if line and not line.startswith(" ")]
    kind, _, message = (lines[0] if lines else remote_traceback).partition(": ")
    return kind, message


def load(
    path: Path | str, *, threads: int = 1, pixel_range: str | Pixels | None = None, workspace: Path = defaults.WORKSPACE
) -> Engine:
    """Load any artifact into the engine that runs its format.

    Examples:
        >>> with edgesqz.load("squeezenet.int8.tflite") as model:  # doctest: +SKIP
        ...     probabilities = model.predict(images)

    Args:
        path: A .keras, .tflite or .onnx file, or its name in the workspace or the zoo. See ``edgesqz.lookup``.
        threads: Number of threads that the engine uses.
        pixel_range: The values that a file without a manifest expects for pixels 0 and 255, as ``LOW..HIGH`` or as
            ``edgesqz.artifact.Pixels``. By default 0..255.
        workspace: The folder to look up names in.

    Raises:
        EdgesqzError: The file does not exist, no runtime supports it, a pixel range is given for a file with a
            manifest, or the engine rejects the file.
    """
    settle(workspace)
    found = Artifact.open(find_model_file(path, workspace))
    if pixel_range and found.manifest:
        raise EdgesqzError(
            f"{found.path} has a manifest, which specifies its pixel range; remove {option('pixel_range')}"
        )
    pixels = parsed("pixel_range", PixelRange.parse, pixel_range) if isinstance(pixel_range, str) else pixel_range
    try:
        return open_engine(found, threads=threads, pixels=pixels)
    except EngineError as error:
        raise EngineError(f"{path}: {error}") from error


def open_engine(
    artifact: Artifact,
    *,
    runtime: str | None = None,
    threads: int = 1,
    pinned_to: int | None = None,
    pixels: Pixels | None = None,
    host: Host | None = None,
    size: ImageSize | None = None,
) -> Engine:
    """Load an artifact into an engine, by default that of its format.

    ``pixels`` and ``size``, at which to run a model that takes images of any size, are for files without a manifest.
    """
    runtime = runtime or plugins.runtime_for(model_suffix(artifact.path))
    described = artifact.manifest.pixels if artifact.manifest else pixels
    content = whole_bytes(artifact.path)
    if size and (reader := plugins.reader_for(model_suffix(artifact.path))):
        content = plugins.prepare(reader, artifact.path, size).content
    return Engine(content, runtime, threads=threads, pinned_to=pinned_to, pixels=described, host=host)
