"""A runtime for the tests. It needs only NumPy, and a model file is JSON that describes its behavior.

Its name sorts before those of the real runtimes, so where it is installed, it runs the files of every format.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from typing import Any

import numpy as np

ENGINE = "numpy"
REQUIREMENTS = ("numpy",)
SUFFIXES = (".fake", ".keras", ".onnx", ".tflite")
PYTHON = None
TIMED = True


def load(model_bytes: bytes, threads: int) -> Session:
    """Load a model. Raise ValueError if the bytes are not JSON."""
    return Session(**json.loads(model_bytes))


class Session:
    """Classifies by color. The classes are blue, green and red, or as many of them as the output has.

    Args:
        input: a tensor, as in a manifest.
        output: a tensor, as in a manifest.
        mistakes: the share of images that are classified wrong.
        habit: what else an inference does, such as ``segfault``.
    """

    def __init__(
        self, input: dict[str, Any], output: dict[str, Any], mistakes: float = 0.0, habit: str | None = None
    ) -> None:
        self.inputs, self.outputs = [input], [output]
        self.mistakes, self.habit = mistakes, habit
        self.batch = np.zeros([size or 1 for size in input["shape"]], input["dtype"])

    def set_input(self, batch: np.ndarray) -> None:
        """Set the stored input values that ``run_once`` uses."""
        self.batch = batch

    def run_once(self) -> None:
        """Run one inference on the values that ``set_input`` set."""
        self.run(self.batch)

    def run(self, batch: np.ndarray) -> np.ndarray:
        """Run stored input values and return stored output values."""
        if self.habit == "nan":
            return np.full((len(batch), self.outputs[0]["shape"][-1]), np.nan, np.float32)
        if self.habit:
            misbehave(self.habit)
        return self.probabilities(batch).astype(self.outputs[0]["dtype"])

    def probabilities(self, batch: np.ndarray) -> np.ndarray:
        """The softmax of the mean colors."""
        channels_last = self.inputs[0]["shape"][3] in (1, 3)
        pixels = batch.astype(np.float32)
        colors = pixels.mean(axis=(1, 2) if channels_last else (2, 3))[:, ::-1]
        scores = colors[:, np.arange(self.outputs[0]["shape"][-1]) % colors.shape[1]]
        scores = scores - scores.max(axis=1, keepdims=True)
        powers = np.exp(4 * scores / (scores.std(axis=1, keepdims=True) + 1e-6))
        found: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
        is_wrong = np.abs(pixels).sum(axis=(1, 2, 3)) % 1000 < 1000 * self.mistakes
        found[is_wrong] = np.roll(found[is_wrong], 1, axis=1)
        return found


def misbehave(habit: str) -> None:
    """Misbehave in the requested way."""
    match habit:
        case "segfault":
            ctypes.string_at(0)
        case "hang":
            time.sleep(1000)
        case "garbage":
            os.write(1, b"\0garbage" * 1000)
            os.write(2, b"garbage")
            print("garbage")
            sys.stdout.flush()
        case "memory":
            import resource

            resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
            np.ones(2**32, np.uint8)
        case "quit":
            os._exit(0)
        case "raise":
            raise RuntimeError("an engine's own trouble\nin two lines")
