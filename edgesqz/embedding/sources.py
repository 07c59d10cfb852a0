"""The files of each target, rendered from a contract with the templates beside this module."""

from __future__ import annotations

import base64
import json
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgesqz import plugins
from edgesqz.artifact import package_versions
from edgesqz.embedding.contract import Contract
from edgesqz.embedding.expected import ARENA_ALIGNMENT

if TYPE_CHECKING:
    import jinja2

TEMPLATES = Path(__file__).parent / "templates"
CONTRACT_FILE = "CONTRACT.md"
SKETCH = "sketch.ino"  # renamed, because Arduino requires the name of the folder
CAMERA_SIZE = 640  # largest width and height of the camera images that a microcontroller scales
COLUMNS = 100  # of numbers and base64 text


@dataclass(frozen=True)
class Target:
    """A type of device app.

    Attributes:
        runtimes: The runtimes that run the test vectors: the bench's, then the target's own if it is a different one.
        files: The templates of its files, without the suffix ``.jinja``.
        verification: The command that runs the self-test, in the folder.
        optional: Further runtimes that the app supports.
        suffix: The suffix of the model files.
        engine: The runtime whose files the folder contains, or None for an engine that is installed on the device.
    """

    runtimes: tuple[str, ...]
    files: tuple[str, ...]
    verification: str
    optional: tuple[str, ...] = ()
    suffix: str = ".tflite"
    engine: str | None = None


ARRAYS = ("model.h", "model.c", "test_vectors.h", "test_vectors.c")

MICRO_FILES = ("classifier.h", "classifier.cpp", "image.h", "image.c", "edgesqz_app.cpp", SKETCH, "Makefile")

WEB_FILES = ("index.html", "style.css", "app.js", "image.js", "test_vectors.js", CONTRACT_FILE)

TARGETS = {
    "c": Target(
        ("litert",),
        (*ARRAYS, "c/image.h", "c/image.c", "c/edgesqz_app.c", "c/Makefile"),
        "make test LITERT_LIBRARY=/path/to/libLiteRt.so",
    ),
    "micro": Target(
        ("litert", "tflite-micro"),
        (*ARRAYS, *(f"micro/{name}" for name in MICRO_FILES)),
        "make test TFLM=/path/to/tflite-micro",
    ),
    "python": Target(
        ("litert",), ("python/edgesqz_app.py",), "python edgesqz_app.py --self-test", optional=("tflite-runtime",)
    ),
    "web": Target(
        ("onnxruntime",),
        tuple(f"web/{name}" for name in WEB_FILES),
        "python -m http.server --bind 127.0.0.1, then open http://127.0.0.1:8000/?self-test",
        optional=("onnxruntime-web",),
        suffix=".onnx",
        engine="onnxruntime-web",
    ),
}


def sources(target: str, contract: Contract, folder_name: str) -> dict[str, bytes]:
    """Render the files of a folder. Return their contents by name.

    Args:
        target: A name in ``TARGETS``.
        contract: The contract of the model file.
        folder_name: The name of the folder, which an Arduino sketch must have.

    Raises:
        EdgesqzError: The folder needs the files of an engine that is not installed.
    """
    kind = TARGETS[target]
    engine = plugins.engine_files(kind.engine) if kind.engine else {}
    names = {f"{folder_name}.ino" if Path(name).name == SKETCH else Path(name).name: name for name in kind.files}
    names.setdefault(CONTRACT_FILE, CONTRACT_FILE)  # unless the target has another template for it
    environment, facts = _environment(), _facts(target, contract, folder_name)
    texts = {name: environment.get_template(f"{source}.jinja").render(facts) for name, source in names.items()}
    return {name: text.encode() for name, text in texts.items()} | {contract.file: contract.described} | engine


def _environment() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # for C, Python and Markdown, where filters escape labels and names
    )
    environment.filters |= {
        "c_string": c_string,
        "c_array": c_array,
        "c_float": c_float,
        "python": repr,
        "base64": _base64,
        "javascript": _javascript,
        "operator": micro_operator,
        "markdown": _markdown,
        "code": _code,
    }
    return environment


def _facts(target: str, contract: Contract, folder_name: str) -> dict[str, Any]:
    """Return the variables of the templates."""
    kind = TARGETS[target]
    return {
        "contract": contract,
        "manifest": contract.manifest,
        "bench": contract.outputs[kind.runtimes[0]],
        "expected": contract.outputs.get(kind.engine or "", contract.outputs[kind.runtimes[-1]]),
        "target": target,
        # The outputs on a microcontroller match LiteRT or default tflite-micro, depending on how its library was built.
        "two_roundings": target == "micro" and contract.quantized,
        "verification": kind.verification,
        "alignment": ARENA_ALIGNMENT,
        "camera_size": CAMERA_SIZE,
        "version": package_versions()["edgesqz"],
        "folder": folder_name,
    }


def c_string(text: str) -> str:
    r"""Return a C string literal in ASCII, with octal escapes of fixed length for other UTF-8 bytes."""
    plain = set(range(0x20, 0x7F)) - set(b'"\\?')
    return '"' + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in text.encode()) + '"'


def c_array(values: bytes | NDArray[Any]) -> str:
    """Return the numbers between the braces of a C array."""
    is_float = isinstance(values, np.ndarray) and values.dtype.kind == "f"
    numbers: Any = values if isinstance(values, bytes) else values.ravel()
    text = ", ".join(c_float(number) if is_float else str(number) for number in numbers)
    return textwrap.fill(text, COLUMNS, initial_indent="    ", subsequent_indent="    ")


def c_float(value: float) -> str:
    """Return a C float literal with the fewest digits that identify it."""
    return f"{np.float32(value)!s}f"


def micro_operator(name: str) -> str:
    """Return the method of MicroMutableOpResolver that adds an operator: ``AddConv2D`` for CONV_2D."""
    irregular = {
        "BATCH_MATMUL": "BatchMatMul",
        "CUMSUM": "CumSum",
        "PADV2": "PadV2",
        "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
    }
    parts = (part if part[0].isdigit() else part.capitalize() for part in name.split("_"))
    return "Add" + irregular.get(name, "".join(parts))


def _base64(content: bytes | NDArray[Any]) -> str:
    raw = content if isinstance(content, bytes) else content.tobytes()
    return textwrap.fill(base64.b64encode(raw).decode(), COLUMNS)


def _javascript(value: Any) -> str:
    """Return a value as JavaScript, in ASCII."""
    return json.dumps(value)


def _markdown(text: str) -> str:
    """Escape text within a line of Markdown."""
    return re.sub(r"([\\`*_\[\]<>|#&])", r"\\\1", " ".join(text.split()))


def _code(text: str) -> str:
    """Format a name as Markdown code."""
    return f"`{text.replace('`', chr(39)).replace('|', '/')}`"
