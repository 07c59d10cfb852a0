"""Choose the number of bits of each layer's weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgesqz.errors import EdgesqzError
from edgesqz.plugins import WeightedLayer

EDGE_BITS = 8  # of the first and the last layer, which lose most accuracy and have few weights


def default_bits(layers: Sequence[WeightedLayer], inner_bits: int) -> dict[str, int]:
    """Return the number of bits of each layer, 8 where the layer takes no fewer or is the first or the last one.

    Args:
        layers: The layers in execution order.
        inner_bits: Number of bits of inner layers.

    Raises:
        EdgesqzError: No layer would have ``inner_bits``.
    """
    bits = {layer.name: max(inner_bits, layer.fewest_bits) for layer in layers[1:-1]}
    if inner_bits not in bits.values():
        raise EdgesqzError(
            f"expected a convolution between the first and the last layer, whose weights int{inner_bits} would store "
            f"in {inner_bits} bits; found {', '.join(layer.name for layer in layers) or 'no layers'}; choose variant "
            "int8"
        )
    return {layer.name: bits.get(layer.name, EDGE_BITS) for layer in layers}


def describe_eight_bit_layers(layers: Sequence[WeightedLayer], bits: dict[str, int]) -> str:
    """Say which layers have 8-bit weights and why, for a file whose other layers have fewer bits."""
    return "8-bit weights in " + "; ".join(_reasons(layers, bits))


def _reasons(layers: Sequence[WeightedLayer], bits: dict[str, int]) -> Iterator[str]:
    edges = (layers[0], layers[-1])
    yield f"{layers[0].name} and {layers[-1].name} (first and last layer)"
    kinds = dict.fromkeys(layer.operator for layer in layers if layer.fewest_bits == EDGE_BITS and layer not in edges)
    for kind in kinds:
        names = [layer.name for layer in layers if layer.operator == kind and layer not in edges]
        yield f"{', '.join(names)} ({kind} takes no fewer)"
