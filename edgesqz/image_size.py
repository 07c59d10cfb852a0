"""The size of an image in pixels."""

from __future__ import annotations

import re
from typing import NamedTuple, TypeAlias

from edgesqz.errors import EdgesqzError


class ImageSize(NamedTuple):
    """Height and width in pixels, in the order of an array's axes. As text, WIDTHxHEIGHT as for cameras."""

    height: int
    width: int

    @classmethod
    def parse(cls, size: ImageSizeLike) -> ImageSize:
        """Parse a size: ``160x120`` is WIDTHxHEIGHT, and ``32`` or 32 is a square. An ``ImageSize`` is returned as is.

        Raises:
            EdgesqzError: The value is not a size, or the height or width is 0.
        """
        if isinstance(size, ImageSize):
            height, width = size
        elif match := re.fullmatch(r"([0-9]{1,6})(?:x([0-9]{1,6}))?", str(size)):
            width = int(match[1])
            height = int(match[2] or width)
        else:
            height = width = 0
        if height < 1 or width < 1:
            raise EdgesqzError(
                f"expected an image size in pixels such as 96, or WIDTHxHEIGHT such as 160x120, got {size}"
            )
        return cls(height, width)

    @property
    def plain(self) -> int | str:
        """The size for JSON: a number for a square, otherwise text as in ``str``."""
        return self.height if self.height == self.width else str(self)

    def __str__(self) -> str:
        """Return the size as WIDTHxHEIGHT."""
        return f"{self.width}x{self.height}"


ImageSizeLike: TypeAlias = ImageSize | int | str  # accepted by ImageSize.parse
