"""ONNX Runtime on the CPU."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

import numpy as np

ENGINE = "onnxruntime"
REQUIREMENTS = ("onnxruntime>=1.20",)
SUFFIXES = (".onnx",)
PYTHON = None
TIMED = True

NUMPY_NAMES = {"float": "float32", "double": "float64"}


def load(model_bytes: bytes, threads: int) -> Session:
    """Load a model. Raise onnxruntime's InvalidProtobuf or Fail if the bytes are not a model."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # telemetry writes files, keeps threads running, and sends data
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return Session(onnxruntime.InferenceSession(model_bytes, options, providers=["CPUExecutionProvider"]))


class Session:
    """One inference session. Timed runs use bound buffers, so that the time includes no copy."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.inputs = [_tensor(detail) for detail in session.get_inputs()]
        self.outputs = [_tensor(detail) for detail in session.get_outputs()]
        # Read here, because a damaged name raises an error.
        self.input_names = [detail.name for detail in session.get_inputs()]
        self.output_names = [detail.name for detail in session.get_outputs()]
        self.binding = session.io_binding()

    def set_input(self, *batches: np.ndarray) -> None:
        """Set the stored input values that ``run_once`` uses."""
        for name, batch in zip(self.input_names, batches, strict=True):
            self.binding.bind_cpu_input(name, batch)
        for name in self.output_names:
            self.binding.bind_output(name)

    def run_once(self) -> None:
        """Run one inference on the values that ``set_input`` set."""
        self.session.run_with_iobinding(self.binding)

    def run_all(self, *batches: np.ndarray) -> list[np.ndarray]:
        """Run stored input values and return the stored values of all outputs."""
        return list(self.session.run(None, dict(zip(self.input_names, batches, strict=True))))


def probe(model_bytes: bytes) -> Callable[..., dict[str, np.ndarray]]:
    """See ``runtimes/__init__.py``. Nothing is fused, so that every layer's output is available. Needs onnx."""
    import onnx
    import onnxruntime

    model = onnx.load_from_string(model_bytes)
    declared = {output.name for output in model.graph.output}
    inner = [name for node in model.graph.node for name in node.output if name not in declared]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in inner)
    onnxruntime.set_default_logger_severity(4)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    inputs, names = ([each.name for each in ends] for ends in (session.get_inputs(), session.get_outputs()))

    def tensors(*batches: np.ndarray) -> dict[str, np.ndarray]:
        found = zip(names, session.run(None, dict(zip(inputs, batches, strict=True))), strict=True)
        # The real values of a quantized tensor follow it under a longer name.
        return {name: values.astype(np.float32) for name, values in found if values.dtype.kind == "f"}

    return tensors


def _tensor(detail: Any) -> dict[str, Any]:
    name = re.sub(r"^tensor\((\w+)\)$", r"\1", detail.type)
    return {
        "name": detail.name,
        "shape": [size if isinstance(size, int) else None for size in detail.shape],
        "dtype": NUMPY_NAMES.get(name, name),
        "scale": None,
        "zero_point": None,
    }
