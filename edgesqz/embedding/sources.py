"""The files of each target, made from a contract with the templates that lie beside this module."""

from __future__ import annotations

import base64
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesqz.artifact import package_versions
from edgesqz.embedding.contract import ARENA_ALIGNMENT, Contract

TEMPLATES = Path(__file__).parent / "templates"
CONTRACT_FILE = "CONTRACT.md"
SKETCH = "sketch.ino"  # Arduino wants it named like its folder
COLUMNS = 100  # of numbers and base64 in what is written


@dataclass(frozen=True)
class Target:
    """A kind of device app.

    Attributes:
        runtimes: that answer the test vectors: the bench's, then the target's own where that is another.
        optional: runtimes that it may run on as well.
        files: the templates of its folder, each without its ``.jinja``.
        verification: the command that, in the folder, runs its self-test.
    """

    runtimes: tuple[str, ...]
    files: tuple[str, ...]
    verification: str
    optional: tuple[str, ...] = ()


ARRAYS = ("model.h", "model.c", "test_vectors.h", "test_vectors.c")

TARGETS = {
    "c": Target(
        ("litert",),
        (*ARRAYS, "c/image.h", "c/image.c", "c/edgesqz_app.c", "c/Makefile"),
        "make test LITERT_LIBRARY=/path/to/libLiteRt.so",
    ),
    "micro": Target(
        ("litert", "tflite-micro"),
        (*ARRAYS, *(f"micro/{n}" for n in ("classifier.h", "classifier.cpp", "edgesqz_app.cpp", SKETCH, "Makefile"))),
        "make test TFLM=/path/to/tflite-micro",
    ),
    "python": Target(
        ("litert",), ("python/edgesqz_app.py",), "python edgesqz_app.py --self-test", optional=("tflite-runtime",)
    ),
}


def sources(target: str, contract: Contract, folder_name: str) -> dict[str, bytes]:
    """The files of a folder, by name.

    Args:
        target: what they are for, a name in ``TARGETS``.
        contract: what they say.
        folder_name: which Arduino wants its sketch to have.
    """
    import jinja2

    kind = TARGETS[target]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # C, Python and Markdown; what comes from a label or a name goes through a filter
    )
    environment.filters |= {
        "c_string": c_string,
        "c_array": c_array,
        "c_float": c_float,
        "python": repr,
        "base64": _base64,
        "operator": micro_operator,
        "markdown": _markdown,
        "code": _code,
    }
    facts: dict[str, Any] = {
        "contract": contract,
        "manifest": contract.manifest,
        "bench": contract.answers[kind.runtimes[0]],
        "expected": contract.answers[kind.runtimes[-1]],
        "target": target,
        "verification": kind.verification,
        "alignment": ARENA_ALIGNMENT,
        "version": package_versions()["edgesqz"],
        "folder": folder_name,
    }
    written = {
        f"{folder_name}.ino" if Path(name).name == SKETCH else Path(name).name: name
        for name in (*kind.files, CONTRACT_FILE)
    }
    texts = {name: environment.get_template(f"{source}.jinja").render(facts) for name, source in written.items()}
    return {name: text.encode() for name, text in texts.items()} | {contract.file: contract.described}


def c_string(text: str) -> str:
    r"""A string literal of C, in ASCII: all else as octal bytes of UTF-8, which no digit behind them can lengthen."""
    plain = set(range(0x20, 0x7F)) - set(b'"\\?')
    return '"' + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in text.encode()) + '"'


def c_array(values: bytes | NDArray[Any]) -> str:
    """Numbers between the braces of an array in C."""
    is_float = isinstance(values, np.ndarray) and values.dtype.kind == "f"
    numbers: Any = values if isinstance(values, bytes) else values.ravel()
    text = ", ".join(c_float(number) if is_float else str(number) for number in numbers)
    return textwrap.fill(text, COLUMNS, initial_indent="    ", subsequent_indent="    ")


def c_float(value: float) -> str:
    """A float of C, with as many digits as tell it from its neighbours."""
    return f"{np.float32(value)}f"


def micro_operator(name: str) -> str:
    """The method of MicroMutableOpResolver that adds an operator of TFLite's schema: CONV_2D by ``AddConv2D``."""
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


def _markdown(text: str) -> str:
    """Text within a line of Markdown, that nothing in it is taken as a mark."""
    return re.sub(r"([\\`*_\[\]<>|#&])", r"\\\1", " ".join(text.split()))


def _code(text: str) -> str:
    """A name in Markdown, as code."""
    return f"`{text.replace('`', chr(39)).replace('|', '/')}`"
