"""Costs of networks, computed without creating weights."""

from __future__ import annotations

import pytest

from edgesqz.artifact import ZOO, Artifact
from edgesqz.image_size import ImageSize
from edgesqz.models import ARCHITECTURES
from edgesqz.models.architectures import network_graph
from edgesqz.models.costs import FileKind, network_costs, peak_activation_bytes
from edgesqz.models.graph import AddRelu, Convolution, Graph, MaxPool, Pixels
from edgesqz.models.listing import list_models
from tests import small

PUBLISHED = {
    ("squeezenet", 10): 421_642,
    ("squeezenet-nano", 10): 67_322,
    ("squeezenet-course", 10): 146_570,
    ("squeezenet-1.0", 1000): 1_248_424,
    ("squeezenet-1.1", 1000): 1_235_496,
    ("digits", 10): 3_274_634,
    ("alexnet", 1000): 62_378_344,
    ("alexnet-grouped", 1000): 60_965_224,
}


@pytest.mark.parametrize(("model", "classes"), PUBLISHED)
def test_the_total_is_the_published_one(model: str, classes: int) -> None:
    assert network_costs(model, classes=classes).parameters == PUBLISHED[model, classes]


@pytest.mark.parametrize("model", ARCHITECTURES)
def test_formulas_add_up(model: str) -> None:
    layers = [layer for layer in network_costs(model).layers if layer.parameters]
    assert len(layers) > 3
    for layer in layers:
        assert eval(layer.formula) == layer.parameters


def test_the_size_of_a_file_follows_its_format_and_variant() -> None:
    costs = network_costs("squeezenet-nano")
    kinds = [FileKind("tflite", name, size) for name, size in (("int4", 0.5), ("int8", 1), ("fp16", 2), ("fp32", 4))]
    sizes = list(map(costs.file_bytes, kinds))
    assert sizes == sorted(sizes)
    assert [sizes[k] for k in (0, 1, 3)] == [costs.tflite_int4_bytes, costs.tflite_int8_bytes, costs.tflite_fp32_bytes]
    assert costs.file_bytes(FileKind("format of a plugin", "fp32", 4)) == costs.tflite_fp32_bytes
    assert costs.file_bytes(FileKind("onnx", "int8", 1)) > 1.5 * costs.tflite_int8_bytes


@pytest.mark.parametrize("model", ["squeezenet", "squeezenet-nano"])
def test_estimates_match_the_files_in_the_zoo(model: str) -> None:
    costs = network_costs(model)
    for format, variant, bytes_per_parameter in (("tflite", "int8", 1), ("tflite", "int4", 0.5), ("onnx", "int8", 1)):
        size_bytes = (ZOO / f"{model}.{variant}.{format}").stat().st_size
        assert costs.file_bytes(FileKind(format, variant, bytes_per_parameter)) == pytest.approx(size_bytes, rel=0.05)


def test_the_costs_of_a_layer_match_a_calculation_by_hand() -> None:
    (layer,) = (layer for layer in network_costs("digits").layers if layer.name == "conv2")
    assert (layer.shape, layer.kernel, layer.formula) == ((14, 14, 64), "5x5", "(5*5*32 + 1)*64")
    assert layer.macs == 5 * 5 * 32 * 64 * 14 * 14
    assert layer.activation_bytes == 14 * 14 * 64
    weights, biases = 5 * 5 * 32 * 64, 64
    assert layer.fp32_bytes == 4 * (weights + biases)
    assert layer.fp16_bytes == 2 * (weights + biases)
    assert layer.int8_bytes == weights + 4 * biases
    assert layer.int4_bytes == weights // 2 + 4 * biases


def test_the_first_and_the_last_layer_and_dense_layers_have_8_bits_in_an_int4_file() -> None:
    layers = {layer.name: layer for layer in network_costs("digits").layers if layer.parameters}
    assert [name for name, layer in layers.items() if layer.int4_bytes < layer.int8_bytes] == ["conv2"]
    nano = [layer for layer in network_costs("squeezenet-nano").layers if layer.parameters]
    assert [layer.name for layer in nano if layer.int4_bytes == layer.int8_bytes] == ["stem", "classifier"]


def test_twice_the_width_is_twice_the_work() -> None:
    square, wide = network_costs("squeezenet-nano", input_size=32), network_costs("squeezenet-nano", input_size="64x32")
    assert (square.input_size, wide.input_size) == (32, "64x32")
    assert wide.macs == 2 * square.macs
    assert wide.peak_activation_bytes == 2 * square.peak_activation_bytes


SMALL_SQUEEZENETS = ("squeezenet", "squeezenet-nano", small.NETWORK)


@pytest.mark.parametrize("model", SMALL_SQUEEZENETS)
@pytest.mark.parametrize("size", [32, 48, 64, "128x32"])
def test_images_of_up_to_64x64_pixels_keep_their_resolution_in_the_stem(model: str, size: int | str) -> None:
    stem, *others = (node for node in network_graph(model, input_size=size).nodes if node.layer.name.startswith("stem"))
    assert stem.shape[:2] == ImageSize.parse(size)
    assert not others


@pytest.mark.parametrize("model", SMALL_SQUEEZENETS)
@pytest.mark.parametrize(("size", "halved"), [(96, 48), (128, 64), ("160x90", "80x45")])
def test_larger_images_cost_what_images_of_half_the_size_cost(model: str, size: int | str, halved: int | str) -> None:
    whole, half = (network_costs(model, input_size=each) for each in (size, halved))
    assert (whole.parameters, whole.macs) == (half.parameters, half.macs)
    assert whole.tflite_int8_bytes == half.tflite_int8_bytes


@pytest.mark.parametrize(
    ("size", "stages_at"),
    [(64, (64, 64)), (65, (33, 33)), (128, (64, 64)), (129, (32, 32)), (224, (56, 56)), ("320x240", (30, 40))],
)
def test_the_stem_halves_images_to_at_most_64x64_pixels(size: int | str, stages_at: tuple[int, int]) -> None:
    nodes = {node.layer.name: node for node in network_graph("squeezenet", input_size=size).nodes}
    assert nodes["fire11_squeeze"].shape[:2] == stages_at


def test_memory_peaks_at_a_bypass() -> None:
    graph = Graph("three boxes")
    start = graph.add(Pixels(name="pixels", size=ImageSize(4, 4), channels=1))  # 16 values
    wide = graph.add(Convolution(name="wide", channels=5, kernel=1), start)  # 80
    narrow = graph.add(Convolution(name="narrow", channels=2, kernel=1), wide)  # 32
    again = graph.add(Convolution(name="again", channels=5, kernel=1), narrow)  # 80
    graph.add(MaxPool(name="pool", size=2, stride=2), graph.add(AddRelu(name="add"), wide, again))
    assert peak_activation_bytes(graph) == 3 * 80  # at the addition: both inputs and the sum


def test_the_listing_has_every_network_with_its_results_in_the_zoo() -> None:
    entries = {entry.name: entry for entry in list_models().models}
    assert list(entries) == list(ARCHITECTURES)
    manifest = Artifact.open(ZOO / "squeezenet.keras").manifest
    assert manifest and manifest.test
    assert entries["squeezenet"].accuracy == manifest.test.accuracy
    assert entries["alexnet"].accuracy is None
    assert entries["alexnet"].parameters == 62_378_344
