"""TensorFlow's engines and readers in the process of the tests, which imports TensorFlow only once."""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import execnet
import pytest

from edgesqz import backend, plugins
from edgesqz.engine import engine
from edgesqz.engine.host import Host
from edgesqz.reading import Conversion, conversion, foreign
from edgesqz.runtimes import worker

NAMES = ("keras", "tensorflow")  # of runtimes and of readers


@contextlib.contextmanager
def tensorflow() -> Iterator[None]:
    """Run TensorFlow's engines and readers in this process, for tests that are not about processes."""
    start_process, convert_in_process = engine._started, conversion.to_tflite

    def started(group: Any, choice: plugins.Choice, host: Host | None) -> Any:
        return Channel(choice.runtime) if choice.name in NAMES else start_process(group, choice, host)

    def to_tflite(reader: Any, content: bytes, suffix: str) -> Conversion:
        if reader not in [plugins.readers()[name] for name in NAMES]:
            return convert_in_process(reader, content, suffix)
        with backend.hush():
            return Conversion(reader.read(content), {})

    backend.start_keras()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "_started", started)
        patch.setattr(foreign, "to_tflite", to_tflite)
        yield


class Channel:
    """One end of an execnet channel, whose other end is a worker in this process."""

    RemoteError, TimeoutError = execnet.RemoteError, execnet.TimeoutError

    def __init__(self, runtime: plugins.Runtime) -> None:
        self.runtime = runtime
        self.worker: worker.Worker | None = None

    def send(self, message: tuple[Any, ...]) -> None:
        self.message = message

    def receive(self, timeout: float) -> Any:
        try:
            with backend.hush():
                return worker.answer(self.worker, *self.message) if self.worker else self._load(*self.message)
        except Exception:  # noqa: BLE001 (execnet, too, reports every error)
            raise self.RemoteError(traceback.format_exc()) from None

    def _load(self, _: str, name: str, content: bytes, threads: int, __: None, scale: Any, offset: Any) -> Any:
        import tensorflow as tf

        with pytest.MonkeyPatch.context() as patch:
            # Runtimes change these for the rest of their process. Here, they are restored after loading.
            patch.setenv("KERAS_HOME", "")
            for module in ("matplotlib", "pandas"):
                patch.setitem(sys.modules, module, sys.modules.get(module))
            # TensorFlow refuses to change these once it has run.
            for kind in ("intra", "inter"):
                patch.setattr(tf.config.threading, f"set_{kind}_op_parallelism_threads", lambda count: None)
            self.worker = worker.Worker(self.runtime, content, threads, scale, offset)
        return self.worker.facts() | {"version": metadata.version(name), "machine": worker.machine()}
