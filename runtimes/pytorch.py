"""PyTorch on the CPU, which runs exported programs as the source models of exports."""

from __future__ import annotations

import io
import os
import pickle
from typing import Any

import numpy as np

ENGINE = "torch"
REQUIREMENTS = ("torch>=2.8,<2.14", "litert-torch>=0.10,<0.11")  # as for reading, so that both share an environment
SUFFIXES = (".pt2",)
PYTHON = "3.11"
TIMED = True


def load(model_bytes: bytes, threads: int) -> Session:
    """Load a program saved by ``torch.export.save``. Raise ValueError or RuntimeError if the bytes are not one."""
    # A program can contain pickles, such as its sample inputs, which could otherwise run any code.
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"
    import torch

    torch.set_num_threads(threads)
    try:
        program = torch.export.load(io.BytesIO(model_bytes))
    except pickle.UnpicklingError as error:
        raise ValueError("it contains a pickle that can run code; export it again with tensors as inputs") from error
    return Session(program)


class Session:
    """One exported program."""

    def __init__(self, program: Any) -> None:
        values = {node.name: node.meta.get("val") for node in program.graph.nodes}
        self.inputs = [{"name": name, **_tensor(values[name])} for name in program.graph_signature.user_inputs]
        self.outputs = [_tensor(values[name]) for name in program.graph_signature.user_outputs]
        self.module = program.module()

    def set_input(self, *batches: np.ndarray) -> None:
        """Set the stored input values that ``run_once`` uses."""
        import torch

        self.batches = [torch.from_numpy(batch) for batch in batches]

    def run_once(self) -> list[np.ndarray]:
        """Run one inference on the values that ``set_input`` set."""
        import torch

        with torch.no_grad():
            output = self.module(*self.batches)
        return [each.numpy() for each in torch.utils._pytree.tree_leaves(output)]

    def run_all(self, *batches: np.ndarray) -> list[np.ndarray]:
        """Run stored input values and return the stored values of all outputs."""
        self.set_input(*batches)
        return self.run_once()


def _tensor(value: Any) -> dict[str, Any]:
    return {
        "shape": [size if isinstance(size, int) else None for size in value.shape],
        "dtype": str(value.dtype).removeprefix("torch."),
        "scale": None,
        "zero_point": None,
    }
