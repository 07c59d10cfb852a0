"""The result of params: layer by layer or side by side, as JSON, as a table, and as bars."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

import edgesqz
from edgesqz import EdgesqzError
from edgesqz.models.comparison import ParamsResult
from edgesqz.tables import Table


def test_the_json_has_the_total_and_every_layer() -> None:
    found = json.loads(edgesqz.params("squeezenet-nano", max_size="300kB").to_json())
    assert found["parameters"] == sum(layer["parameters"] for layer in found["layers"]) == 67_322
    assert found["max_size_bytes"] == 300_000


def compare(*models: str, max_size: str | None = None) -> ParamsResult:
    return edgesqz.params(models, compare=True, max_size=max_size)


def caption(result: ParamsResult) -> str:
    table = result.table()
    assert isinstance(table, Table)
    return table.caption


def test_each_compared_network_is_compared_with_the_size() -> None:
    comparison = compare("squeezenet", "squeezenet-nano", max_size="500kB")
    shown = io.StringIO()
    Console(file=shown, width=120).print(comparison.table())
    output = " ".join(shown.getvalue().split())
    shares = ", ".join(f"{costs.model} {costs.tflite_int8_bytes / 5000:.1f}%" for costs in comparison)
    assert f"of 500.0 kB, the int8 file takes: {shares}" in output
    assert json.loads(comparison.to_json())["max_size_bytes"] == 500_000
    assert caption(compare("digits")) == "sizes of .tflite files are estimates"


def test_the_file_sizes_are_shown_as_shares_of_the_size() -> None:
    result = edgesqz.params("squeezenet", max_size="1MB")
    assert f"of 1.0 MB, the int8 file takes {result[0].tflite_int8_bytes / 1e6:.1%}, the fp32 file " in caption(result)
    assert "the int8 file takes" not in caption(edgesqz.params("squeezenet"))


def test_ratios_are_relative_to_the_first_network() -> None:
    comparison = compare("squeezenet", "alexnet")
    assert [costs.model for costs in comparison] == ["squeezenet", "alexnet"]
    ratios = [row[4] for row in comparison.table().rows if row]
    assert ratios == ["1", f"{62_378_344 / 421_642:.4g}"]
    assert "layers" not in json.loads(comparison.to_json())["models"][0]


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_plot_is_an_image(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"sizes.{suffix}"
    compare("squeezenet", "digits").plot(path)
    start = path.read_bytes()[:500]
    assert start.startswith(b"\x89PNG") if suffix == "png" else b"<svg" in start


@pytest.mark.parametrize("name", ["sizes.docx", "missing/sizes.png"])
def test_a_plot_that_cannot_be_written_is_reported(name: str, tmp_path: Path) -> None:
    with pytest.raises(EdgesqzError, match="cannot write"):
        compare("digits").plot(tmp_path / name)
    assert not list(tmp_path.rglob("*.*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"models": "resnet"}, "unknown model 'resnet'"),
        (
            {"models": "alexnet", "input_size": 32},
            "alexnet needs larger images: nothing is left .* at pool2; got images of 32x32",
        ),
        ({"models": "squeezenet", "classes": 1}, "at least 2 classes"),
        ({"models": "squeezenet", "input_size": -3}, "expected an image size .*, got -3"),
        ({"max_size": "much"}, "expected a size"),
    ],
)
def test_bad_input(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(EdgesqzError, match=message):
        edgesqz.params(**arguments)  # type: ignore[arg-type]


def test_images_that_are_not_square_are_shown_as_width_by_height() -> None:
    result = edgesqz.params("squeezenet-nano", input_size="64x32")
    assert result.to_dict()["input_size"] == "64x32"
    table = result.table()
    assert isinstance(table, Table)
    assert table.title == "squeezenet-nano, 10 classes, 64x32 pixels"


def test_several_networks_are_only_compared() -> None:
    with pytest.raises(EdgesqzError, match="expected one network, or compare, got 2"):
        edgesqz.params(["squeezenet", "alexnet"])


def test_records_are_layers_or_networks() -> None:
    (single,) = edgesqz.params("squeezenet-nano")
    assert len(edgesqz.params("squeezenet-nano").records) == len(single.layers)
    records = compare("squeezenet-nano", "digits").records
    assert [record["model"] for record in records] == ["squeezenet-nano", "digits"]
    assert records[0]["parameters"] == single.parameters == 67_322
