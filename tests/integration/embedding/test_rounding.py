"""The two roundings of int8 and int4 networks, computed in NumPy and compared with the engines that use them.

TFLite multiplies the exact sums of a layer by a real number, which it stores as an integer multiplier and a shift.
LiteRT rounds the product once. tflite-micro rounds it twice by default, and once if it is built with
TFLITE_SINGLE_ROUNDING. The folder for microcontrollers relies on this: in the second case, it expects LiteRT's outputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesqz.artifact import ZOO
from edgesqz.embedding import embed
from tests.engine_environments import environment_or_skip

MODEL = "squeezenet-nano.int8.tflite"

Integers = NDArray[np.int64]
Rescale = Callable[[Integers, Integers, Integers], Integers]  # values, multipliers, shifts


def rounded_once(values: Integers, multiplier: Integers, shift: Integers) -> Integers:
    return (values * multiplier + (1 << (30 - shift))) >> (31 - shift)


def rounded_twice(values: Integers, multiplier: Integers, shift: Integers) -> Integers:
    product = (values << np.maximum(shift, 0)) * multiplier
    nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    high = np.sign(nudged) * (np.abs(nudged) >> 31)  # C's division rounds toward zero
    right = np.maximum(-shift, 0)
    mask = (1 << right) - 1
    return np.asarray((high >> right) + ((high & mask) > (mask >> 1) + (high < 0)))


def stored(real: Any) -> tuple[Integers, Integers]:
    """Convert positive real numbers to multipliers and shifts."""
    fractions, shifts = np.frexp(np.atleast_1d(real))
    multipliers = np.floor(fractions * 2**31 + 0.5).astype(np.int64)
    carried = multipliers == 2**31
    return np.where(carried, 2**30, multipliers), shifts.astype(np.int64) + carried


class Network:
    """An int8 or int4 network with the operators of SqueezeNets."""

    def __init__(self, content: bytes) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.model = schema.ModelT.InitFromPackedBuf(content, 0)
        self.graph, self.int4 = self.model.subgraphs[0], schema.TensorType.INT4
        self.names = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}

    def run(self, values: Integers, rescale: Rescale) -> Integers:
        computed = {self.graph.inputs[0]: values}
        for op in self.graph.operators:
            code = self.model.operatorCodes[op.opcodeIndex]
            name = self.names[max(code.builtinCode, code.deprecatedBuiltinCode)]
            outputs = getattr(self, name.lower())(op, computed, rescale)
            fused = getattr(op.builtinOptions, "fusedActivationFunction", 0)  # 1 is ReLU
            lowest = self.quantization(op.outputs[0])[1] if fused == 1 else -128
            computed[op.outputs[0]] = np.clip(outputs, lowest, 127)
        return computed[self.graph.outputs[0]]

    def quantization(self, tensor: int) -> tuple[NDArray[np.float64], int]:
        found = self.graph.tensors[tensor].quantization
        return np.array(found.scale, np.float64), int(found.zeroPoint[0])

    def constant(self, tensor: int, dtype: Any) -> Integers:
        table = self.graph.tensors[tensor]
        stored_bytes = np.frombuffer(bytes(self.model.buffers[table.buffer].data), dtype)
        if table.type == self.int4:  # two to a byte, the first in the low half
            stored_bytes = np.stack([stored_bytes << 4 >> 4, stored_bytes >> 4], axis=-1).ravel()[
                : np.prod(table.shape)
            ]
        return stored_bytes.reshape(table.shape).astype(np.int64)

    def conv_2d(self, op: Any, computed: dict[int, Integers], rescale: Rescale) -> Integers:
        (scale, zero), (out_scale, out_zero) = self.quantization(op.inputs[0]), self.quantization(op.outputs[0])
        weights, bias = self.constant(op.inputs[1], np.int8), self.constant(op.inputs[2], np.int32)
        views = windows(computed[op.inputs[0]] - zero, weights.shape[1:3], op.builtinOptions, 0)
        sums = sum(view @ weights[:, row, column].T for (row, column), view in views.items()) + bias
        return rescale(sums, *stored(scale * self.quantization(op.inputs[1])[0] / out_scale)) + out_zero

    def max_pool_2d(self, op: Any, computed: dict[int, Integers], rescale: Rescale) -> Integers:
        size = op.builtinOptions.filterHeight, op.builtinOptions.filterWidth
        return np.asarray(np.max(list(windows(computed[op.inputs[0]], size, op.builtinOptions, -128).values()), axis=0))

    def concatenation(self, op: Any, computed: dict[int, Integers], rescale: Rescale) -> Integers:
        return np.concatenate([computed[tensor] for tensor in op.inputs], axis=op.builtinOptions.axis)

    def add(self, op: Any, computed: dict[int, Integers], rescale: Rescale) -> Integers:
        given, (out_scale, out_zero) = [self.quantization(t) for t in op.inputs], self.quantization(op.outputs[0])
        twice = 2 * max(scale for scale, _ in given)
        total = sum(
            rescale((computed[tensor] - zero) << 20, *stored(scale / twice))
            for tensor, (scale, zero) in zip(op.inputs, given, strict=True)
        )
        return rescale(np.asarray(total), *stored(twice / (2**20 * out_scale))) + out_zero

    def quantize(self, op: Any, computed: dict[int, Integers], rescale: Rescale) -> Integers:
        (scale, zero), (out_scale, out_zero) = self.quantization(op.inputs[0]), self.quantization(op.outputs[0])
        return rescale(computed[op.inputs[0]] - zero, *stored(scale / out_scale)) + out_zero

    def mean(self, op: Any, computed: dict[int, Integers], rescale: Rescale) -> Integers:
        (scale, zero), (out_scale, out_zero) = self.quantization(op.inputs[0]), self.quantization(op.outputs[0])
        values = computed[op.inputs[0]] - zero
        count = values.shape[1] * values.shape[2]
        (multiplier, shift), bits = stored(scale / out_scale), int(math.log2(count))
        return rescale(values.sum((1, 2)), (multiplier << bits) // count, shift - bits) + out_zero

    def softmax(self, op: Any, computed: dict[int, Integers], rescale: Rescale) -> Integers:
        logits = computed[op.inputs[0]] * self.quantization(op.inputs[0])[0]
        powers = np.exp(logits - logits.max(-1, keepdims=True))
        return np.asarray(np.rint(256 * powers / powers.sum(-1, keepdims=True)) - 128, np.int64)


def windows(values: Integers, size: Any, options: Any, padding: int) -> dict[tuple[int, int], Integers]:
    """Return the values at each place of a window, for all positions of the window."""
    (height, width), stride, same = size, options.strideH, options.padding == 0
    counts, pads = [], []
    for length, reach in ((values.shape[1], height), (values.shape[2], width)):
        count = -(-length // stride) if same else (length - reach) // stride + 1
        missing = max((count - 1) * stride + reach - length, 0) if same else 0
        counts.append((count - 1) * stride + 1)
        pads.append((missing // 2, missing - missing // 2))
    padded = np.pad(values, ((0, 0), *pads, (0, 0)), constant_values=padding)
    return {
        (row, column): padded[:, row : row + counts[0] : stride, column : column + counts[1] : stride]
        for row in range(height)
        for column in range(width)
    }


def test_each_engine_rounds_as_the_folder_for_microcontrollers_expects(tmp_path: Path) -> None:
    environment_or_skip("tflite-micro")
    contract = embed(MODEL, "micro", out=tmp_path / "app").contract
    network, pixels = Network((ZOO / MODEL).read_bytes()), contract.images.astype(np.int64) - 128
    for engine, rescale in (("litert", rounded_once), ("tflite-micro", rounded_twice)):
        np.testing.assert_array_equal(network.run(pixels, rescale), contract.outputs[engine].values)
    assert contract.outputs["litert"].differing_values(contract.outputs["tflite-micro"])


def test_with_int4_weights_tflite_micro_rounds_twice_and_litert_does_not_round_once(tmp_path: Path) -> None:
    environment_or_skip("tflite-micro")
    model = "squeezenet-nano.int4.tflite"
    contract = embed(model, "micro", out=tmp_path / "app").contract
    network, pixels = Network((ZOO / model).read_bytes()), contract.images.astype(np.int64) - 128
    np.testing.assert_array_equal(network.run(pixels, rounded_twice), contract.outputs["tflite-micro"].values)
    assert (network.run(pixels, rounded_once) != contract.outputs["litert"].values).any()
