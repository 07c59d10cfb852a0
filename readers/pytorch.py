"""PyTorch programs saved by ``torch.export.save``, converted by LiteRT Torch."""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgesqz.plugins import Prepared

SUFFIXES = (".pt2",)
REQUIREMENTS = ("litert-torch>=0.10,<0.11", "torch>=2.6,<2.14")
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


def read(content: bytes) -> bytes:
    """Convert the program, with its images as NHWC. See ``readers/__init__.py``."""
    import litert_torch
    import torch

    program: Any = torch.export.load(io.BytesIO(content))
    (images,), _ = program.example_inputs
    module = litert_torch.to_channel_last_io(program.module(), args=[0])
    converted = litert_torch.convert(module, (images[:1].permute(0, 2, 3, 1).contiguous(),))
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "converted.tflite"
        converted.export(str(target))
        return target.read_bytes()
