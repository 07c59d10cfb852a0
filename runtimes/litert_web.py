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

installed_version = PACKAGES[ENGINE].installed_version
install_command = PACKAGES[ENGINE].install_command
