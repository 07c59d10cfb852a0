"""tflite-runtime, the former name of LiteRT, which many devices still use. Only the name of the package differs.

It needs NumPy below 2 and Python 3.11 or older, so it runs in a separate environment.
"""

from .litert import SUFFIXES as SUFFIXES
from .litert import load as load

ENGINE = "tflite-runtime"
REQUIREMENTS = ("tflite-runtime==2.14.0", "numpy<2")
PYTHON = "3.11"
TIMED = True
