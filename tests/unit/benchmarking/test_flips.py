"""Contact sheets: every flip has a place, its class and both predictions."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from edgesqz.benchmarking import flips
from edgesqz.benchmarking.flips import Flip, contact_sheet


def flip(color: int, channels: int = 3) -> Flip:
    return Flip(np.full((32, 32, channels), color, np.uint8), "cat", "cat", "dog")


def opened(sheet: bytes) -> Image.Image:
    return Image.open(io.BytesIO(sheet))


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (8, 1), (9, 2), (401, 50)])
def test_a_sheet_is_as_large_as_its_images_need(count: int, rows: int) -> None:
    sheet = opened(contact_sheet("net.tflite", [flip(0)] * count))
    assert sheet.size == (flips.COLUMNS * flips.CELL[0], 2 * flips.LINE + rows * flips.CELL[1])


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_in_reading_order(channels: int) -> None:
    sheet = np.asarray(opened(contact_sheet("net.tflite", [flip(10 * place, channels) for place in range(10)])))
    for place in range(10):
        row, column = divmod(place, flips.COLUMNS)
        middle = 2 * flips.LINE + row * flips.CELL[1] + 48, 12 + column * flips.CELL[0] + 48
        assert sheet[middle].tolist() == [10 * place] * 3


@pytest.mark.parametrize("size", [(24, 32), (32, 24)])
def test_an_image_keeps_its_aspect_ratio(size: tuple[int, int]) -> None:
    magenta = np.full((*size, 3), (255, 0, 255), np.uint8)
    sheet = np.asarray(opened(contact_sheet("net.tflite", [Flip(magenta, "cat", "cat", "dog")])))
    place = np.argwhere((sheet == magenta[0, 0]).all(axis=2))
    assert tuple(place.max(axis=0) - place.min(axis=0) + 1) == (3 * size[0], 3 * size[1])
    center = np.array([2 * flips.LINE + 48, 12 + 48])
    assert (place.min(axis=0) + place.max(axis=0) + 1 == 2 * center).all()


def test_correct_predictions_are_green_and_wrong_ones_red() -> None:
    sheet = np.asarray(opened(contact_sheet("net.tflite", [flip(255)])))
    first = 2 * flips.LINE + 96
    lines = [sheet[top : top + flips.LINE] for top in range(first, first + 3 * flips.LINE, flips.LINE)]
    red, green, blue = np.array([(255 - line.astype(int)).sum(axis=(0, 1)) for line in lines]).T  # missing from white
    assert red[0] == green[0] == blue[0] > 0
    assert green[1] < red[1] == blue[1]
    assert red[2] < green[2] == blue[2]
