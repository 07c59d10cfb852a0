"""ONNX Runtime Web in a headless Chromium or Chrome, with WebAssembly kernels."""

from .browser import PACKAGES
from .browser import load as load

ENGINE = "onnxruntime-web"
REQUIREMENTS = ("onnxruntime-web",)
SUFFIXES = (".onnx",)
PYTHON = None
TIMED = True


def installed_version() -> str | None:
    """Return the version of the npm package in the cache, or None if it is missing."""
    return PACKAGES[ENGINE].installed_version


def install_command() -> str:
    """Return the command that downloads the npm package into the cache."""
    return PACKAGES[ENGINE].install_command


def engine_files() -> dict[str, bytes]:
    """Return the files that a page needs, by name."""
    return PACKAGES[ENGINE].read()
