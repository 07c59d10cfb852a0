"""Look up installed converters, readers and runtimes by name.

All of them are registered as entry points, built-in ones as well as those of other packages. The core imports none of
them directly.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from edgesqz.errors import EdgesqzError, first_line, formats, option

if TYPE_CHECKING:
    import keras
    import numpy as np

CONVERTERS = "edgesqz.converters"
READERS = "edgesqz.readers"
RUNTIMES = "edgesqz.runtimes"
MIN_MAX, PERCENTILE, MSE = "min-max", "percentile", "mse"  # calibration methods


@dataclass(frozen=True)
class Variant:
    """The requirements and properties of the files that a converter writes in one variant.

    Attributes:
        bytes_per_parameter: Approximate number of bytes stored per parameter.
        exact: Whether its outputs equal the source model's, up to float32 rounding.
        needs_calibration: Whether calibration images set its quantization ranges.
        takes_bytes: Whether its input is int8 and performs the normalization through its scale and zero point. The
            converter then receives the network without its normalization.
        layer_bits: Number of bits of the weights of inner layers, if layers differ. The converter is then a
            ``LayerwiseConverter``. None if the converter treats all layers alike.
        needs_limit: Whether the bits of each layer are chosen to meet a limit on size or accuracy that the user must
            set.
        methods: The calibration methods that the user can choose from, with the default first.
    """

    bytes_per_parameter: float
    exact: bool = False
    needs_calibration: bool = False
    takes_bytes: bool = False
    layer_bits: int | None = None
    needs_limit: bool = False
    methods: tuple[str, ...] = (MIN_MAX,)


FLOAT_BITS = 32  # number of bits of the weights of a layer that is not quantized


@dataclass(frozen=True, eq=False)
class WeightedLayer:
    """A layer of a converted network that has a kernel.

    Attributes:
        name: Name of the layer in the source model.
        operator: Name of its operator in the format.
        kernel: Its float weights, with batch normalization folded in and the output channels last.
        fewest_bits: The fewest bits that its weights can have.
    """

    name: str
    operator: str
    kernel: np.ndarray
    fewest_bits: int

    @property
    def weights(self) -> int:
        """Number of weights."""
        return self.kernel.size


class Layerwise(Protocol):
    """A converted network whose layers can be quantized to different numbers of bits.

    Attributes:
        layers: The layers that have a kernel, in execution order.
    """

    layers: tuple[WeightedLayer, ...]

    def quantize(self, bits: Mapping[str, int]) -> bytes:
        """Return a file with these numbers of bits for the weights of each layer."""
        ...


class Converter(Protocol):
    """A module that writes files of one format. See ``converters/__init__.py``."""

    FORMAT: str
    SUFFIX: str
    VARIANTS: Mapping[str, Variant]
    PACKAGES: Sequence[str]

    def convert(self, model: keras.Model | bytes, variant: str, calibration: Sequence[np.ndarray] | None) -> bytes:
        """Convert a Keras model or a float .tflite file.

        ``calibration`` has one array per input: float32 (N, *shape of the input), in the range of the input.
        """
        ...


class LayerwiseConverter(Converter, Protocol):
    """A converter that can quantize each layer differently."""

    def layerwise(self, model: keras.Model | bytes, calibration: Sequence[np.ndarray], method: str) -> Layerwise:
        """Convert and calibrate ``model`` once, so that it can then be quantized with any numbers of bits.

        ``method`` is one of the variant's ``methods``.
        """
        ...


class NeedsSizeError(ValueError):
    """A model takes images of any size, so the user must choose one."""


class QuantizedError(EdgesqzError):
    """A model is quantized, so it is an export rather than the source model of one."""

    def __init__(self) -> None:
        super().__init__(
            "it is already quantized; use it as it is, for example with edgesqz bench or edgesqz embed, or export "
            "other variants from its float source model"
        )


@dataclass(frozen=True, eq=False)
class Prepared:
    """A model file from another tool, ready to be converted and to be run as the reference.

    Attributes:
        content: The file, with external data inside and for images of one size.
        parameters: Number of parameters.
        labels: The class names that the file contains, or empty.
    """

    content: bytes
    parameters: int
    labels: tuple[str, ...] = ()


class Reader(Protocol):
    """A module that turns model files from another tool into float .tflite files. See ``readers/__init__.py``."""

    SUFFIXES: Sequence[str]
    REQUIREMENTS: Sequence[str]
    PYTHON: str | None

    def prepare(self, path: Path, size: tuple[int, int] | None) -> Prepared:
        """Load a file, with ``size`` the height and width of its images if it takes any."""
        ...


class Runtime(Protocol):
    """A module that runs model files. See ``runtimes/__init__.py``."""

    ENGINE: str
    REQUIREMENTS: Sequence[str]
    SUFFIXES: Sequence[str]
    PYTHON: str | None
    TIMED: bool

    def load(self, model_bytes: bytes, threads: int) -> Any:
        """Load a model into a session."""
        ...


@dataclass(frozen=True)
class Choice:
    """A runtime and the version of its engine. None means the installed version."""

    name: str
    version: str | None = None

    @classmethod
    def parse(cls, text: str) -> Choice:
        """Parse ``NAME`` or ``NAME==VERSION``, such as ``onnxruntime==1.23.2``.

        Raises:
            EdgesqzError: The runtime is unknown, or the version after ``==`` is missing.
        """
        name, pinned, version = text.partition("==")
        if name not in runtimes():
            raise EdgesqzError(f"unknown runtime {name!r}; choose from {', '.join(runtimes())}")
        if pinned and not version:
            raise EdgesqzError(f"expected a runtime as NAME or NAME==VERSION, got {text!r}")
        if version and hasattr(runtimes()[name], "installed_version"):
            raise EdgesqzError(f"{name} is not a Python package, so only the tested version can run; got {text!r}")
        return cls(name, version or None)

    def __str__(self) -> str:
        """Return the text that ``parse`` accepts."""
        return f"{self.name}=={self.version}" if self.version else self.name

    @property
    def runtime(self) -> Runtime:
        """The runtime's module."""
        return runtimes()[self.name]

    @property
    def lives_apart(self) -> bool:
        """Whether the engine needs a separate environment."""
        return self.version is not None or self.runtime.PYTHON is not None

    @property
    def requirements(self) -> list[str]:
        """The packages that this environment must contain."""
        engine, *others = self.runtime.REQUIREMENTS
        return [f"{self.runtime.ENGINE}=={self.version}" if self.version else engine, *others, "numpy"]


@functools.cache
def converters() -> dict[str, Converter]:
    """Return all installed converters, by the name of their format."""
    return _modules(CONVERTERS)


def converter(format_name: str) -> Converter:
    """Return the converter for a format.

    Raises:
        EdgesqzError: The format is unknown. The message lists the known formats.
    """
    known = converters()
    if format_name not in known:
        raise EdgesqzError(f"unknown format {format_name!r}; choose from {', '.join(known)}")
    return known[format_name]


@functools.cache
def readers() -> dict[str, Reader]:
    """Return all installed readers by name, even if the packages that they need are missing."""
    return _modules(READERS)


def reader_for(suffix: str) -> Reader | None:
    """Return the reader for files with a suffix such as ``.onnx``, or None if there is none."""
    return next((reader for reader in readers().values() if suffix in reader.SUFFIXES), None)


def readable_suffixes() -> list[str]:
    """Return the suffixes of the model files that can be exported."""
    return [suffix for reader in readers().values() for suffix in reader.SUFFIXES]


def prepare(reader: Reader, path: Path, size: tuple[int, int] | None) -> Prepared:
    """Let a reader load a file, with ``size`` the height and width of its images if it takes any.

    Raises:
        QuantizedError: The file is quantized.
        EdgesqzError: The file cannot be read, or takes images of any size and there is no ``size``.
    """
    try:
        return reader.prepare(path, size)
    except NeedsSizeError as error:
        raise EdgesqzError(
            f"{path} takes images of any size; specify one with {option('input_size')}, such as 224 or 160x120"
        ) from error
    except (ValueError, OSError) as error:
        raise EdgesqzError(f"cannot read {path}: {first_line(error)}") from error


def whole(path: Path, suffix: str) -> bytes | None:
    """Return the content of a model file that keeps data in other files, or None for any other file.

    Raises:
        EdgesqzError: A file cannot be read.
    """
    read: Callable[[Path], bytes | None] | None = getattr(reader_for(suffix), "whole", None)
    try:
        return read(path) if read else None
    except (ValueError, OSError) as error:
        raise EdgesqzError(f"cannot read {path}: {first_line(error)}") from error


def reader_program(reader: Reader) -> list[Path]:
    """Return the program that converts files in a separate process, followed by the file of a reader's module."""
    modules = (importlib.import_module(f"{READERS}.worker"), reader)
    return [Path(str(vars(module)["__file__"])) for module in modules]


@functools.cache
def runtimes() -> dict[str, Runtime]:
    """Return all installed runtimes by name, even if their engines are missing."""
    return _modules(RUNTIMES)


def runtime_for(suffix: str) -> str:
    """Return the name of the runtime for files with a suffix such as ``.tflite``.

    Raises:
        EdgesqzError: No runtime supports the suffix. The message lists the known suffixes.
    """
    known = {suffix: name for name, runtime in reversed(runtimes().items()) for suffix in runtime.SUFFIXES}
    if suffix not in known:
        raise EdgesqzError(
            f"no runtime for {suffix or 'a file without a suffix'}; choose a model in one of the formats "
            f"{formats(known)}"
        )
    return known[suffix]


def engine_version(runtime: Runtime) -> str | None:
    """Return the installed version of a runtime's engine, or None if it is missing."""
    own: Callable[[], str | None] | None = getattr(runtime, "installed_version", None)
    if own:
        return own()
    try:
        return metadata.version(runtime.ENGINE)
    except metadata.PackageNotFoundError:
        return None


def install_command(runtime: Runtime) -> str:
    """Return the command that installs a runtime's engine."""
    own: Callable[[], str] | None = getattr(runtime, "install_command", None)
    if own:
        return own()
    return "pip install " + " ".join(f"'{requirement}'" for requirement in runtime.REQUIREMENTS)


def engine_files(name: str) -> dict[str, bytes]:
    """Return the files of an engine for web pages, by name.

    Raises:
        EdgesqzError: The engine is not installed. The message says how to install it.
    """
    files: Callable[[], dict[str, bytes]] = vars(runtimes()[name])["engine_files"]
    try:
        return files()
    except RuntimeError as error:
        raise EdgesqzError(str(error)) from error


def runtime_source(name: str) -> str:
    """Return the source of the module that defines a runtime's ``load``, for sending to the engine's process."""
    module = sys.modules[runtimes()[name].load.__module__]
    return inspect.getsource(module)


def worker_source() -> str:
    """Return the source of the program that runs in an engine's process."""
    return inspect.getsource(_worker())


def machine_facts() -> dict[str, Any]:
    """Describe this machine as the worker does, so that the description is the same here and through ``--host``."""
    return dict(_worker().machine())


def _worker() -> Any:
    return importlib.import_module(f"{RUNTIMES}.worker")


def _modules(group: str) -> dict[str, Any]:
    found = sorted(metadata.entry_points(group=group), key=lambda entry: entry.name)
    return {entry.name: entry.load() for entry in found}
