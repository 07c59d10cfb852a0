"""One model in one engine, alone in a process of its own, whichever format it has."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from edgesqz import defaults, plugins
from edgesqz.artifact import Artifact, PixelRange, Tensor, read_bytes
from edgesqz.engine import environments
from edgesqz.engine.host import Host
from edgesqz.errors import EdgesqzError
from edgesqz.image_size import ImageSize
from edgesqz.lookup import find_model_file
from edgesqz.machine import Machine
from edgesqz.workspace import settle

# No question takes longer on a machine that is alive; a larger dataset is asked about in parts.
ANSWER_TIMEOUT_S = 600
IMAGES_A_QUESTION = 1000
CLOSE_TIMEOUT_S = 1  # for an engine to end by itself


class EngineError(EdgesqzError):
    """An engine cannot run a model, or its process ended."""


class Engine:
    """A loaded model: uint8 images in, probabilities out, and what that costs.

    The engine's process is started through execnet and ends with ``close()``, or with the program.

    Args:
        model_bytes: the model file.
        runtime: a name in ``edgesqz.plugins.runtimes()``, or one with a version of its engine, as ``NAME==VERSION``.
        threads: for the engine to use.
        pinned_to: the number of the processor's core to keep the process on; None for any.
        pixels: how a pixel becomes the real value that the model's input stands for.
        host: where to start the process; None for here.

    Attributes:
        input: the model's input.
        output: the model's output.
        version: of the engine.
        machine: what it runs on.
        load_ms: milliseconds that loading took, the import of the engine included.
        arena_bytes: of the memory of a fixed size that the engine works in; None if it has none.
        idle_rss_bytes: resident memory before that; None where the system does not tell.
        overhead_us: microseconds that ``time_ns`` tells of a call that does nothing, the median.

    Raises:
        EngineError: the engine is not installed or refuses the model.
    """

    def __init__(
        self,
        model_bytes: bytes,
        runtime: str,
        *,
        threads: int = 1,
        pinned_to: int | None = None,
        pixels: PixelRange | None = None,
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
            facts = self._asked(
                (source, choice.runtime.ENGINE, model_bytes, threads, pinned_to, pixels.scale, pixels.offset)
            )
            self.input, self.output = Tensor(**facts["input"]), Tensor(**facts["output"])
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

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Classify images.

        Args:
            images: uint8 (N, H, W, channels), of the model's ``form``.

        Returns:
            float32 (N, classes): probabilities, or whatever else the model gives.

        Raises:
            EdgesqzError: the images have another shape or dtype.
            EngineError: the engine failed.
        """
        self._check(images)
        parts = []
        for start in range(0, len(images), IMAGES_A_QUESTION):
            part = images[start : start + IMAGES_A_QUESTION]
            parts.append(_unpacked(*self._asked(("predict", _packed(part)))))
        return np.concatenate(parts)

    def tensors(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Run an image, uint8 (1, H, W, channels), and see what lies between.

        Returns:
            Every tensor by the engine's name for it: real values, float32.

        Raises:
            EngineError: the engine shows none.
        """
        self._check(image)
        found = self._asked(("tensors", _packed(image)))
        return {name: _unpacked(*each) for name, each in found.items()}

    def first_us(self, image: np.ndarray) -> float:
        """Set the image that ``time_ns`` works on, uint8 (1, H, W, channels).

        Returns:
            Microseconds of the first inference on it.
        """
        self._check(image)
        return float(self._asked(("first", _packed(image))))

    def time_ns(self, count: int) -> list[int]:
        """Nanoseconds of each of ``count`` inferences of one image, by the clock of the engine's process."""
        return list(self._asked(("time", count)))

    def peak_rss_bytes(self) -> int | None:
        """The most memory the engine's process has had resident so far; None where the system does not tell."""
        answer: int | None = self._asked(("peak_rss_bytes", None))
        return answer

    @property
    def form(self) -> tuple[ImageSize, int]:
        """Size, and channels, of the images the model takes.

        Raises:
            EdgesqzError: the model takes no images of one size.
        """
        return self.input.image_form

    def close(self) -> None:
        """End the engine's process."""
        self._group.terminate(timeout=CLOSE_TIMEOUT_S)

    def __enter__(self) -> Self:
        """Give the engine to the ``with`` block that closes it."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End the engine's process."""
        self.close()

    def _check(self, images: np.ndarray) -> None:
        (height, width), channels = self.form
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (height, width, channels):
            raise EdgesqzError(
                f"expected images of shape (N, {height}, {width}, {channels}) and dtype uint8, "
                f"got shape {images.shape} and dtype {images.dtype}"
            )

    def _asked(self, question: tuple[Any, ...]) -> Any:
        try:
            with _given_up(self._kill):
                self._channel.send(question)
            return self._channel.receive(timeout=ANSWER_TIMEOUT_S)
        except self._channel.RemoteError as error:
            raise EngineError(_raised(str(error))) from error
        except self._channel.TimeoutError as error:
            self.close()  # it may be busy, and disturb those that are measured after it
            raise EngineError(f"the engine gave no answer in {ANSWER_TIMEOUT_S} s") from error
        except (EOFError, OSError) as error:
            raise EngineError("the engine's process ended while it worked on this model") from error

    def _kill(self) -> None:
        for gateway in self._group:
            gateway._io.kill()  # its exit() would send, too


def _started(group: Any, choice: plugins.Choice, host: Host | None) -> Any:
    """Start the worker in a process of its own; the channel to it."""
    import psutil
    from execnet import HostNotFound

    place, others = _place(choice, host), psutil.Process().children()
    try:
        with _given_up(lambda: _kill_children_except(others)):
            return group.makegateway(place).remote_exec(plugins.worker_source())
    except (HostNotFound, EOFError, OSError) as error:
        raise EngineError(f"no process for it could be started{f' on {host.address}' if host else ''}") from error


@contextlib.contextmanager
def _given_up(kill: Callable[[], None]) -> Iterator[None]:
    """Bound a block in which a process that neither reads nor ends would be waited for without end."""
    watch = threading.Timer(ANSWER_TIMEOUT_S, kill)
    watch.daemon = True  # Ctrl-C may come before the watch is canceled, and Python would wait for it to end
    try:
        watch.start()
        yield
    finally:
        watch.cancel()


def _kill_children_except(others: Sequence[Any]) -> None:
    """End the process that is being started: execnet gives no handle on it before it answers."""
    import psutil

    for child in psutil.Process().children():
        if child not in others:
            child.kill()


def _place(choice: plugins.Choice, host: Host | None) -> str:
    """Where the process is to run, as execnet takes it: another machine, this environment, or one for the engine."""
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


def _refuse_clipping(tensor: Tensor, pixels: PixelRange) -> None:
    """Refuse an integer input that cannot hold what pixels 0 and 255 become, by more than a step."""
    if tensor.scale is None or tensor.zero_point is None:
        return
    limits = np.iinfo(tensor.dtype)
    least, most = (tensor.scale * (stored - tensor.zero_point) for stored in (limits.min, limits.max))
    low, high = pixels.offset, 255 * pixels.scale + pixels.offset
    if low < least - tensor.scale or high > most + tensor.scale:
        raise EngineError(
            f"its input holds values from {least:.4g} to {most:.4g}, but pixels would become {low:.4g} to {high:.4g}; "
            f"try --pixel-range {least:.4g}..{most:.4g} "
            "if it takes images whose channels are all scaled alike"
        )


def _packed(images: np.ndarray) -> tuple[tuple[int, ...], bytes]:
    """An array as a channel can carry it."""
    return images.shape, images.tobytes()


def _unpacked(shape: tuple[int, ...], content: bytes) -> np.ndarray:
    """float32 values as a channel carried them."""
    return np.frombuffer(content, np.float32).reshape(shape)


def _raised(remote_traceback: str) -> str:
    """What an engine raised, in the first line of it, without the traceback of its process."""
    _, _, behind_last_call = remote_traceback.rpartition("\n  File ")
    lines = [line for line in behind_last_call.splitlines()[1:] if line and not line.startswith(" ")]
    raised = lines[0] if lines else remote_traceback
    kind, _, message = raised.partition(": ")
    return message or kind


def load(
    path: Path | str, *, threads: int = 1, pixel_range: str | None = None, workspace: Path = defaults.WORKSPACE
) -> Engine:
    """Load any artifact into the engine that runs its format.

    Example:
        >>> with edgesqz.load("squeezenet.int8.tflite") as model:  # doctest: +SKIP
        ...     probabilities = model.predict(images)

    Args:
        path: a .keras, .tflite or .onnx file, or the name of one in the workspace or the zoo; see ``edgesqz.lookup``.
        threads: for the engine to use.
        pixel_range: what pixels 0..255 become for a file without a manifest, as ``LOW..HIGH``; None for 0..255.
        workspace: where names are looked up.

    Raises:
        EdgesqzError: no such file, no runtime for it, a pixel range for a file whose manifest has one, or the engine
            refuses it.
    """
    settle(workspace)
    found = Artifact.open(find_model_file(path, workspace))
    if pixel_range and found.manifest:
        raise EdgesqzError(f"{found.path}: its manifest tells what pixels become; leave out --pixel-range")
    pixels = PixelRange.parse(pixel_range) if pixel_range else None
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
    pixels: PixelRange | None = None,
    host: Host | None = None,
) -> Engine:
    """Load an artifact into an engine, None for the one of its format; ``pixels`` is for one that has no manifest."""
    runtime = runtime or plugins.runtime_for(artifact.path.suffix)
    described = artifact.manifest.pixels if artifact.manifest else pixels
    content = read_bytes(artifact.path)
    return Engine(content, runtime, threads=threads, pinned_to=pinned_to, pixels=described, host=host)
