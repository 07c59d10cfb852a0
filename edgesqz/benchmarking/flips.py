"""Contact sheets of the images that an export answers otherwise than its source model."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgesqz.benchmarking.candidate import Candidate, source_model_of
from edgesqz.benchmarking.evaluation import EvaluationSet
from edgesqz.errors import EdgesqzError
from edgesqz.workspace import write_file

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


def make_folder(folder: Path) -> None:
    """Make the folder for contact sheets.

    Raises:
        EdgesqzError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EdgesqzError(f"cannot write to the folder {folder}: {error.strerror}") from error


def save(candidates: Sequence[Candidate], evaluation_set: EvaluationSet, folder: Path) -> None:
    """Draw the images that each export predicts differently from its source model, an image file for each export."""
    for candidate in candidates:
        source_model = source_model_of(candidate, candidates)
        if candidate.probabilities is None or source_model is None or source_model.probabilities is None:
            continue
        before, after = source_model.probabilities.argmax(axis=1), candidate.probabilities.argmax(axis=1)
        split, named = evaluation_set.split(candidate.size), evaluation_set.labels
        flipped = [
            Flip(split.images[k], named[split.labels[k]], named[before[k]], named[after[k]])
            for k in np.flatnonzero(before != after)
        ]
        if flipped:
            alone = sum(other.path == candidate.path for other in candidates) == 1
            name = candidate.name if alone else f"{candidate.name}.{candidate.choice}"
            sheet = folder / f"{name}.flips.png"  # in a folder of its own if the file's name has one
            make_folder(sheet.parent)
            write_file(sheet, contact_sheet(name, flipped))
            candidate.flips = sheet
