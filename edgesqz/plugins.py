"""Converters and runtimes, looked up by name among what is installed.

Both come in through entry points, the built-in ones like a third party's; the core imports neither folder by name.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any, Protocol

from edgesqz.errors import AS_KERAS, HDF5_SUFFIXES, EdgesqzError

if TYPE_CHECKING:
    import keras
    import numpy as np

CONVERTERS = "edgesqz.converters"
RUNTIMES = "edgesqz.runtimes"


@dataclass(frozen=True)
class Variant:
    """What a converter needs to know and give for one kind of file.

    Attributes:
        bytes_a_parameter: that it stores, about.
        exact: whether it computes what the source model does, up to float32's rounding.
        needs_calibration: whether images choose its quantization ranges.
        takes_bytes: whether its input is int8 and *is* the normalization, by its scale and zero point; the converter
            then gets the network without its normalization.
    """

    bytes_a_parameter: int
    exact: bool = False
    needs_calibration: bool = False
    takes_bytes: bool = False


class Converter(Protocol):
    """A module that makes files of one format; see ``converters/__init__.py``."""

    FORMAT: str
    SUFFIX: str
    VARIANTS: Mapping[str, Variant]
    PACKAGES: Sequence[str]

    def convert(self, model: keras.Model, variant: str, calibration: np.ndarray | None) -> bytes:
        """Convert ``model``; ``calibration`` is float32 (N, H, W, 3), values of the model's input."""
        ...


class Runtime(Protocol):
    """A module that runs model files; see ``runtimes/__init__.py``."""

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
    """A runtime, and the version of its engine if it is not to be the one that is installed."""

    name: str
    version: str | None = None

    @classmethod
    def parse(cls, text: str) -> Choice:
        """Read ``NAME`` or ``NAME==VERSION``, such as ``onnxruntime==1.23.2``.

        Raises:
            EdgesqzError: there is no such runtime, and the message lists the known ones; or no version behind ``==``.
        """
        name, pinned, version = text.partition("==")
        if name not in runtimes():
            raise EdgesqzError(f"unknown runtime {name!r}; the known are {', '.join(runtimes())}")
        if pinned and not version:
            raise EdgesqzError(f"expected a runtime as NAME or NAME==VERSION, got {text!r}")
        return cls(name, version or None)

    def __str__(self) -> str:
        """The text that ``parse`` reads."""
        return f"{self.name}=={self.version}" if self.version else self.name

    @property
    def runtime(self) -> Runtime:
        """The module."""
        return runtimes()[self.name]

    @property
    def lives_apart(self) -> bool:
        """Whether it needs an environment of its own."""
        return self.version is not None or self.runtime.PYTHON is not None

    @property
    def requirements(self) -> list[str]:
        """What that environment has to hold."""
        engine, *others = self.runtime.REQUIREMENTS
        return [f"{self.runtime.ENGINE}=={self.version}" if self.version else engine, *others, "numpy"]


@functools.cache
def converters() -> dict[str, Converter]:
    """All installed converters, by the name of their format."""
    return _modules(CONVERTERS)


def converter(format_name: str) -> Converter:
    """The converter to a format.

    Raises:
        EdgesqzError: there is none; the message lists the known formats.
    """
    known = converters()
    if format_name not in known:
        raise EdgesqzError(f"unknown format {format_name!r}; the known formats are {', '.join(known)}")
    return known[format_name]


@functools.cache
def runtimes() -> dict[str, Runtime]:
    """All installed runtimes, by name; that a runtime is installed does not mean that its engine is."""
    return _modules(RUNTIMES)


def runtime_for(suffix: str) -> str:
    """The name of the runtime that runs files of a suffix such as ``.tflite``.

    Raises:
        EdgesqzError: there is none; the message lists the known suffixes.
    """
    known = {suffix: name for name, runtime in reversed(runtimes().items()) for suffix in runtime.SUFFIXES}
    if suffix in HDF5_SUFFIXES:
        raise EdgesqzError(f"no runtime for {suffix}; {AS_KERAS}")
    if suffix not in known:
        raise EdgesqzError(f"no runtime for {suffix or 'a file without a suffix'}; the known are {', '.join(known)}")
    return known[suffix]


def engine_version(runtime: Runtime) -> str | None:
    """The installed version of a runtime's engine, None if it is missing."""
    try:
        return metadata.version(runtime.ENGINE)
    except metadata.PackageNotFoundError:
        return None


def install_command(runtime: Runtime) -> str:
    """What brings a runtime's engine."""
    return "pip install " + " ".join(f"'{requirement}'" for requirement in runtime.REQUIREMENTS)


def runtime_source(name: str) -> str:
    """The program text that a runtime's ``load`` is in, to be sent to the process that runs it."""
    module = sys.modules[runtimes()[name].load.__module__]
    return inspect.getsource(module)


def worker_source() -> str:
    """The program that runs in an engine's process, as text."""
    return inspect.getsource(_worker())


def machine_facts() -> dict[str, Any]:
    """Describe this machine as the worker does, so that it reads the same here and through ``--host``."""
    return dict(_worker().machine())


def _worker() -> Any:
    return importlib.import_module(f"{RUNTIMES}.worker")


def _modules(group: str) -> dict[str, Any]:
    found = sorted(metadata.entry_points(group=group), key=lambda entry: entry.name)
    return {entry.name: entry.load() for entry in found}
