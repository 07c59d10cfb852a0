"""A .tflite file in fewer bytes: the same model to whoever reads it."""

from __future__ import annotations

import itertools

import flatbuffers
import numpy as np

FILE_IDENTIFIER = b"TFL3"
DATA_ALIGNMENT = 16  # bytes; what TFLite's schema asks for the data of tensors


def packed(content: bytes) -> bytes:
    """Write equal vectors once and names short.

    TensorFlow's converter stores a zero point of 8 bytes for each channel of each kernel and each bias, all of them
    0. FlatBuffers allows that tables share a vector, and a reader does not notice. Of the names of the layers that
    a tensor was merged from, separated by semicolons, the first remains.

    Args:
        content: a .tflite file.

    Returns:
        Another one, which takes and answers the same.
    """
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    for graph in model.subgraphs:
        taken: set[bytes] = set()
        for tensor in graph.tensors:
            tensor.name = _free(tensor.name.split(b";")[0], taken)
            taken.add(tensor.name)
    builder = _SharingBuilder(2 * len(content))
    builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
    return bytes(builder.Output())


class _SharingBuilder(flatbuffers.Builder):
    """Points to a vector that is there already instead of writing an equal one."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._places: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: np.ndarray) -> int:  # noqa: N802
        key = (x.dtype.str, x.tobytes())
        if key not in self._places:
            self._places[key] = super().CreateNumpyVector(x)
        return self._places[key]

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> int:  # noqa: N802, N803
        # The data of tensors are vectors of bytes; the schema's alignment of them is lost on the generated code.
        start: int = super().StartVector(elemSize, numElems, DATA_ALIGNMENT if elemSize == 1 else alignment)
        return start


def _free(name: bytes, taken: set[bytes]) -> bytes:
    """The name, with a number behind it if it is taken."""
    numbered = (b"%s.%d" % (name, number) if number else name for number in itertools.count())
    return next(each for each in numbered if each not in taken)
