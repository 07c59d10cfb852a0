"""Operators added to a float .tflite file compute what they should."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from edgesqz.artifact import ChannelRanges, PixelRange
from edgesqz.tflite import extending
from edgesqz.tflite.flatbuffer import serialized
from edgesqz.tflite.operators import operators


def outputs(content: bytes, images: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_content=content)
    run = interpreter.get_signature_runner()
    ((name, _),) = run.get_input_details().items()
    (output,) = run(**{name: images}).values()
    return np.asarray(output)


def test_normalization_and_softmax(exported: Path) -> None:
    content = (exported / "colors.fp32.tflite").read_bytes()
    pixels = ChannelRanges(channels=(PixelRange(scale=0.9), PixelRange(offset=3.0), PixelRange(scale=1.1, offset=-1)))
    images = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), np.uint8)
    expected = outputs(content, pixels.values(images))
    extended = extending.with_softmax(extending.with_normalization(content, pixels))
    powers = np.exp(expected)
    np.testing.assert_allclose(outputs(extended, images.astype(np.float32)), powers / powers.sum(), atol=1e-5)
    grown = extending.with_normalization(content, PixelRange(scale=2.0))
    np.testing.assert_allclose(
        outputs(grown, images.astype(np.float32)), outputs(content, 2 * images.astype(np.float32)), atol=1e-5
    )


def test_a_signature_is_added_only_where_none_is(exported: Path) -> None:
    content = (exported / "colors.fp32.tflite").read_bytes()
    assert extending.with_signature(content) == content


def clipping(content: bytes) -> bytes:
    """Return a file that ends with clipping to 0..1 instead of a softmax."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    (graph,) = model.subgraphs
    code = model.operatorCodes[graph.operators[-1].opcodeIndex]
    assert code.builtinCode == schema.BuiltinOperator.SOFTMAX
    code.builtinCode, code.deprecatedBuiltinCode = schema.BuiltinOperator.RELU_0_TO_1, 127
    graph.operators[-1].builtinOptionsType, graph.operators[-1].builtinOptions = 0, None
    return serialized(model)


def test_clipping_is_computed_by_multiplications(exported: Path) -> None:
    content = clipping((exported / "colors.fp32.tflite").read_bytes())
    changed = extending.with_int8_forms(content)
    *_, inner, output = operators(changed)
    assert (inner.kind, output.kind) == ("MUL", "MUL")
    assert output.output not in inner.output  # or a layer would be compared with values that are six times as large
    images = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), np.uint8).astype(np.float32)
    np.testing.assert_allclose(outputs(changed, images), outputs(content, images), atol=1e-5)
