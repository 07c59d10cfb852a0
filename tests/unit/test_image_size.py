"""Image sizes: parsing and formatting."""

from __future__ import annotations

import pytest

from edgesqz import EdgesqzError
from edgesqz.image_size import ImageSize, ImageSizeLike


@pytest.mark.parametrize(
    ("given", "height", "width", "text", "plain"),
    [
        ("160x120", 120, 160, "160x120", "160x120"),
        ("32", 32, 32, "32x32", 32),
        (32, 32, 32, "32x32", 32),
        ("96x96", 96, 96, "96x96", 96),
        (ImageSize(48, 32), 48, 32, "32x48", "32x48"),
    ],
)
def test_a_size_is_read_and_written(given: ImageSizeLike, height: int, width: int, text: str, plain: int | str) -> None:
    size = ImageSize.parse(given)
    assert (size.height, size.width) == (height, width) == size
    assert (str(size), size.plain) == (text, plain)
    assert ImageSize.parse(size.plain) == ImageSize.parse(str(size)) == size


@pytest.mark.parametrize(
    "given", [0, -3, "0", "0x32", "32x0", "", "x", "32x", "x32", "32x32x3", "1.5", "32 x 32", "a", "٣", ImageSize(0, 4)]
)
def test_an_invalid_size_is_refused(given: ImageSizeLike) -> None:
    with pytest.raises(EdgesqzError, match=r"^expected an image size .* WIDTHxHEIGHT such as 160x120, got"):
        ImageSize.parse(given)
