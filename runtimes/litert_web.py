"""TensorFlow Lite in a headless Chromium or Chrome, with WebAssembly kernels.

This is ``@tensorflow/tfjs-tflite``. Its successor, ``@litertjs/core`` 2.5.3, rejects int8 inputs and outputs.
"""

from .browser import PACKAGES
from .browser import load as load

ENGINE = "@tensorflow/tfjs-tflite"
REQUIREMENTS = ("@tensorflow/tfjs-tflite",)
SUFFIXES = (".tflite",)
PYTHON = None
TIMED = True


def installed_version() -> str | None:
    """Return the version of the npm package in the cache, or None if it is missing."""
    return PACKAGES[ENGINE].installed_version


def install_command() -> str:
    """Return the command that downloads the npm package into the cache."""
    return PACKAGES[ENGINE].install_command
