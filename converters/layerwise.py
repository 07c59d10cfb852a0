"""Quantize a float .tflite file with LiteRT's quantizer: the weights of each layer to 8 or 4 bits, or not at all."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from edgesqz.converters.layers import layer_name
from edgesqz.errors import EdgesqzError, option
from edgesqz.plugins import FLOAT_BITS, MSE, WeightedLayer
from edgesqz.tflite.extending import NORMALIZATION
from edgesqz.tflite.metadata import without_runtime_version
from edgesqz.tflite.operators import Operator, float_operators, operators
from edgesqz.tflite.packing import packed

# Operators whose second input is a kernel: the fewest bits that its weights can have, and the axis of its channels.
FEWEST_BITS = {"CONV_2D": 4, "DEPTHWISE_CONV_2D": 8, "FULLY_CONNECTED": 8}
CHANNEL_AXIS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0}


class LayerwiseTflite:
    """A float .tflite file, calibrated once, that can be quantized with any number of bits per layer.

    Args:
        content: The file.
        names: Names of the layers with a kernel in the network that it was converted from.
        calibration: For each input, float32 (N, *shape of the input), in its range.
        method: How to choose the scales of weights with fewer than 8 bits: ``min-max``, the grid of
            ``edgesqz.quantization``, or ``mse``, a smaller scale that clips the largest weights.
        may_keep_float: Whether operators that the quantizer has no integer form of stay float, instead of an error.
    """

    def __init__(
        self,
        content: bytes,
        names: Collection[str],
        calibration: Sequence[np.ndarray],
        method: str,
        *,
        may_keep_float: bool = False,
    ) -> None:
        self._content, self._method, self._may_keep_float = content, method, may_keep_float
        self._operators = _by_layer(content, names)
        self.layers = tuple(
            WeightedLayer(
                name, first.kind, np.moveaxis(first.values, CHANNEL_AXIS[first.kind], -1), FEWEST_BITS[first.kind]
            )
            for name, (first, *_) in self._operators.items()
            if first.values is not None
        )
        self._ranges = _activation_ranges(content, calibration)

    def quantize(self, bits: Mapping[str, int], activation_bits: int = 8) -> bytes:
        """Return a file with integer activations and the given number of bits for the weights of each layer.

        Args:
            bits: 4 or 8 for each layer. ``FLOAT_BITS`` keeps a layer and its activations float.
            activation_bits: 8 or 16, for all layers.

        Raises:
            EdgesqzError: The network has an operator that the quantizer leaves in float, and none may stay float.
        """
        from litert_quantizer.recipe_manager import AlgorithmName

        algorithm = AlgorithmName.MSE if self._method == MSE else AlgorithmName.MIN_MAX_UNIFORM_QUANT
        recipe, kept = _static_recipe(activation_bits), set()
        for name, group in self._operators.items():
            for operator in group:
                scope = f"^{re.escape(operator.output)};"
                if bits[name] == FLOAT_BITS:
                    recipe.add_quantization_config(scope, operator.kind, algorithm_key=AlgorithmName.NO_QUANTIZE)
                    kept.add(operator.output)
                elif bits[name] < 8:
                    recipe.add_static_config(scope, operator.kind, activation_bits, bits[name], algorithm_key=algorithm)
        content = _quantized(self._content, recipe, self._ranges)
        if not self._may_keep_float:
            _refuse_float(content, kept)
        return packed(content)


def with_dynamic_range(content: bytes) -> bytes:
    """Quantize the weights of a float .tflite file to int8; activations are quantized at inference."""
    from litert_quantizer.qtyping import TFLOperationName

    recipe = _recipe()
    recipe.add_dynamic_config(".*", TFLOperationName.ALL_SUPPORTED, num_bits=8)
    return _quantized(content, recipe, {})


def with_half_weights(content: bytes) -> bytes:
    """Store the weights of a float .tflite file as float16."""
    from litert_quantizer.recipe_manager import AlgorithmName

    recipe = _recipe()
    for kind in FEWEST_BITS:
        recipe.add_weight_only_config(".*", kind, num_bits=16, algorithm_key=AlgorithmName.FLOAT_CASTING)
    return _quantized(content, recipe, {})


def _static_recipe(activation_bits: int) -> Any:
    from litert_quantizer.qtyping import TFLOperationName

    recipe = _recipe()
    recipe.add_static_config(".*", TFLOperationName.ALL_SUPPORTED, activation_bits, weight_num_bits=8)
    return recipe


def _recipe() -> Any:
    from litert_quantizer.recipe_manager import RecipeManager

    return RecipeManager()


def _quantized(content: bytes, recipe: Any, ranges: Mapping[str, Any]) -> bytes:
    from litert_quantizer.quantizer import Quantizer

    quantizer = Quantizer(without_runtime_version(content), recipe.get_quantization_recipe())
    result = quantizer.quantize(ranges or None, enable_progress_bar=False, enable_progress_report=False)
    return bytes(result.quantized_model)


def _activation_ranges(content: bytes, calibration: Sequence[np.ndarray]) -> dict[str, Any]:
    """Return the minimum and maximum of each tensor over the samples, in the quantizer's format."""
    from ai_edge_litert import schema_py_generated as schema
    from litert_quantizer.calibrator import Calibrator
    from litert_quantizer.utils.qsv_utils import min_max_update

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    (graph,), (signature,) = model.subgraphs, model.signatureDefs
    dtypes = {getattr(schema.TensorType, name.upper()): name for name in ("float32", "int32", "int64", "bool")}
    inputs = [
        (entry.name.decode(), calibration[number].astype(dtypes[graph.tensors[entry.tensorIndex].type]))
        for entry in signature.inputs
        for number in [list(graph.inputs).index(entry.tensorIndex)]
    ]
    samples = [{name: values[k] for name, values in inputs} for k in range(len(calibration[0]))]
    # By default, the quantizer averages the ranges of the samples, which would make the input's range inexact.
    calibrator = Calibrator(content, num_threads=1, qsv_update_func=min_max_update)
    calibrator.calibrate({signature.signatureKey.decode(): samples}, _static_recipe(8))
    return dict(calibrator.get_model_qsvs())


def _by_layer(content: bytes, names: Collection[str]) -> dict[str, list[Operator]]:
    """Return the operators that have a kernel by the names of their layers, in execution order.

    A layer that the network uses several times has one kernel and several operators. The second kernel of a layer, such
    as that of a separable convolution, counts as a layer with ``.2`` after its name.
    """
    by_kernel: dict[str, list[Operator]] = {}
    for operator in operators(content):
        is_normalization = operator.kernel.startswith(NORMALIZATION.decode())
        if operator.kind in FEWEST_BITS and operator.values is not None and not is_normalization:
            by_kernel.setdefault(operator.kernel, []).append(operator)
    found: dict[str, list[Operator]] = {}
    for kernel, group in by_kernel.items():
        # A kernel that several operators share is not named after a layer, but the names of their outputs list the
        # layers that were merged.
        name = layer_name((kernel, *group[0].output.split(";")), names) or kernel
        numbered = (f"{name}.{number}" if number > 1 else name for number in itertools.count(1))
        found[next(each for each in numbered if each not in found)] = group
    return found


def _refuse_float(content: bytes, kept: Collection[str]) -> None:
    """Reject a file with operators that compute in float, other than the layers that are kept float.

    Raises:
        EdgesqzError: There are such operators.
    """
    if found := float_operators(content, kept):
        without = f" without {option('keep_float')}" if kept else ""
        raise EdgesqzError(f"LiteRT's quantizer has no int8 form of {', '.join(found)}; choose variant int8{without}")
