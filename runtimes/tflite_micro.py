"""TensorFlow Lite for Microcontrollers, which shows how much memory a model needs and whether all operators exist.

It runs the portable kernels on this processor, so its predictions match those of a microcontroller whose library was
built by default, without TFLITE_SINGLE_ROUNDING. Its timing is meaningless.
"""

from __future__ import annotations

import itertools
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

ENGINE = "tflite-micro"
REQUIREMENTS = ("tflite-micro==0.dev20261023182759", "numpy")
SUFFIXES = (".tflite",)
PYTHON = "3.11"
TIMED = False
# Memory to load a model in, more than any microcontroller has. The engine's default, ten times the file size, is too
# small for a small network on large images.
ARENA_BYTES = 64 * 2**20


def load(model_bytes: bytes, threads: int) -> Session:
    """Load a model. Raise RuntimeError with the engine's message, such as the name of a missing operator."""
    from tflite_micro.python.tflite_micro import runtime

    log: list[str] = []
    try:
        interpreter = _listening(log, lambda: runtime.Interpreter.from_bytes(model_bytes, arena_size=ARENA_BYTES))
    except Exception as error:
        reason = next(filter(None, log), str(error))  # the first error, which causes the others
        operator = re.search(r"^Node (\w+) ", "\n".join(log), re.MULTILINE)
        where = f"{operator[1]}: " if operator else ""
        raise RuntimeError(where + re.sub(r"^\S+\.cc(:\d+)?:? ", "", reason)) from error
    _listening(log, interpreter.print_allocations)
    (arena,) = re.findall(r"Arena allocation total (\d+) bytes", "\n".join(log))
    return Session(interpreter, int(arena))


class Session:
    """One interpreter, which takes one image at a time."""

    def __init__(self, interpreter: Any, arena_bytes: int) -> None:
        self.interpreter, self.arena_bytes = interpreter, arena_bytes
        self.inputs = [
            {"name": f"input {number}", **tensor}
            for number, tensor in enumerate(_tensors(interpreter.get_input_details), start=1)
        ]
        self.outputs = list(_tensors(interpreter.get_output_details))

    def set_input(self, *batches: np.ndarray) -> None:
        """Set the stored input values that ``run_once`` uses."""
        for number, batch in enumerate(batches):
            self.interpreter.set_input(batch, number)

    def run_once(self) -> None:
        """Run one inference on the values that ``set_input`` set."""
        self.interpreter.invoke()

    def run_all(self, *batches: np.ndarray) -> list[np.ndarray]:
        """Run stored input values and return the stored values of all outputs."""
        self.set_input(*batches)
        self.run_once()
        return [self.interpreter.get_output(number) for number in range(len(self.outputs))]


def _listening(log: list[str], call: Callable[[], Any]) -> Any:
    """Call a function and log what the engine's C++ code writes to standard error."""
    with tempfile.TemporaryFile("w+", errors="replace") as noise:
        saved = os.dup(2)
        os.dup2(noise.fileno(), 2)
        try:
            return call()
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            noise.seek(0)
            log += noise.read().splitlines()


def _tensors(details: Callable[[int], dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the inputs or the outputs, whose number the engine does not reveal."""
    for number in itertools.count():
        try:
            detail = details(number)
        except IndexError:
            return
        yield _tensor(detail)


def _tensor(detail: dict[str, Any]) -> dict[str, Any]:
    scales = detail["quantization_parameters"]["scales"]
    zero_points = detail["quantization_parameters"]["zero_points"]
    if len(scales) > 1:
        raise ValueError(f"expected inputs and outputs of one scale, this model has {len(scales)}, one per channel")
    return {
        "shape": [int(size) for size in detail["shape"]],
        "dtype": np.dtype(detail["dtype"]).name,
        "scale": float(scales[0]) if len(scales) else None,
        "zero_point": int(zero_points[0]) if len(scales) else None,
    }
