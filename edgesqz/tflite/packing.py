"""A .tflite file in fewer bytes: the same model to whoever reads it."""

from __future__ import annotations

import itertools

from edgesqz.tflite.flatbuffer import serialized


def packed(content: bytes) -> bytes:
    """Write equal vectors once and names short.

    Of the names of the layers that a tensor was merged from, separated by semicolons, the first remains.

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
    return serialized(model)


def _free(name: bytes, taken: set[bytes]) -> bytes:
    """The name, with a number behind it if it is taken."""
    numbered = (b"%s.%d" % (name, number) if number else name for number in itertools.count())
    return next(each for each in numbered if each not in taken)
