"""tflite-runtime, LiteRT under its former name; still on many devices. What differs is the name of its package.

It needs NumPy below 2 and ends at Python 3.11, so it lives in an environment of its own.
"""

from .litert import SUFFIXES as SUFFIXES
from .litert import load as load

ENGINE = "tflite-runtime"
REQUIREMENTS = ("tflite-runtime==2.14.0", "numpy<2")
PYTHON = "3.11"
TIMED = True
