"""The groups of options that commands share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from edgesqz.artifact import PixelRange
from edgesqz.command import fields
from edgesqz.errors import EdgesqzError
from edgesqz.options import DataOptions, InputSizeOptions, PixelOptions, QuotaOptions


@dataclass(frozen=True)
class Every(DataOptions, PixelOptions, InputSizeOptions, QuotaOptions):
    pass


def test_a_command_inherits_options_with_their_flags_variables_and_panels() -> None:
    options = {field.name: (field.flag, field.option.variable, field.panel) for field in fields(Every)}
    assert options == {
        "workspace": ("--workspace", "EDGESQZ_WORKSPACE", "Workspace"),
        "quota": ("--quota", None, "Workspace"),
        "scratch_dir": ("--scratch", None, "Workspace"),
        "input_size": ("--input-size", None, "Model"),
        "pixel_range": ("--pixel-range", None, "Data"),
        "mean": ("--mean", None, "Data"),
        "std": ("--std", None, "Data"),
        "data_dir": ("--data-dir", "EDGESQZ_DATA_DIR", "Data"),
        "dataset": ("--dataset", None, "Data"),
    }


def test_every_option_is_described_in_whole_sentences() -> None:
    assert all(field.option.help.endswith(".") for field in fields(Every))


def test_mean_and_standard_deviation_become_pixel_values() -> None:
    pixels = PixelOptions(mean="0.485,0.456,0.406", std="0.229,0.224,0.225").pixels
    assert pixels
    image = np.array([[[0, 128, 255]]], np.uint8)
    expected = (image / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(pixels.values(image), expected, rtol=1e-5)
    assert str(pixels) == "-2.118..2.249, -2.036..2.429, -1.804..2.64"


def test_equal_channels_are_one_pixel_range() -> None:
    pixels = PixelOptions(mean="0.5", std="0.5,0.5,0.5").pixels
    assert pixels
    assert str(pixels.fitted(3)) == "-1..1"
    assert PixelOptions(std="0.5").pixels == PixelRange(scale=1 / 127.5, offset=-0.0)
    assert str(PixelOptions(pixel_range="0..1").pixels) == "0..1"
    assert PixelOptions().pixels is None


@pytest.mark.parametrize(
    ("mean", "channels", "message"),
    [
        ("0.5,0.5", 3, "expected 1 or 3 values of mean and std for RGB images, got 2"),
        ("0.1,0.2,0.3", 1, "expected 1 value of mean and std for gray images, got 3"),
    ],
)
def test_values_for_another_number_of_channels_are_refused(mean: str, channels: int, message: str) -> None:
    pixels = PixelOptions(mean=mean).pixels
    assert pixels
    with pytest.raises(EdgesqzError, match=message):
        pixels.fitted(channels)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"mean": "123.675,116.28,103.53"},
            "mean: expected one number from 0 to 1.*; divide values for",
        ),
        ({"std": "a"}, "std: expected one number"),
        ({"std": "0"}, "std must be above 0, got 0"),
        ({"mean": "0.1,0.2", "std": "0.1,0.2,0.3"}, "expected mean and std for the same channels"),
        ({"mean": "0.5", "pixel_range": "0..1"}, "pixel_range and mean describe the same values"),
        ({"std": "0.5", "pixel_range": "0..1"}, "pixel_range and std describe the same values"),
    ],
)
def test_bad_pixel_values_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(EdgesqzError, match=message):
        _ = PixelOptions(**options).pixels
