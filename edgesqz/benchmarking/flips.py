"""Contact sheets of the images that an export answers otherwise than its source model."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 96  # of the square that an image has on the sheet, in pixels
LINE = 13  # height of a line of text
CELL = (SIDE + 24, SIDE + 3 * LINE + 10)
COLUMNS = 8
MOST = 400  # images on a sheet


@dataclass(frozen=True)
class Flip:
    """An image with its class and two answers.

    Attributes:
        image: uint8 (H, W, 3 or 1).
    """

    image: np.ndarray
    label: str
    before: str
    after: str


def contact_sheet(title: str, flips: Sequence[Flip]) -> bytes:
    """Draw images with their class and both answers: green for the right answer, red for a wrong one.

    Args:
        title: in the first line; how many there are is added, and how many of them are shown.
        flips: the first 400 are shown.

    Returns:
        A PNG file.
    """
    from PIL import Image, ImageDraw

    shown = flips[:MOST]
    rows = -(-len(shown) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * CELL[0], 2 * LINE + rows * CELL[1]), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((6, 6), f"{title}: {len(flips)} flipped, {len(shown)} shown; class, source model, export", fill="black")
    for place, flip in enumerate(shown):
        left, top = 12 + place % COLUMNS * CELL[0], 2 * LINE + place // COLUMNS * CELL[1]
        sheet.paste(_enlarged(flip.image), (left, top))
        for line, (text, color) in enumerate(_lines(flip)):
            draw.text((left, top + SIDE + line * LINE), text, fill=color)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


def _enlarged(image: np.ndarray) -> Image:
    """The image in the middle of a cell, its aspect ratio kept; its pixels stay visible."""
    from PIL import Image, ImageOps

    shown = Image.fromarray(image.squeeze()).convert("RGB")
    return ImageOps.pad(shown, (SIDE, SIDE), Image.Resampling.NEAREST, color="white")


def _lines(flip: Flip) -> list[tuple[str, str]]:
    answers = [(answer, "green" if answer == flip.label else "firebrick") for answer in (flip.before, flip.after)]
    return [(flip.label, "black"), *answers]
