"""Write the flatbuffer of a .tflite file, whose tables follow the schema that ships with LiteRT."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np

FILE_IDENTIFIER = b"TFL3"
DATA_ALIGNMENT = 16  # bytes, as TFLite's schema requires for the data of tensors


def serialized(model: Any) -> bytes:
    """Serialize a ``ModelT`` of the schema, with duplicate vectors stored once and the data of tensors aligned.

    TensorFlow's converter stores a zero point of 8 bytes for each channel of each kernel and bias, all of them 0.
    FlatBuffers allows tables to share a vector, and readers see the same model.
    """
    builder = _SharingBuilder(0)
    builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
    return bytes(builder.Output())


class _SharingBuilder(flatbuffers.Builder):
    """Refer to an existing vector instead of writing a duplicate."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._places: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: np.ndarray) -> int:  # noqa: N802
        key = (x.dtype.str, x.tobytes())
        if key not in self._places:
            self._places[key] = super().CreateNumpyVector(x)
        return self._places[key]

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> int:  # noqa: N802, N803
        # The generated code ignores the alignment that the schema requires for the data of tensors.
        start: int = super().StartVector(elemSize, numElems, DATA_ALIGNMENT if elemSize == 1 else alignment)
        return start
