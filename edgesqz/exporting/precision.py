"""Choose the number of bits of each layer's weights."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgesqz.errors import EdgesqzError, option
from edgesqz.plugins import FLOAT_BITS, WeightedLayer

INT8_BITS = 8


@dataclass(frozen=True)
class Keep:
    """Patterns of layers to protect.

    Attributes:
        int8: Patterns of layers with 8-bit weights.
        float: Patterns of layers that stay float. They take precedence.
    """

    int8: Sequence[str] = ()
    float: Sequence[str] = ()

    def __bool__(self) -> bool:
        """Return whether there is a pattern."""
        return bool(self.int8 or self.float)

    def bits(self, names: Sequence[str]) -> dict[str, int]:
        """Return the number of bits of each layer that matches a pattern.

        Args:
            names: Names of all layers.

        Raises:
            EdgesqzError: A pattern matches no layer.
        """
        return _matching("keep_int8", self.int8, names, INT8_BITS) | _matching(
            "keep_float", self.float, names, FLOAT_BITS
        )


@dataclass(frozen=True)
class Limit:
    """The limit of a mixed file. At least one of the two is None.

    Attributes:
        size_bytes: Maximum size of the file.
        accuracy_drop_pp: Maximum loss of accuracy on training images against the source model, in percentage
            points.
    """

    size_bytes: int | None = None
    accuracy_drop_pp: float | None = None

    def __bool__(self) -> bool:
        """Return whether there is a limit."""
        return self.size_bytes is not None or self.accuracy_drop_pp is not None


def _matching(name: str, patterns: Sequence[str], names: Sequence[str], bits: int) -> dict[str, int]:
    found = dict[str, int]()
    for pattern in patterns:
        matches = fnmatch.filter(names, pattern)
        if not matches:
            raise EdgesqzError(f"{option(name)}: no layer matches {pattern!r}; the layers are {', '.join(names)}")
        found |= dict.fromkeys(matches, bits)
    return found


def choose_bits(layers: Sequence[WeightedLayer], inner_bits: int, keep: Keep) -> dict[str, int]:
    """Return the number of bits of each layer.

    The first and last layers have 8 bits, because they are the most sensitive and have few weights. So do layers whose
    operator does not support fewer.

    Args:
        layers: The layers in execution order.
        inner_bits: Number of bits of inner layers.
        keep: Layers to protect.

    Raises:
        EdgesqzError: A pattern matches no layer, or no layer would have ``inner_bits``.
    """
    bits = {layer.name: INT8_BITS for layer in layers}
    bits |= {layer.name: max(inner_bits, layer.fewest_bits) for layer in layers[1:-1]}
    bits |= keep.bits(list(bits))
    if inner_bits < INT8_BITS and inner_bits not in bits.values():
        raise EdgesqzError(
            f"expected a convolution for int{inner_bits} weights between the first and the last layer; the layers are "
            f"{', '.join(bits) or 'none'}; choose variant int8"
        )
    return bits


def describe(layers: Sequence[WeightedLayer], bits: Mapping[str, int], inner_bits: int) -> str:
    """Describe which layers have more than ``inner_bits`` and why, or return an empty string if none has."""
    found: dict[str, list[str]] = {}
    for layer in layers:
        if bits[layer.name] > inner_bits:
            is_edge = layer in (layers[0], layers[-1])
            found.setdefault(_reason(layer, bits[layer.name], is_edge=is_edge), []).append(layer.name)
    return "; ".join(f"{reason} ({', '.join(names)})" for reason, names in found.items())


def _reason(layer: WeightedLayer, bits: int, *, is_edge: bool) -> str:
    if bits == FLOAT_BITS:
        return "float weights as requested"
    if is_edge:
        return "8-bit weights in the first and the last layer"
    if layer.fewest_bits == INT8_BITS:
        return f"8-bit weights in {layer.operator}, which does not support fewer bits"
    return "8-bit weights as requested"
