"""tflite-runtime, which is LiteRT under its former name and still on many devices; only its package name differs.

It needs NumPy below 2 and Python 3.11 or older, so it runs in an environment of its own.
"""

from .litert import SUFFIXES as SUFFIXES
from .litert import load as load

ENGINE = "tflite-runtime"
REQUIREMENTS = ("tflite-runtime==2.14.0", "numpy<2")
PYTHON = "3.11"
TIMED = True
