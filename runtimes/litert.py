"""LiteRT, the runtime for .tflite files, with XNNPACK's kernels for the operators that XNNPACK supports.

From Python, XNNPACK keeps its packed weights in memory: the interpreter has no option for a file to cache them in.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

ENGINE = "ai-edge-litert"
REQUIREMENTS = ("ai-edge-litert>=2.1",)
SUFFIXES = (".tflite",)
PYTHON = None
TIMED = True


def load(model_bytes: bytes, threads: int) -> Session:
    """Load a model. Raise ValueError if the bytes are not a model, or RuntimeError if the engine lacks an operator."""
    interpreter = _engine().Interpreter(model_content=model_bytes, num_threads=threads)
    interpreter.allocate_tensors()
    return Session(interpreter)


def _engine() -> Any:
    """Import LiteRT, or tflite-runtime for the runtime of that name. Both may be installed."""
    package = "tflite_runtime" if ENGINE == "tflite-runtime" else "ai_edge_litert"
    return importlib.import_module(f"{package}.interpreter")


class Session:
    """One interpreter. Models with a fixed batch size run at that size."""

    def __init__(self, interpreter: Any) -> None:
        self.interpreter = interpreter
        names = _signature_names(interpreter)
        self.inputs = [
            {"name": names.get(detail["index"], detail["name"]), **_tensor(detail)}
            for detail in interpreter.get_input_details()
        ]
        self.outputs = [_tensor(detail) for detail in interpreter.get_output_details()]
        self.input_indexes = [detail["index"] for detail in interpreter.get_input_details()]
        self.output_indexes = [detail["index"] for detail in interpreter.get_output_details()]
        self.run_once = interpreter.invoke

    def set_input(self, *batches: np.ndarray) -> None:
        """Set the stored input values that ``run_once`` uses."""
        for index, batch in zip(self.input_indexes, batches, strict=True):
            self.interpreter.set_tensor(index, batch)

    def run_all(self, *batches: np.ndarray) -> list[np.ndarray]:
        """Run stored input values and return the stored values of all outputs."""
        self.set_input(*batches)
        self.run_once()
        return [self.interpreter.get_tensor(index) for index in self.output_indexes]


def _signature_names(interpreter: Any) -> dict[int, str]:
    """Return the names of the inputs in the signature by which other tools call the model, by tensor number."""
    signatures = interpreter._get_full_signature_list()
    return {index: name for each in signatures.values() for name, index in each["inputs"].items()}


def probe(model_bytes: bytes) -> Callable[..., dict[str, np.ndarray]]:
    """See ``runtimes/__init__.py``. Uses the reference kernels, because XNNPACK keeps no intermediate tensors."""
    engine = _engine()
    interpreter = engine.Interpreter(
        model_content=model_bytes,
        experimental_op_resolver_type=engine.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    inputs, details = interpreter.get_input_details(), interpreter.get_tensor_details()

    def tensors(*batches: np.ndarray) -> dict[str, np.ndarray]:
        for detail, batch in zip(inputs, batches, strict=True):
            interpreter.set_tensor(detail["index"], batch)
        interpreter.invoke()
        # Tensors without a name are scratch buffers of the kernels. The name of fused layers begins with the last one.
        activations = [d for d in details if d["name"] and d["shape"].size > 1 and d["shape"][0] == len(batches[0])]
        return {d["name"].split(";")[0]: _real(interpreter.get_tensor(d["index"]), d) for d in activations}

    return tensors


def _real(stored: np.ndarray, detail: dict[str, Any]) -> np.ndarray:
    """Convert stored values to the real values that they represent, float32."""
    values: np.ndarray = stored.astype(np.float32)
    scale, zero_point = detail["quantization"]
    return (values - zero_point) * np.float32(scale) if scale else values


def _tensor(detail: dict[str, Any]) -> dict[str, Any]:
    scales = detail["quantization_parameters"]["scales"]
    if len(scales) > 1:
        raise ValueError(
            f"expected inputs and outputs of one scale, {detail['name']} has {len(scales)}, one per channel"
        )
    scale, zero_point = detail["quantization"]
    quantized = scale != 0
    return {
        "shape": [int(size) for size in detail["shape"]],
        "dtype": "string" if detail["dtype"] is np.bytes_ else np.dtype(detail["dtype"]).name,
        "scale": scale if quantized else None,
        "zero_point": zero_point if quantized else None,
    }
