"""Shrink a .tflite file without changing the model."""

from __future__ import annotations

import itertools

import numpy as np

from edgesqz.tflite.flatbuffer import serialized


def packed(content: bytes) -> bytes:
    """Store duplicate vectors once, and shorten the names of tensors.

    The name of a tensor lists the layers that it was merged from, separated by semicolons. Only the first is kept.

    Args:
        content: A .tflite file.

    Returns:
        A .tflite file with the same inputs, outputs and arithmetic.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    for buffer in model.buffers:
        if buffer.offset > 1:  # the quantizer stores the data of large files after the flatbuffer
            buffer.data = np.frombuffer(content, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    for graph in model.subgraphs:
        taken: set[bytes] = set()
        for tensor in graph.tensors:
            tensor.name = _free(tensor.name.split(b";")[0], taken)
            taken.add(tensor.name)
    return serialized(model)


def _free(name: bytes, taken: set[bytes]) -> bytes:
    """Return the name, with a number appended if it is taken."""
    numbered = (b"%s.%d" % (name, number) if number else name for number in itertools.count())
    return next(each for each in numbered if each not in taken)
