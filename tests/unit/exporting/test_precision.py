"""The number of bits of each layer."""

from __future__ import annotations

import numpy as np
import pytest

from edgesqz.errors import EdgesqzError
from edgesqz.exporting.precision import Keep, choose_bits, describe
from edgesqz.plugins import WeightedLayer


def layers(**fewest_bits: int) -> list[WeightedLayer]:
    kinds = {4: "CONV_2D", 8: "DEPTHWISE_CONV_2D"}
    return [WeightedLayer(name, kinds[bits], np.ones((10, 10)), bits) for name, bits in fewest_bits.items()]


def test_the_first_and_the_last_layer_have_8_bits() -> None:
    found = layers(stem=4, squeeze=4, expand=4, classifier=4)
    bits = choose_bits(found, 4, Keep())
    assert bits == {"stem": 8, "squeeze": 4, "expand": 4, "classifier": 8}
    assert describe(found, bits, 4) == "8-bit weights in the first and the last layer (stem, classifier)"


def test_layers_that_take_no_4_bits_have_8_and_are_named() -> None:
    found = layers(stem=4, depthwise1=8, pointwise1=4, depthwise2=8, classifier=4)
    bits = choose_bits(found, 4, Keep())
    assert bits == {"stem": 8, "depthwise1": 8, "pointwise1": 4, "depthwise2": 8, "classifier": 8}
    assert describe(found, bits, 4).endswith(
        "; 8-bit weights in DEPTHWISE_CONV_2D, which does not support fewer bits (depthwise1, depthwise2)"
    )


def test_patterns_protect_layers() -> None:
    found = layers(stem=4, fire1_squeeze=4, fire1_expand=4, fire2_squeeze=4, fire2_expand=4, classifier=4)
    bits = choose_bits(found, 4, Keep(int8=("fire1_*",), float=("*_expand", "stem")))
    assert bits == {
        "stem": 32,
        "fire1_squeeze": 8,
        "fire1_expand": 32,
        "fire2_squeeze": 4,
        "fire2_expand": 32,
        "classifier": 8,
    }
    assert describe(found, bits, 4) == (
        "float weights as requested (stem, fire1_expand, fire2_expand); 8-bit weights as requested (fire1_squeeze); "
        "8-bit weights in the first and the last layer (classifier)"
    )


def test_int8_files_can_have_float_layers() -> None:
    found = layers(stem=4, squeeze=4, classifier=4)
    bits = choose_bits(found, 8, Keep(float=("cla*",)))
    assert bits == {"stem": 8, "squeeze": 8, "classifier": 32}
    assert describe(found, bits, 8) == "float weights as requested (classifier)"


@pytest.mark.parametrize("keep", [Keep(int8=("fire*", "expand")), Keep(float=("fire*",))])
def test_a_pattern_that_matches_nothing_lists_the_layers(keep: Keep) -> None:
    with pytest.raises(EdgesqzError, match=r"^keep_\w+: no layer matches 'fire\*'; the layers are stem, expand$"):
        choose_bits(layers(stem=4, expand=4), 8, keep)


@pytest.mark.parametrize("found", [layers(), layers(conv=4), layers(stem=4, depthwise=8, classifier=4)])
def test_a_network_without_a_layer_for_4_bits_is_refused(found: list[WeightedLayer]) -> None:
    with pytest.raises(EdgesqzError, match="^expected a convolution for int4 weights .*; choose variant int8"):
        choose_bits(found, 4, Keep())


def test_protecting_every_layer_leaves_no_int4_file() -> None:
    with pytest.raises(EdgesqzError, match="^expected a convolution for int4 weights"):
        choose_bits(layers(stem=4, squeeze=4, classifier=4), 4, Keep(int8=("*",)))
