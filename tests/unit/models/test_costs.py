"""What networks cost, by sums alone."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from edgesqz.artifact import ZOO, Artifact
from edgesqz.errors import EdgesqzError
from edgesqz.image_size import ImageSize
from edgesqz.models import ARCHITECTURES
from edgesqz.models.costs import Params, compare, params, peak_activation_bytes
from edgesqz.models.graph import AddRelu, Convolution, Graph, MaxPool, Pixels
from edgesqz.models.listing import list_models

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
    assert params(model, classes=classes).parameters == PUBLISHED[model, classes]


@pytest.mark.parametrize("model", ARCHITECTURES)
def test_formulas_are_sums_that_come_out(model: str) -> None:
    layers = [layer for layer in params(model).layers if layer.parameters]
    assert len(layers) > 3
    for layer in layers:
        assert eval(layer.formula) == layer.parameters


def test_a_layer_by_hand() -> None:
    (layer,) = (layer for layer in params("digits").layers if layer.name == "conv2")
    assert (layer.shape, layer.kernel, layer.formula) == ((14, 14, 64), "5x5", "(5*5*32 + 1)*64")
    assert layer.macs == 5 * 5 * 32 * 64 * 14 * 14
    assert layer.activation_bytes == 14 * 14 * 64
    weights, biases = 5 * 5 * 32 * 64, 64
    assert layer.fp32_bytes == 4 * (weights + biases)
    assert layer.fp16_bytes == 2 * (weights + biases)
    assert layer.int8_bytes == weights + 4 * biases


def test_twice_the_width_is_twice_the_work() -> None:
    square, wide = params("squeezenet-nano", input_size=32), params("squeezenet-nano", input_size="64x32")
    assert (square.input_size, wide.input_size) == (32, "64x32")
    assert wide.macs == 2 * square.macs
    assert wide.peak_activation_bytes == 2 * square.peak_activation_bytes
    assert json.loads(wide.to_json())["input_size"] == "64x32"
    assert wide.table().title == "squeezenet-nano, 10 classes, 64x32 pixels"


def test_the_peak_is_where_a_bypass_waits() -> None:
    graph = Graph("three boxes")
    start = graph.add(Pixels(name="pixels", size=ImageSize(4, 4), channels=1))  # 16 values
    wide = graph.add(Convolution(name="wide", channels=5, kernel=1), start)  # 80
    narrow = graph.add(Convolution(name="narrow", channels=2, kernel=1), wide)  # 32
    again = graph.add(Convolution(name="again", channels=5, kernel=1), narrow)  # 80
    graph.add(MaxPool(name="pool", size=2, stride=2), graph.add(AddRelu(name="add"), wide, again))
    assert peak_activation_bytes(graph) == 3 * 80  # at the addition: both that go in, and the sum


def test_the_json_has_the_total_and_every_layer() -> None:
    found = json.loads(params("squeezenet-nano", quota="300kB").to_json())
    assert found["parameters"] == sum(layer["parameters"] for layer in found["layers"]) == 67_322
    assert found["quota_bytes"] == 300_000


def caption(costs: Params) -> str:
    return costs.table().caption


def test_compared_networks_are_each_held_against_the_quota() -> None:
    comparison = compare(["squeezenet", "squeezenet-nano"], quota="500kB")
    shown = io.StringIO()
    Console(file=shown, width=120).print(comparison.table())
    told = " ".join(shown.getvalue().split())
    shares = ", ".join(f"{costs.model} {costs.tflite_int8_bytes / 5000:.1f}%" for costs in comparison.models)
    assert f"of the quota of 500.0 kB the int8 file takes: {shares}" in told
    assert [each["quota_bytes"] for each in json.loads(comparison.to_json())["models"]] == [500_000, 500_000]
    assert compare(["digits"]).table().caption == ""


def test_the_quota_is_told_as_a_share() -> None:
    costs = params("squeezenet", quota="1MB")
    assert f"{costs.tflite_int8_bytes / 1e6:.1%} of the quota" in caption(costs)
    assert "quota" not in caption(params("squeezenet"))


def test_ratios_are_to_the_first() -> None:
    comparison = compare(["squeezenet", "alexnet"])
    assert [costs.model for costs in comparison.models] == ["squeezenet", "alexnet"]
    ratios = [row[4] for row in comparison.table().rows if row]
    assert ratios == ["1", f"{62_378_344 / 421_642:.4g}"]
    assert "layers" not in json.loads(comparison.to_json())["models"][0]


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_bars_are_a_image(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"sizes.{suffix}"
    compare(["squeezenet", "digits"]).plot(path)
    start = path.read_bytes()[:500]
    assert start.startswith(b"\x89PNG") if suffix == "png" else b"<svg" in start


@pytest.mark.parametrize("name", ["sizes.docx", "missing/sizes.png"])
def test_bars_that_cannot_be_written(name: str, tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match="cannot write"):
        compare(["digits"]).plot(tmp_path / name)
    assert not list(tmp_path.rglob("*.*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "resnet"}, "unknown model 'resnet'"),
        (
            {"model": "alexnet", "input_size": 32},
            "alexnet needs larger images: nothing is left .* at pool2; got images of 32x32",
        ),
        ({"model": "squeezenet", "classes": 1}, "at least 2 classes"),
        ({"model": "squeezenet", "input_size": -3}, "expected an image size .*, got -3"),
        ({"quota": "much"}, "expected a size"),
    ],
)
def test_bad_input(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(EdgesqzError, match=message):
        params(**arguments)  # type: ignore[arg-type]


def test_the_listing_has_every_network_with_what_the_zoo_knows() -> None:
    entries = {entry.name: entry for entry in list_models().models}
    assert list(entries) == list(ARCHITECTURES)
    manifest = Artifact.open(ZOO / "squeezenet.keras").manifest
    assert manifest and manifest.test
    assert entries["squeezenet"].accuracy == manifest.test.accuracy
    assert entries["alexnet"].accuracy is None
    assert entries["alexnet"].parameters == 62_378_344
