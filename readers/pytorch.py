"""PyTorch programs saved by ``torch.export.save``, converted by LiteRT Torch."""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgesqz.plugins import Prepared

SUFFIXES = (".pt2",)
REQUIREMENTS = ("litert-torch>=0.10,<0.11", "torch>=2.8,<2.14")
PYTHON = "3.11"

WEIGHTS = "/data/weights/weight_"  # part of the names of the archived files that hold weights
BYTES_PER_WEIGHT = 4


def prepare(path: Path, size: tuple[int, int] | None) -> Prepared:
    """Check that the file is an exported program. Pickles, which can run code, are never loaded."""
    from edgesqz.errors import AS_PT2
    from edgesqz.plugins import Prepared

    content = path.read_bytes()
    if not zipfile.is_zipfile(io.BytesIO(content)):
        raise ValueError(f"expected a program exported by torch.export as .pt2; {AS_PT2}")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
    if not any(entry.filename.endswith("/models/model.json") for entry in entries):
        raise ValueError(f"it is not a program exported by PyTorch 2.8 or newer; {AS_PT2}")
    weights = sum(entry.file_size for entry in entries if WEIGHTS in entry.filename)
    return Prepared(content, weights // BYTES_PER_WEIGHT)


def _is_fixed(shape: Sequence[Any]) -> bool:
    """Return whether a shape has no symbolic size, such as that of a batch of any size."""
    return all(isinstance(size, int) for size in shape)


def _has_channels_first(shape: Sequence[int]) -> bool:
    """Return whether an input of this shape takes images with channels first."""
    return len(shape) == 4 and shape[1] in (1, 3) and shape[3] not in (1, 3)


def read(content: bytes) -> bytes:
    """Convert the program, with images as NHWC. See ``readers/__init__.py``."""
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"  # see the runtime of the same name
    import litert_torch
    import torch

    program: Any = torch.export.load(io.BytesIO(content))
    inputs, _ = program.example_inputs
    shapes = {node.name: node.meta["val"].shape for node in program.graph.nodes if node.op == "placeholder"}
    named = zip(program.graph_signature.user_inputs, inputs, strict=True)
    examples = [each if _is_fixed(shapes[name][:1]) else each[:1] for name, each in named]
    images = [number for number, each in enumerate(examples) if _has_channels_first(each.shape)]
    module = litert_torch.to_channel_last_io(program.module(), args=images) if images else program.module()
    examples = [each.permute(0, 2, 3, 1).contiguous() if k in images else each for k, each in enumerate(examples)]
    converted = litert_torch.convert(module, tuple(examples))
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "converted.tflite"
        converted.export(str(target))
        return target.read_bytes()
