"""The number of bits of each layer."""

from __future__ import annotations

import pytest

from edgesqz.errors import EdgesqzError
from edgesqz.exporting.precision import default_bits, describe_eight_bit_layers
from edgesqz.plugins import WeightedLayer


def layers(**fewest_bits: int) -> list[WeightedLayer]:
    kinds = {4: "CONV_2D", 8: "DEPTHWISE_CONV_2D"}
    return [WeightedLayer(name, kinds[bits], 100, bits) for name, bits in fewest_bits.items()]


def test_the_first_and_the_last_layer_have_8_bits() -> None:
    found = layers(stem=4, squeeze=4, expand=4, classifier=4)
    bits = default_bits(found, 4)
    assert bits == {"stem": 8, "squeeze": 4, "expand": 4, "classifier": 8}
    assert describe_eight_bit_layers(found, bits) == "8-bit weights in stem and classifier (first and last layer)"


def test_layers_that_take_no_4_bits_have_8_and_are_named() -> None:
    found = layers(stem=4, depthwise1=8, pointwise1=4, depthwise2=8, classifier=4)
    bits = default_bits(found, 4)
    assert bits == {"stem": 8, "depthwise1": 8, "pointwise1": 4, "depthwise2": 8, "classifier": 8}
    assert describe_eight_bit_layers(found, bits).endswith(
        "; depthwise1, depthwise2 (DEPTHWISE_CONV_2D takes no fewer)"
    )


@pytest.mark.parametrize("found", [layers(), layers(conv=4), layers(stem=4, depthwise=8, classifier=4)])
def test_a_network_without_a_layer_for_4_bits_is_refused(found: list[WeightedLayer]) -> None:
    with pytest.raises(EdgesqzError, match="^expected a convolution between the first and the last layer.*; choose"):
        default_bits(found, 4)
