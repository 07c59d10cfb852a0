"""Which layers of a mixed file get 4 bits, with handmade losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from edgesqz.errors import EdgesqzError
from edgesqz.exporting.precision import Limit
from edgesqz.exporting.sensitivity import LayerChoice, Score, Search
from edgesqz.plugins import WeightedLayer

WEIGHTS = {"stem": 100, "a": 1000, "b": 4000, "c": 2000, "last": 100}
LOSS = {"a": 0.5, "b": 0.4, "c": 0.1}  # of a layer with 4 bits; per byte, c loses least and a most
INT4 = {"stem": 8, "a": 4, "b": 4, "c": 4, "last": 8}


def quantize(bits: Mapping[str, int]) -> bytes:
    """A file whose last bytes name the layers with 4 bits."""
    names = "".join(name for name, count in bits.items() if count == 4)
    return bytes(sum(count * WEIGHTS[name] // 8 for name, count in bits.items())) + names.encode()


def score(content: bytes) -> Score:
    loss = sum(LOSS[name] for name in content.strip(b"\0").decode())
    return Score(loss=1 + loss, accuracy=0.9 - loss / 10)


def choose(
    limit: Limit, int4: Mapping[str, int] = INT4, quantize: Callable[[Mapping[str, int]], bytes] = quantize
) -> tuple[LayerChoice, ...]:
    rng = np.random.default_rng(0)
    layers = [WeightedLayer(name, "CONV_2D", rng.normal(size=(count, 1)), 4) for name, count in WEIGHTS.items()]
    return Search(layers, int4, quantize, score).choose(limit, source_accuracy=0.9)


def four_bit(choices: tuple[LayerChoice, ...]) -> set[str]:
    return {choice.layer for choice in choices if choice.bits == 4}


def test_each_layer_is_measured_alone() -> None:
    choices = choose(Limit(size_bytes=6000))
    assert [choice.layer for choice in choices] == ["a", "b", "c"]
    assert [round(choice.loss, 6) for choice in choices] == [0.5, 0.4, 0.1]
    assert [(choice.int8_bytes, choice.int4_bytes) for choice in choices] == [(1000, 500), (4000, 2000), (2000, 1000)]
    assert [round(choice.loss_per_kb, 6) for choice in choices] == [1, 0.2, 0.1]
    assert all(15 < choice.sqnr_db < 25 for choice in choices)


@pytest.mark.parametrize(
    ("size_bytes", "chosen"),
    [
        (6300, {"c"}),
        (5300, {"b"}),  # c would have come first, but is not needed with b
        (4300, {"b", "c"}),
        (3800, {"a", "b", "c"}),
    ],
)
def test_the_least_sensitive_layers_per_byte_get_4_bits_until_the_file_fits(size_bytes: int, chosen: set[str]) -> None:
    choices = choose(Limit(size_bytes=size_bytes))
    assert four_bit(choices) == chosen
    assert len(quantize(INT4 | {choice.layer: choice.bits for choice in choices})) <= size_bytes


@pytest.mark.parametrize(("drop", "chosen"), [(1, {"c"}), (5, {"c", "b"}), (9.9, {"c", "b"}), (10, {"a", "b", "c"})])
def test_as_many_layers_as_keep_the_accuracy_get_4_bits(drop: float, chosen: set[str]) -> None:
    assert four_bit(choose(Limit(accuracy_drop_pp=drop + 1e-9))) == chosen


@pytest.mark.parametrize(
    "limit", [Limit(size_bytes=6300), Limit(size_bytes=4300), Limit(size_bytes=3800), Limit(accuracy_drop_pp=1.1)]
)
def test_no_file_is_converted_twice(limit: Limit) -> None:
    converted: list[Mapping[str, int]] = []

    def counted(bits: Mapping[str, int]) -> bytes:
        assert bits not in converted
        converted.append(bits)
        return quantize(bits)

    choose(limit, quantize=counted)
    assert converted


def test_protected_layers_are_not_considered() -> None:
    assert [choice.layer for choice in choose(Limit(size_bytes=12_000), INT4 | {"a": 8, "c": 32})] == ["b"]


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        (
            Limit(size_bytes=7300),
            "^max_size: with 8 bits for every layer, the file takes 7.2 kB.*; choose variant int8$",
        ),
        (Limit(size_bytes=3000), "^max_size: with 4 bits for every layer that can have them, the file takes 3.7 kB"),
        (Limit(accuracy_drop_pp=0.5), "^max_accuracy_drop: no layer can have 4 bits within 0.5 percentage points"),
    ],
)
def test_limits_that_no_choice_of_layers_keeps(limit: Limit, message: str) -> None:
    with pytest.raises(EdgesqzError, match=message):
        choose(limit)
