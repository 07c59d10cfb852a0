"""ONNX Runtime Web in a headless Chromium or Chrome, with WebAssembly kernels."""

from .browser import PACKAGES
from .browser import load as load

ENGINE = "onnxruntime-web"
REQUIREMENTS = ("onnxruntime-web",)
SUFFIXES = (".onnx",)
PYTHON = None
TIMED = True

installed_version = PACKAGES[ENGINE].installed_version
install_command = PACKAGES[ENGINE].install_command
engine_files = PACKAGES[ENGINE].read
